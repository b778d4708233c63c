//! Downloads one file of a model or data set from the hub to the cache. It retries, continues an interrupted download,
//! and checks the hash.
//!
//! The server may be an untrusted mirror. Its answers become part of a path only if they are plain names.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LOCATION, RANGE, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use url::Url;

use super::cache::{Cached, is_commit};
use super::progress::Bar;
use crate::console;
use crate::interrupt::{self, Interrupted};

/// Number of failures in a row, without any new byte, after which a download stops.
const ATTEMPTS: u32 = 4;
/// Wait after the first of these failures. The wait doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait that is accepted from a server.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time without any data after which a connection counts as lost.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(15);
const REDIRECTS: u32 = 10;
const PIECE: usize = 1 << 16;

/// Reason why a file could not be downloaded.
#[derive(Debug)]
pub enum Failure {
    /// The server refuses, and may say how long to wait.
    Status(u16, Option<Duration>),
    /// The connection failed.
    Connection(String),
    /// The received bytes are not the file.
    Content(String),
    /// The server does not answer like a hub.
    NoHub(String),
    /// The file cannot be stored.
    Disk(io::Error),
    /// Somebody asked the work to stop.
    Interrupted(Interrupted),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, _) => write!(f, "the server answers with the status {status}"),
            Self::Connection(why) | Self::Content(why) | Self::NoHub(why) => f.write_str(why),
            Self::Disk(error) => error.fmt(f),
            Self::Interrupted(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// Returns whether another attempt may succeed.
    fn may_pass(&self) -> bool {
        match self {
            Self::Status(status, _) => matches!(status, 408 | 429 | 500..=599),
            Self::Connection(_) | Self::Content(_) => true,
            Self::NoHub(_) | Self::Disk(_) | Self::Interrupted(_) => false,
        }
    }

    /// Returns the wait before the next attempt, after this many failures in a row.
    fn wait(&self, failures: u32) -> Duration {
        let own = FIRST_WAIT * 2u32.saturating_pow(failures.saturating_sub(1));
        match self {
            Self::Status(_, Some(asked)) => own.max(*asked).min(LONGEST_WAIT),
            _ => own,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Interrupted> for Failure {
    fn from(error: Interrupted) -> Self {
        Self::Interrupted(error)
    }
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        Self::Connection(error.to_string())
    }
}

/// The hub's information about a file.
struct Found {
    commit: String,
    etag: String,
    /// Address of the content.
    place: Url,
}

/// HTTP client of a hub.
pub struct Client {
    agent: ureq::Agent,
    /// Sent only to the hub itself, and to no other host that it redirects to.
    token: Option<String>,
    hub: Url,
}

type Response = http::Response<ureq::Body>;

impl Client {
    /// Creates a client.
    ///
    /// # Errors
    /// When the endpoint is not a valid address.
    pub fn new(endpoint: &str, token: Option<&str>) -> Result<Self, Failure> {
        let hub = Url::parse(&format!("{endpoint}/"));
        let hub = hub.map_err(|error| Failure::NoHub(format!("{endpoint} is no address: {error}")))?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are handled here: the first answer describes the file, the last one has its content.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("dynclean/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        Ok(Self { agent: config.build().new_agent(), token: token.map(str::to_owned), hub })
    }

    /// Downloads a file of a model to the cache.
    ///
    /// # Errors
    /// When the download fails, also after all attempts that may help.
    pub fn fetch(&self, model: &Cached, path: &str, name: &str) -> Result<std::path::PathBuf, Failure> {
        let address = self.hub.join(path).map_err(|error| Failure::NoHub(error.to_string()))?;
        let mut bar = Bar::new(name);
        let mut failures = 0;
        loop {
            interrupt::check()?;
            let mut gained = 0;
            match self.attempt(model, &address, name, &mut bar, &mut gained) {
                Err(failure) if failure.may_pass() => {
                    let is_broken_off = gained > 0 && matches!(failure, Failure::Connection(_));
                    failures = if is_broken_off { 1 } else { failures + 1 };
                    if failures >= ATTEMPTS {
                        return Err(failure);
                    }
                    let wait = failure.wait(failures);
                    console::note(format_args!(
                        "{name}: {failure}; the next attempt is in {:.1} seconds",
                        wait.as_secs_f32()
                    ));
                    std::thread::sleep(wait);
                }
                ended => return ended,
            }
        }
    }

    /// Returns whether the hub has a file.
    ///
    /// # Errors
    /// When the hub's answer says neither that it has the file nor that it lacks the file.
    pub fn has(&self, path: &str) -> Result<bool, Failure> {
        let address = self.hub.join(path).map_err(|error| Failure::NoHub(error.to_string()))?;
        match self.look(&address) {
            Ok(_) => Ok(true),
            Err(Failure::Status(404, _)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    fn attempt(
        &self,
        model: &Cached,
        address: &Url,
        name: &str,
        bar: &mut Bar,
        gained: &mut u64,
    ) -> Result<std::path::PathBuf, Failure> {
        let found = self.look(address)?;
        let (blobs, blob) = (model.blobs()?, blob_name(&found.etag));
        let _lock = lock(&blobs.join(format!("{blob}.lock")))?;
        if !blobs.join(&blob).is_file() {
            let part = blobs.join(format!("{blob}.part"));
            // The file may be complete already. Then nothing is downloaded.
            if has_hash(&part, &found.etag)? != Some(true) {
                self.transfer(&found.place, &part, bar, gained)?;
                if has_hash(&part, &found.etag)? == Some(false) {
                    fs::remove_file(&part)?;
                    return Err(Failure::Content("what came does not have the hash that the hub names".to_owned()));
                }
            }
            fs::rename(&part, blobs.join(&blob))?;
        }
        let _ = fs::remove_file(blobs.join(format!("{blob}.lock")));
        Ok(model.name(&blob, &found.commit, name)?)
    }

    /// Asks the hub for the commit, etag and address of a file.
    fn look(&self, address: &Url) -> Result<Found, Failure> {
        let mut address = address.clone();
        for _ in 0..REDIRECTS {
            let response = self.ask(Method::HEAD, &address, None)?;
            let next = redirect(&response, &address)?;
            let (linked, commit) = ("x-linked-etag", "x-repo-commit");
            match next {
                // The hub redirects some names of files to others on the same server.
                Some(next) if next.origin() == self.hub.origin() && text(&response, linked).is_none() => address = next,
                next => {
                    if next.is_none() && !response.status().is_success() {
                        return Err(refusal(&response));
                    }
                    let commit = text(&response, commit).filter(|commit| is_commit(commit));
                    let commit = commit.ok_or_else(|| Failure::NoHub("the server names no commit".to_owned()))?;
                    let etag = text(&response, linked).or_else(|| text(&response, ETAG.as_str()));
                    let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
                    let etag = etag.filter(|etag| !etag.is_empty());
                    let etag = etag.ok_or_else(|| Failure::NoHub("the server gives the file no etag".to_owned()))?;
                    return Ok(Found {
                        commit: commit.to_owned(),
                        etag: etag.to_owned(),
                        place: next.unwrap_or(address),
                    });
                }
            }
        }
        Err(too_many_redirects())
    }

    /// Downloads the missing bytes of the file `part`. `gained` counts the bytes that were received.
    fn transfer(&self, place: &Url, part: &Path, bar: &mut Bar, gained: &mut u64) -> Result<(), Failure> {
        let mut file = OpenOptions::new().create(true).append(true).open(part)?;
        let mut there = file.metadata()?.len();
        let mut response = self.content(place, there)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && there > 0 {
            // The server has no more bytes, but the bytes that are there are not the file. Start again.
            file.set_len(0)?;
            there = 0;
            response = self.content(place, 0)?;
        }
        let whole = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let of = text(&response, CONTENT_RANGE.as_str()).unwrap_or_default().to_owned();
                let begins = of.strip_prefix("bytes ").and_then(|of| of.split('-').next()?.parse::<u64>().ok());
                if begins != Some(there) {
                    let message = format!("the server sends {of:?} where bytes from {there} on were asked for");
                    return Err(Failure::NoHub(message));
                }
                of.rsplit('/').next().and_then(|n| n.parse().ok())
            }
            // The server ignores ranges and sends the whole file.
            status if status.is_success() => {
                file.set_len(0)?;
                there = 0;
                text(&response, CONTENT_LENGTH.as_str()).and_then(|n| n.parse().ok())
            }
            _ => return Err(refusal(&response)),
        };
        bar.begin(there, whole);
        let mut reader = response.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        loop {
            // The bytes so far stay in the file, and the next start asks for the rest.
            interrupt::check()?;
            let read = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Connection(error.to_string())),
            };
            file.write_all(piece.get(..read).unwrap_or_default())?;
            there += read as u64;
            *gained += read as u64;
            bar.advance(read);
        }
        file.sync_all()?;
        match whole {
            Some(whole) if there < whole => {
                Err(Failure::Connection(format!("the connection ended after {there} of {whole} bytes")))
            }
            Some(whole) if there > whole => {
                file.set_len(0)?;
                Err(Failure::Content(format!("{there} bytes came in place of {whole}")))
            }
            _ => {
                bar.finish();
                Ok(())
            }
        }
    }

    /// Requests the bytes of a file from `first` on, and returns the answer.
    fn content(&self, place: &Url, first: u64) -> Result<Response, Failure> {
        let mut place = place.clone();
        for _ in 0..REDIRECTS {
            let response = self.ask(Method::GET, &place, Some(first))?;
            match redirect(&response, &place)? {
                Some(next) => place = next,
                None => return Ok(response),
            }
        }
        Err(too_many_redirects())
    }

    fn ask(&self, method: Method, address: &Url, first: Option<u64>) -> Result<Response, Failure> {
        let mut request = Request::builder().method(method).uri(address.as_str());
        if let Some(first) = first {
            request = request.header(RANGE, format!("bytes={first}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| address.origin() == self.hub.origin()) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(()).map_err(|error| Failure::NoHub(error.to_string()))?;
        Ok(self.agent.run(request)?)
    }
}

fn text<'a>(response: &'a Response, header: &str) -> Option<&'a str> {
    response.headers().get(HeaderName::try_from(header).ok()?)?.to_str().ok()
}

/// Returns the target of a redirect, or `None` if the answer is not a redirect.
fn redirect(response: &Response, from: &Url) -> Result<Option<Url>, Failure> {
    let to = response.status().is_redirection().then(|| text(response, LOCATION.as_str())).flatten();
    let to = to.map(|to| from.join(to)).transpose();
    to.map_err(|error| Failure::NoHub(format!("the server redirects to what is no address: {error}")))
}

fn refusal(response: &Response) -> Failure {
    let seconds = text(response, RETRY_AFTER.as_str()).and_then(|seconds| seconds.trim().parse().ok());
    Failure::Status(response.status().as_u16(), seconds.map(Duration::from_secs))
}

fn too_many_redirects() -> Failure {
    Failure::NoHub(format!("the server redirects more than {REDIRECTS} times"))
}

/// Returns the name of a content in the cache: its etag, as in Python, if that is a plain name, or else its hash.
fn blob_name(etag: &str) -> String {
    let is_plain = etag.len() <= 128 && etag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_plain { etag.to_owned() } else { hex(&Sha256::digest(etag)) }
}

/// Returns whether a file's content matches the etag, if the etag is a hash. The hub uses SHA-256 for large files
/// and git's hash for others.
fn has_hash(file: &Path, etag: &str) -> io::Result<Option<bool>> {
    let is_hex = etag.chars().all(|c| c.is_ascii_hexdigit());
    let mut content = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content?,
    };
    let found = match etag.len() {
        64 if is_hex => {
            let mut hash = Sha256::new();
            io::copy(&mut content, &mut hash)?;
            hex(&hash.finalize())
        }
        40 if is_hex => {
            let mut hash = Sha1::new();
            hash.update(format!("blob {}\0", content.metadata()?.len()));
            io::copy(&mut content, &mut hash)?;
            hex(&hash.finalize())
        }
        _ => return Ok(None),
    };
    Ok(Some(found.eq_ignore_ascii_case(etag)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits until no other process works on the same file.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    match file.lock() {
        // On a file system that has no locks, work without one.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_names_in_the_cache() {
        assert_eq!(blob_name("0a1b-x_y"), "0a1b-x_y");
        for etag in ["../../x", "a/b", "a\\b", "..", ".", "a.part", "C:x", &"a".repeat(129)] {
            let name = blob_name(etag);
            assert!(name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit()), "{etag} → {name}");
        }
        assert_ne!(blob_name("a/b"), blob_name("a/c"));
    }

    #[test]
    fn contents_are_told_by_their_hash() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let check = |etag: &str| has_hash(file.path(), etag).unwrap();
        // The example of FIPS 180-2, and the output of `git hash-object`.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check(sha256), Some(true));
        assert_eq!(check(&sha256.replace("ad", "ae")), Some(false));
        assert_eq!(check("f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"), Some(true));
        assert_eq!(check("a9993e364706816aba3e25717850c26c9cd0d89d"), Some(false));
        assert_eq!(check("etag"), None);
        assert_eq!(has_hash(Path::new("/none/at/all"), sha256).unwrap(), None);
    }

    #[test]
    fn waits_double_and_a_server_may_ask_for_more() {
        let refused = |asked: Option<u64>| Failure::Status(503, asked.map(Duration::from_secs));
        let waits = [1, 2, 3].map(|failures| refused(None).wait(failures).as_millis());
        assert_eq!(waits, [500, 1000, 2000]);
        assert_eq!(refused(Some(7)).wait(1), Duration::from_secs(7));
        assert_eq!(refused(Some(86_400)).wait(1), LONGEST_WAIT);
        let transient = [404, 401, 408, 429, 500, 503].map(|status| Failure::Status(status, None).may_pass());
        assert_eq!(transient, [false, false, true, true, true, true]);
    }
}
