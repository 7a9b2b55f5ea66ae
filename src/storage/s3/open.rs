//! From the options of a store to a client.

use super::{
    answers::Answers,
    region,
    sdk::Sdk,
    sources::{Fault, Sources, address},
};
use crate::storage::{
    Checksum, Encryption, Error, Opened, Result, StoreOptions,
    credentials::{Cached, Clock, Source, Timing},
    http,
    renewing::Renewing,
};
use object_store::aws::{
    AmazonS3Builder, AmazonS3ConfigKey, Checksum as S3Checksum, S3ConditionalPut,
};
use std::sync::Arc;

/// Opens a bucket. Asks nobody: credentials are fetched at the first request.
///
/// `name`: of `[stores.NAME]`, for metrics and errors. Errors ([`Error::InvalidStore`]) are what is wrong with the
/// options.
pub fn open(name: &str, bucket: &str, options: &StoreOptions) -> Result<Opened> {
    open_with(name, bucket, options, Timing::default())
}

/// The same with other times for its credentials.
pub(super) fn open_with(
    name: &str,
    bucket: &str,
    options: &StoreOptions,
    timing: Timing,
) -> Result<Opened> {
    let invalid = |reason: Fault| Error::InvalidStore {
        store: name.to_owned(),
        reason,
    };
    fits_s3(options).map_err(invalid)?;
    let region = region::of(options);
    let sources = Sources {
        sdk: Sdk::new(&region),
        allow_http: options.allow_http,
    };
    let source = sources.build(&options.credentials).map_err(invalid)?;
    let credentials = Cached::with(name, source, timing, Clock::default());
    let place = place(bucket, &region, options).map_err(invalid)?;
    let builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&region)
        .with_virtual_hosted_style_request(place.virtual_hosted)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_credentials(Arc::new(credentials.clone()))
        .with_http_connector(http::Connector::new(name))
        .with_client_options(http::client_options(options).map_err(invalid)?)
        .with_retry(http::retries());
    let builder = match place.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint),
        None => builder,
    };
    let store = writes(builder, options)
        .map_err(invalid)?
        .build()
        .map_err(|error| invalid(error.to_string()))?;
    let identity = credentials.source().describe();
    let credentials = Arc::new(credentials);
    let answers = Answers::new(name, bucket, &region, &identity);
    Ok(Opened {
        store: Arc::new(Renewing::new(store, credentials.clone(), answers)),
        identity,
        credentials: Some(credentials),
    })
}

/// Refuses options that say nothing to S3 or contradict each other.
fn fits_s3(options: &StoreOptions) -> Result<(), Fault> {
    let kms = matches!(
        options.encryption,
        Some(Encryption::SseKms | Encryption::DsseKms)
    );
    let fault = if options.account.is_some() {
        "`account` is for Azure; an S3 store has none"
    } else if options.kms_key_id.is_some() && !kms {
        "`kms_key_id` needs `encryption = \"sse-kms\"` or \"dsse-kms\""
    } else if options.bucket_key.is_some() && options.encryption != Some(Encryption::SseKms) {
        "`bucket_key` needs `encryption = \"sse-kms\"`"
    } else if options
        .region
        .as_deref()
        .is_some_and(|region| !is_region(region))
    {
        "`region` is a region's name, such as eu-central-1"
    } else {
        return Ok(());
    };
    Err(fault.into())
}

fn is_region(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(fits)
}

pub(super) struct Place {
    pub(super) endpoint: Option<String>,
    pub(super) virtual_hosted: bool,
}

/// Where the bucket is: its own host name, or a path.
pub(super) fn place(bucket: &str, region: &str, options: &StoreOptions) -> Result<Place, Fault> {
    // AWS's certificates are for one label below the region, so that a name with dots must go into the path.
    let path_style = options
        .path_style
        .unwrap_or(options.endpoint.is_some() || bucket.contains('.'));
    let endpoint = match &options.endpoint {
        Some(endpoint) => Some(address("endpoint", endpoint, options.allow_http)?),
        // The partition of China has a domain of its own, which object_store does not know.
        None if region.starts_with("cn-") => {
            let endpoint = format!("https://s3.{region}.amazonaws.com.cn");
            Some(address("region", &endpoint, false)?)
        }
        None => None,
    };
    let endpoint = match endpoint {
        Some(mut url) if !path_style => {
            let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
            url.set_host(Some(&host)).map_err(|error| {
                format!("with this endpoint the bucket must be in the path, set `path_style = true`: {error}, endpoint=`{url}`")
            })?;
            Some(url)
        }
        endpoint => endpoint,
    };
    Ok(Place {
        endpoint: endpoint.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        virtual_hosted: !path_style,
    })
}

/// What goes with every object that is written.
fn writes(mut builder: AmazonS3Builder, options: &StoreOptions) -> Result<AmazonS3Builder, Fault> {
    if options.checksum == Checksum::Sha256 {
        builder = builder.with_checksum_algorithm(S3Checksum::SHA256);
    }
    if let Some(encryption) = options.encryption {
        // The values of `x-amz-server-side-encryption`.
        let value = match encryption {
            Encryption::SseS3 => "AES256",
            Encryption::SseKms => "aws:kms",
            Encryption::DsseKms => "aws:kms:dsse",
        };
        builder = set(builder, "aws_server_side_encryption", value)?;
    }
    if let Some(key) = &options.kms_key_id {
        builder = set(builder, "aws_sse_kms_key_id", key)?;
    }
    if let Some(enabled) = options.bucket_key {
        builder = builder.with_bucket_key(enabled);
    }
    Ok(builder)
}

/// Sets what the builder has a key for but no method. The type of these keys is private; their names are not.
fn set(builder: AmazonS3Builder, key: &str, value: &str) -> Result<AmazonS3Builder, Fault> {
    let key: AmazonS3ConfigKey = key.parse().map_err(|error| format!("{error}"))?;
    Ok(builder.with_config(key, value))
}
