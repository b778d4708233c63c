//! A static server for the page and a run, for people who have none at hand.

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use shared::cleaning::{Decisions, share};
use shared::detection::threshold::Settings;
use tiny_http::{Header, Request, Response, Server};

use crate::inspect;
use crate::pipeline::{DECISIONS, DYNAMICS};

/// Where a run's files are. Asked for itself, it leads to the page with the run opened.
const RUN: &str = "run/";

/// What is served: the page at `/`, a run's files at `/run/`.
pub struct Site {
    /// The built page.
    pub page: PathBuf,
    /// A run's folder.
    pub run: Option<PathBuf>,
}

/// Serves on the loopback address until the process ends; `announce` gets the address to open.
///
/// # Errors
/// When the port is taken or the page is not there.
pub fn serve(site: &Site, port: u16, announce: impl FnOnce(&str)) -> Result<()> {
    ensure!(
        site.page.join("index.html").is_file(),
        "there is no page in {}: build it with `cargo xtask page`, or name its folder with --page",
        site.page.display()
    );
    if let Some(run) = &site.run {
        let file = run.join(DYNAMICS);
        ensure!(file.is_file(), "there is no {}", file.display());
    }
    let server = Server::http(("127.0.0.1", port))
        .map_err(|e| anyhow!("cannot listen on port {port}: {e}; choose another with --port"))?;
    let port = server.server_addr().to_ip().map_or(port, |address| address.port());
    announce(&format!("http://127.0.0.1:{port}/{}", if site.run.is_some() { RUN } else { "" }));
    for request in server.incoming_requests() {
        // A browser that hangs up is no reason to stop serving.
        let _ = answer(site, request);
    }
    Ok(())
}

fn answer(site: &Site, request: Request) -> Result<()> {
    if let (Some(run), Some(RUN)) = (&site.run, request.url().strip_prefix('/')) {
        let place = format!("/?run={RUN}{DYNAMICS}{}", own_decisions(run).unwrap_or_default());
        let header = Header::from_bytes("Location", place).map_err(|()| anyhow!("header"))?;
        return request.respond(Response::empty(302).with_header(header)).context("response");
    }
    let file = site.resolve(request.url()).and_then(|path| Some((File::open(&path).ok()?, path)));
    let Some((file, path)) = file else {
        return request.respond(Response::from_string("not found").with_status_code(404)).context("response");
    };
    let header = Header::from_bytes("Content-Type", content_type(&path)).map_err(|()| anyhow!("header"))?;
    request.respond(Response::from_file(file).with_header(header)).context("response")
}

/// What a run decided, as the part of an address, where that is not what the page would show of itself.
fn own_decisions(run: &Path) -> Option<String> {
    let recorded = inspect::open(&run.join(DYNAMICS)).ok()?;
    let decisions = Decisions::read(&std::fs::read(run.join(DECISIONS)).ok()?, &recorded.digest).ok()?;
    let dynamics = &recorded.dynamics;
    let assigned = dynamics.corpus.dense_labels(&dynamics.span_index().ok()?);
    let is_automatic = decisions.overrides.is_empty() && decisions.settings == Settings::automatic(dynamics, &assigned);
    (!is_automatic).then(|| format!("#{}", share::fragment(&decisions)))
}

impl Site {
    /// The file behind a request; `None` for anything outside the two folders.
    fn resolve(&self, url: &str) -> Option<PathBuf> {
        let path = url.split(['?', '#']).next()?.trim_start_matches('/');
        let (root, rest) = match path.strip_prefix(RUN) {
            Some(rest) => (self.run.as_ref()?, rest),
            None => (&self.page, path),
        };
        let rest = Path::new(if rest.is_empty() { "index.html" } else { rest });
        let is_plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
        let file = root.join(rest);
        (is_plain && file.is_file()).then_some(file)
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folders_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let (page, run) = (folder.path().join("page"), folder.path().join("run"));
        for (root, name) in [(&page, "index.html"), (&run, "dynamics.dyn"), (&folder.path().to_owned(), "secret")] {
            std::fs::create_dir_all(root).unwrap();
            std::fs::write(root.join(name), name).unwrap();
        }
        let site = Site { page: page.clone(), run: Some(run.clone()) };
        assert_eq!(site.resolve("/?run=run/dynamics.dyn"), Some(page.join("index.html")));
        assert_eq!(site.resolve("/run/dynamics.dyn"), Some(run.join("dynamics.dyn")));
        for outside in ["/../secret", "/run/../secret", "/run//../secret", "/missing", "//etc/passwd", "/run/"] {
            assert_eq!(site.resolve(outside), None, "{outside}");
        }
        assert_eq!(Site { run: None, ..site }.resolve("/run/dynamics.dyn"), None);
    }
}
