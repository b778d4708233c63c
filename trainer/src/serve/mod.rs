//! A web server for the page and a run, for people who have no other web server. It only reads files, except that it
//! writes the decisions that the page saves.
//!
//! Every connection is a task of its own with time-outs, so a client that stalls does not block the others.

pub mod page;
mod review;
mod site;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

pub use site::Site;
use site::{RUN, Served};

/// How long to wait for a client.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Time from the start of a request, or from the end of the one before, to the end of its headers.
    request: Duration,
    /// Time in which the client accepts no more bytes of an answer.
    answer: Duration,
}

const PATIENCE: Patience = Patience { request: Duration::from_secs(60), answer: Duration::from_secs(60) };
/// Pause if no connection can be accepted, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves on the loopback address until the process ends. `announce` gets the address to open.
///
/// # Errors
/// When the port is in use, or the page or the run does not exist.
pub fn serve(site: &Site, port: u16, announce: impl FnOnce(&str)) -> Result<()> {
    serve_with(PATIENCE, site, port, announce)
}

fn serve_with(patience: Patience, site: &Site, port: u16, announce: impl FnOnce(&str)) -> Result<()> {
    let served = Arc::new(Served::new(site)?);
    let refused = |e| anyhow!("cannot listen on port {port}: {e}; choose another with --port");
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let port = listener.local_addr().map_err(refused)?.port();
    announce(&format!("http://127.0.0.1:{port}/{}", if site.run.is_some() { RUN } else { "" }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot serve")?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(refused)?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(converse(stream, served.clone(), patience))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    })
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, served: Arc<Served>, patience: Patience) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.answer));
    let service = service_fn(move |request| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(served.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience.request);
    // Ignore errors: if a browser closes the connection, the server goes on.
    let _ = http.serve_connection(TokioIo::new(Box::pin(stream)), service).await;
}
