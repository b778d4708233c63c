//! The served files, and the answers to requests.

use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use shared::cleaning::share;
use tower_http::services::ServeFile;
use xxhash_rust::xxh3::xxh3_64;

use super::page;
use super::review::{self, REVIEW, Review, TOKEN};
use crate::data::recording::Recording;
use crate::run::{DECISIONS, DYNAMICS, DYNAMICS_SO_FAR};

/// Address of a run's files. The address itself redirects to the page with the run opened.
pub const RUN: &str = "run/";
/// Address of the documentation. It is a folder of the page, if the page was built with it.
const BOOK: &str = "book/";
/// Answer if the page was built without the documentation.
const NO_BOOK: &str = "The documentation is not in this page. `cargo xtask book` adds it to the page in dist/. The \
                       programs that `cargo xtask wheel` and `cargo xtask dist` build contain it.\n";
/// Names of this machine in an address.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What to serve: the page at `/`, with its documentation at `/book/`, and a run's files at `/run/`.
pub struct Site {
    /// Folder of the built page; `None` for the page inside the program.
    pub page: Option<PathBuf>,
    /// Folder of a run, if there is one.
    pub run: Option<PathBuf>,
}

/// Body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A site whose folders exist, with their real paths.
pub struct Served {
    /// `None` for the page inside the program.
    page: Option<PathBuf>,
    run: Option<Arc<Run>>,
}

struct Run {
    folder: PathBuf,
    review: Review,
    /// The result of the last reading. It is kept, because all dynamics must be read for it.
    known: Mutex<Option<Known>>,
}

/// What is known about a run's files.
#[derive(Clone)]
struct Known {
    /// The state of the files when they were read.
    stamps: [Stamp; 3],
    /// Digest of the dynamics, if they can be read.
    digest: Option<String>,
    /// Where `/run/` redirects to: the page with this run and with the run's own decisions.
    start: String,
}

/// A value that changes with a file's content; `None` if the file does not exist.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(metadata: &Metadata) -> (SystemTime, u64) {
    (metadata.modified().unwrap_or(UNIX_EPOCH), metadata.len())
}

impl Served {
    /// Checks that the site's files exist.
    ///
    /// # Errors
    /// When the page or the run's dynamics do not exist.
    pub fn new(site: &Site) -> Result<Self> {
        let page = site.page.as_deref().map(|folder| -> Result<PathBuf> {
            let missing = || {
                format!(
                    "there is no page in {}: build it with `cargo xtask page`, or name its folder with --page",
                    folder.display()
                )
            };
            let page = folder.canonicalize().with_context(missing)?;
            ensure!(file_in(&page, "index.html").is_some(), missing());
            Ok(page)
        });
        let run = site.run.as_ref().map(|folder| -> Result<Arc<Run>> {
            let file = folder.join(dynamics_in(folder));
            ensure!(
                file.is_file(),
                "there is no {}, and no {DYNAMICS_SO_FAR}, which a run writes when it has begun to train",
                folder.join(DYNAMICS).display()
            );
            let folder = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
            ensure!(
                file_in(&folder, dynamics_in(&folder)).is_some(),
                "{} is a link that leads out of the folder, and only what is in the folder is served",
                file.display()
            );
            Ok(Arc::new(Run { folder, review: Review::new(), known: Mutex::default() }))
        });
        // Report a problem with the run first: the user named the run, and the page usually exists.
        let run = run.transpose()?;
        Ok(Self { page: page.transpose()?, run })
    }

    /// Answers one request. Errors are answers, too.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let is_saving = request.method() == Method::POST && request.uri().path().strip_prefix('/') == Some(REVIEW);
        let answered = if is_saving { self.save(request).await } else { self.find(&request).await };
        let mut response = answered.unwrap_or_else(|refusal| text(refusal.0, &refusal.1));
        let headers = response.headers_mut();
        // Browsers store files, but must ask whether they have changed.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let resource_policy = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(resource_policy, HeaderValue::from_static("same-origin"));
        response
    }

    async fn find<B>(&self, request: &Request<B>) -> Result<Response<Body>, Refusal> {
        check_host(request.headers(), request.uri().authority())?;
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered here.\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(response);
        }
        let not_found = || Refusal(StatusCode::NOT_FOUND, "There is no such file here.\n".to_owned());
        let path = percent_decode_str(request.uri().path()).decode_utf8().map_err(|_| not_found())?;
        let path = path.strip_prefix('/').ok_or_else(not_found)?;
        if BOOK.strip_suffix('/') == Some(path) {
            return Ok(redirect(&format!("/{BOOK}")));
        }
        let not_found = || if path == BOOK { Refusal(StatusCode::NOT_FOUND, NO_BOOK.to_owned()) } else { not_found() };
        let is_folder = |rest: &str| rest.is_empty() || rest.ends_with('/');
        let name = |rest: &str| format!("{rest}{}", if is_folder(rest) { "index.html" } else { "" });
        let (folder, rest) = match (path.strip_prefix(RUN), &self.page) {
            (None, Some(page)) => (page, path),
            (None, None) => {
                let name = name(path);
                let bytes = page::file(&name).ok_or_else(not_found)?;
                return Ok(page_response(request.headers(), &name, bytes));
            }
            (Some(rest), _) => {
                let run = self.run.as_ref().ok_or_else(not_found)?;
                if rest.is_empty() {
                    return Ok(redirect(&blocking(run, |run| run.known()).await?.start));
                }
                if path == REVIEW {
                    let offered = blocking(run, |run| run.review.offer(&run.folder, dynamics_in(&run.folder))).await?;
                    let mut response = text(StatusCode::OK, &offered);
                    set_type(&mut response, "application/json");
                    return Ok(response);
                }
                (&run.folder, rest)
            }
        };
        let name = name(rest);
        let found = blocking(folder, move |folder| file_in(folder, &name)).await?;
        let (file, metadata) = found.ok_or_else(not_found)?;
        file_response(request, &file, &metadata).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => not_found(),
            _ => Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("The file cannot be read: {error}.\n")),
        })
    }

    /// Saves the decisions in a request.
    async fn save<B>(&self, request: Request<B>) -> Result<Response<Body>, Refusal>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        check_host(request.headers(), request.uri().authority())?;
        let run =
            self.run.as_ref().ok_or_else(|| Refusal(StatusCode::NOT_FOUND, "No run is served here.\n".to_owned()))?;
        let token = request.headers().get(TOKEN).and_then(|token| token.to_str().ok());
        if !run.review.allows(token) {
            let why = "Only the page that this server has sent may save. If the server was started again, load the page again.\n";
            return Err(Refusal(StatusCode::FORBIDDEN, why.to_owned()));
        }
        let refused = |error: anyhow::Error| Refusal(StatusCode::BAD_REQUEST, format!("{error:#}\n"));
        let json = review::body(request.into_body()).await.map_err(refused)?;
        let saved = blocking(run, move |run| {
            let digest = run.known().digest.context("the run's dynamics cannot be read")?;
            review::save(&json, &digest, &run.folder)
        });
        saved.await?.map_err(refused)?;
        Ok(text(StatusCode::OK, ""))
    }
}

/// Reason why a request gets no file: a status and a text.
struct Refusal(StatusCode, String);

/// Runs work with files where it does not block other connections.
async fn blocking<S: Clone + Send + 'static, T: Send + 'static>(
    subject: &S,
    work: impl FnOnce(&S) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let subject = subject.clone();
    let done = tokio::task::spawn_blocking(move || work(&subject)).await;
    done.map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "This answer could not be worked out.\n".to_owned()))
}

/// Refuses requests that a browser sends under another name than this machine's.
///
/// The owner of a domain name can let it lead to this machine. The browser then takes this server for a part of
/// the owner's website, and lets the website read the answers (DNS rebinding). The port does not matter: it
/// changes through a tunnel, and no website can choose the names of this machine.
fn check_host(headers: &HeaderMap, of_target: Option<&Authority>) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_own = |name: &Authority| {
        !name.as_str().contains('@') && OWN_NAMES.iter().any(|own| name.host().eq_ignore_ascii_case(own))
    };
    let is_named = host.parse().is_ok_and(|host| is_own(&host)) && hosts.next().is_none();
    if is_named && of_target.is_none_or(is_own) {
        return Ok(());
    }
    let asked = of_target.map_or(host, Authority::as_str);
    let asked = if asked.is_empty() { "no address" } else { asked };
    Err(Refusal(
        StatusCode::MISDIRECTED_REQUEST,
        format!(
            "This server answers only requests to {}. This request is to {asked}.\n\
             Without this rule a website could read the served run under a name that leads to this machine.\n",
            OWN_NAMES.join(", ")
        ),
    ))
}

/// Returns the real path of a file in a folder. Returns `None` if there is no such file, or if its path or a link
/// on the way leads out of the folder.
fn file_in(folder: &Path, name: &str) -> Option<(PathBuf, Metadata)> {
    let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let file = is_plain.then(|| folder.join(name).canonicalize().ok())??;
    let metadata = file.metadata().ok()?;
    (file.starts_with(folder) && metadata.is_file()).then_some((file, metadata))
}

/// Returns the name of the file with a run's dynamics: the recording so far, if it has not ended.
fn dynamics_in(run: &Path) -> &'static str {
    let is_there = |name: &&str| run.join(name).is_file();
    [DYNAMICS, DYNAMICS_SO_FAR].into_iter().find(is_there).unwrap_or(DYNAMICS)
}

/// Answers with a file, with the requested part of it, or with "not modified".
async fn file_response<B>(request: &Request<B>, file: &Path, metadata: &Metadata) -> io::Result<Response<Body>> {
    let (modified, length) = stamp(metadata);
    // Dates in headers have whole seconds, and a file can change twice in a second.
    let tag = format!("\"{:x}-{length:x}\"", modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos());
    let mut headers = request.headers().clone();
    if headers.contains_key(IF_NONE_MATCH) {
        if has(&headers, &tag) {
            return Ok(tagged(text(StatusCode::NOT_MODIFIED, ""), &tag));
        }
        // The tag has priority over dates.
        headers.remove(IF_MODIFIED_SINCE);
    }
    if headers.get(IF_RANGE).is_some_and(|given| given != tag.as_str()) {
        headers.remove(RANGE);
    }
    let mut asked = Request::new(());
    *asked.method_mut() = request.method().clone();
    *asked.headers_mut() = headers;
    let mut response = ServeFile::new(file).try_call(asked).await?.map(BodyExt::boxed_unsync);
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if let Some(kind) = kind {
        set_type(&mut response, &kind);
    }
    Ok(tagged(response, &tag))
}

/// Returns whether the browser has the content with this tag.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut given = given.flat_map(|value| value.split(',')).map(str::trim);
    given.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

/// Answers with a file of the page inside the program, or with "not modified".
pub(super) fn page_response(headers: &HeaderMap, name: &str, bytes: &'static [u8]) -> Response<Body> {
    let tag = format!("\"{:x}\"", xxh3_64(bytes));
    if has(headers, &tag) {
        return tagged(text(StatusCode::NOT_MODIFIED, ""), &tag);
    }
    let body = Full::from(bytes).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    set_type(&mut response, mime_guess::from_path(name).first_or_octet_stream().essence_str());
    tagged(response, &tag)
}

/// Sets the content type. All text files here are UTF-8.
fn set_type(response: &mut Response<Body>, kind: &str) {
    let charset = if kind.starts_with("text/") { "; charset=utf-8" } else { "" };
    if let Ok(value) = HeaderValue::from_str(&format!("{kind}{charset}")) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
}

fn tagged(mut response: Response<Body>, tag: &str) -> Response<Body> {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Full::from(text.to_owned()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    if !text.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = text(StatusCode::FOUND, "");
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

impl Run {
    /// Returns the known facts about the run. They are read again only if the run's files have changed.
    fn known(&self) -> Known {
        let of = |name: &str| self.folder.join(name).metadata().ok().map(|metadata| stamp(&metadata));
        let stamps = [DYNAMICS, DYNAMICS_SO_FAR, DECISIONS].map(of);
        // A panic cannot leave half a value behind this lock, so a poisoned lock is usable.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(known) if known.stamps == stamps => known.clone(),
            _ => {
                let dynamics = dynamics_in(&self.folder);
                let recorded = Recording::open(&self.folder.join(dynamics)).ok();
                let decisions = recorded.as_ref().and_then(|recorded| own_decisions(recorded, &self.folder));
                let start = format!("/?run={RUN}{dynamics}&review={REVIEW}{}", decisions.unwrap_or_default());
                known.insert(Known { stamps, digest: recorded.map(|recorded| recorded.digest), start }).clone()
            }
        }
    }
}

/// Returns a run's decisions as a part of an address, if the page would not choose the same by default.
fn own_decisions(recorded: &Recording, run: &Path) -> Option<String> {
    let decisions = recorded.read_decisions(&run.join(DECISIONS)).ok()?;
    let is_automatic = decisions.overrides.is_empty() && decisions.settings == recorded.settings();
    (!is_automatic).then(|| format!("#{}", share::fragment(&decisions).0))
}
