//! A container's blobs: `object_store`'s client, made to keep what the rest of the storage room relies on.
//!
//! - A request that a signature cannot be good for by its own `sp` is not sent; the error names the letters.
//! - A listing from an offset holds only what comes after it: the service's `startFrom` includes the offset, and
//!   emulators ignore it.
//! - Errors are of the variant that their status stands for, also those of lists and of batches, and show no signature:
//!   the client puts the whole URL into errors of batches.
//! - The account may be known only when the first credential comes (a landing zone names it).

use super::{Source, plain::plain, rights, rights::Right};
use crate::{
    error::Kind,
    storage::{
        credentials::Cached,
        explain::{Meaning, told},
    },
};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use object_store::{
    CopyOptions, CredentialProvider, Error, GetOptions, GetResult, ListResult, MultipartId,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
    azure::{MicrosoftAzure, MicrosoftAzureBuilder},
    multipart::{MultipartStore, PartId},
    path::Path,
};
use std::{fmt, sync::Arc};
use tokio::sync::OnceCell;

/// Where the account's name comes from.
pub(super) enum Account {
    Named(String),
    /// From whoever hands out the credentials, once the first one is there.
    Later(Arc<dyn Fn() -> Option<String> + Send + Sync>),
}

/// A container.
#[derive(Clone)]
pub(super) struct Blobs(Arc<Inner>);

struct Inner {
    name: String,
    credentials: Cached<Source>,
    builder: MicrosoftAzureBuilder,
    account: Account,
    client: OnceCell<MicrosoftAzure>,
}

impl Blobs {
    /// `builder` lacks only the account. Makes no request.
    pub(super) fn new(
        name: String,
        builder: MicrosoftAzureBuilder,
        account: Account,
        credentials: Cached<Source>,
    ) -> Result<Self> {
        let client = match &account {
            Account::Named(account) => {
                OnceCell::new_with(Some(builder.clone().with_account(account).build()?))
            }
            Account::Later(_) => OnceCell::new(),
        };
        Ok(Self(Arc::new(Inner {
            name,
            credentials,
            builder,
            account,
            client,
        })))
    }

    /// The client, after a look at whether the credential can be good for what is `needed`.
    async fn client(&self, path: &str, needed: &[Right]) -> Result<&MicrosoftAzure> {
        let inner = &self.0;
        let credential = inner.credentials.get_credential().await?;
        rights::check(&credential, needed).map_err(|lacking| {
            let meaning = Meaning {
                right: Some(lacking.sp()),
                ..Meaning::new(Kind::Unauthorized, lacking.to_string())
            };
            let path = path.to_owned();
            told(
                Error::PermissionDenied {
                    path,
                    source: Box::new(lacking),
                },
                meaning,
            )
        })?;
        let made = inner.client.get_or_try_init(|| async {
            let account = match &inner.account {
                Account::Named(account) => Some(account.clone()),
                Account::Later(account) => account(),
            };
            match account {
                Some(account) => inner.builder.clone().with_account(account).build(),
                None => Err(Error::Generic {
                    store: "MicrosoftAzure",
                    source: "the credentials name no account".into(),
                }),
            }
        });
        made.await
    }

    fn listing(
        &self,
        prefix: Option<Path>,
        list: impl FnOnce(&MicrosoftAzure) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let blobs = self.clone();
        let prefix = prefix.map(String::from).unwrap_or_default();
        let told = prefix.clone();
        let stream =
            async move { Ok::<_, Error>(list(blobs.client(&prefix, &[Right::List]).await?)) };
        stream::once(stream)
            .try_flatten()
            .map_err(move |e| plain(e, &told))
            .boxed()
    }
}

#[async_trait]
impl ObjectStore for Blobs {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let client = self.client(location.as_ref(), Right::TO_WRITE).await?;
        let put = client.put_opts(location, payload, options).await;
        put.map_err(|e| plain(e, location.as_ref()))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let client = self.client(location.as_ref(), Right::TO_WRITE).await?;
        client.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let client = self.client(location.as_ref(), &[Right::Read]).await?;
        let got = client.get_opts(location, options).await;
        got.map_err(|e| plain(e, location.as_ref()))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let blobs = self.clone();
        let deleted = async move {
            let client = blobs.client("", Right::TO_DELETE).await?;
            Ok::<_, Error>(client.delete_stream(locations))
        };
        stream::once(deleted)
            .try_flatten()
            .map_err(|e| plain(e, ""))
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.listing(prefix.clone(), move |client| client.list(prefix.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        let after = offset.clone();
        let all = self.listing(prefix.clone(), move |client| {
            client.list_with_offset(prefix.as_ref(), &offset)
        });
        all.try_filter(move |object| future::ready(object.location > after))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.map(Path::as_ref).unwrap_or_default();
        let client = self.client(path, &[Right::List]).await?;
        let listed = client.list_with_delimiter(prefix).await;
        listed.map_err(|e| plain(e, path))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let needed = &[Right::Read, Right::Write];
        let client = self.client(to.as_ref(), needed).await?;
        let copied = client.copy_opts(from, to, options).await;
        copied.map_err(|e| plain(e, to.as_ref()))
    }
}

#[async_trait]
impl MultipartStore for Blobs {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.client(path.as_ref(), Right::TO_WRITE)
            .await?
            .create_multipart(path)
            .await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        part: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let client = self.client(path.as_ref(), Right::TO_WRITE).await?;
        let put = client.put_part(path, id, part, data).await;
        put.map_err(|e| plain(e, path.as_ref()))
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let client = self.client(path.as_ref(), Right::TO_WRITE).await?;
        let done = client.complete_multipart(path, id, parts).await;
        done.map_err(|e| plain(e, path.as_ref()))
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.client(path.as_ref(), &[])
            .await?
            .abort_multipart(path, id)
            .await
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blobs({})", self.0.name)
    }
}

impl fmt::Display for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}
