//! Connections: accepting them, TLS, their limits, and letting them end.

use super::{
    error::HttpError,
    handler::{self, App},
    options::HttpOptions,
    options::TlsOptions,
};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Binds the address of the options; without keys only loopback, unless they allow more.
pub(super) async fn bind(options: &HttpOptions) -> Result<TcpListener, HttpError> {
    let listen = &options.listen;
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(listen)
        .await
        .map_err(|source| HttpError::Address {
            listen: listen.clone(),
            source,
        })?
        .collect();
    if options.keys.is_empty()
        && !options.allow_anonymous
        && let Some(&address) = addresses.iter().find(|address| !address.ip().is_loopback())
    {
        return Err(HttpError::Open { address });
    }
    TcpListener::bind(&addresses[..])
        .await
        .map_err(|source| HttpError::Bind {
            listen: listen.clone(),
            source,
        })
}

/// TLS 1.2 and 1.3 with the certificate and key of the options.
pub(super) fn acceptor(options: &TlsOptions) -> Result<TlsAcceptor, HttpError> {
    let error = |part: &'static str| move |reason: String| HttpError::Tls { part, reason };
    let cert = options.cert.expose().as_bytes();
    let chain = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| error("cert")(e.to_string()))?;
    if chain.is_empty() {
        return Err(error("cert")("no CERTIFICATE section".into()));
    }
    // The parser's words do not repeat what it read.
    let key = PrivateKeyDer::from_pem_slice(options.key.expose().as_bytes())
        .map_err(|e| error("key")(e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| error("cert")(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| error("cert")(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The listening side of a source.
pub(super) struct Server {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) app: Arc<App>,
    pub(super) max_connections: usize,
    pub(super) header_timeout: Duration,
    /// Accept no more; connections end after their current request.
    pub(super) draining: CancellationToken,
    /// End at once.
    pub(super) shutdown: CancellationToken,
    pub(super) connections: TaskTracker,
}

impl Server {
    pub(super) async fn run(self) {
        let slots = Arc::new(Semaphore::new(
            self.max_connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        let stop = || async {
            tokio::select! {
                () = self.draining.cancelled() => {}
                () = self.shutdown.cancelled() => {}
            }
        };
        loop {
            // The slot comes first: clients beyond the limit wait in the kernel's queue.
            let slot = tokio::select! {
                () = stop() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let accepted = tokio::select! {
                () = stop() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, _) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or a client that was gone already.
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let connection = Connection {
                app: Arc::clone(&self.app),
                header_timeout: self.header_timeout,
                draining: self.draining.clone(),
                shutdown: self.shutdown.clone(),
            };
            let tls = self.tls.clone();
            self.connections.spawn(async move {
                metrics::gauge!("alluvium_http_connections").increment(1.0);
                connection.serve(stream, tls).await;
                metrics::gauge!("alluvium_http_connections").decrement(1.0);
                drop(slot);
            });
        }
        self.connections.close();
    }
}

struct Connection {
    app: Arc<App>,
    header_timeout: Duration,
    draining: CancellationToken,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // An answer is one small write; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return self.http(stream).await;
        };
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
        tokio::select! {
            () = self.draining.cancelled() => {}
            () = self.shutdown.cancelled() => {}
            done = handshake => match done {
                Ok(Ok(stream)) => Box::pin(self.http(stream)).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn http(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(64 << 10)
            .keep_alive(true);
        let app = &*self.app;
        let service =
            service_fn(async |request| Ok::<_, Infallible>(handler::respond(app, request).await));
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            () = self.shutdown.cancelled() => return,
            ended = connection.as_mut() => ended,
            () = self.draining.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    () = self.shutdown.cancelled() => return,
                    ended = connection.as_mut() => ended,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
