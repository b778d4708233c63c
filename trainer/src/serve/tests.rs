use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};

use shared::cleaning::{Decisions, Override};
use shared::corpus::span::Span;
use shared::detection::threshold::Settings;

use super::site::page_response;
use super::*;
use crate::data::recording::Recording;
use crate::run::{COMMAND, DECISIONS, DYNAMICS, DYNAMICS_SO_FAR, REVIEWED};

/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(3600);
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v2.dyn");

/// A served page and run, in a folder that also contains a file outside of both.
struct Fixture {
    folder: tempfile::TempDir,
    port: u16,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Patience { request: LONG, answer: LONG })
    }

    fn with(patience: Patience) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (page, run) = (folder.path().join("page"), folder.path().join("run"));
        std::fs::create_dir_all(page.join("deep")).unwrap();
        std::fs::create_dir(&run).unwrap();
        for (path, content) in [
            ("page/index.html", "<p>page"),
            ("page/a b.wasm", "0123456789"),
            ("page/deep/start.js", "start()"),
            ("secret", "secret"),
        ] {
            std::fs::write(folder.path().join(path), content).unwrap();
        }
        std::fs::copy(GOLDEN, run.join(DYNAMICS)).unwrap();
        let (send, receive) = mpsc::channel();
        let site = Site { page: Some(page), run: Some(run) };
        std::thread::spawn(move || serve_with(patience, &site, 0, |address| send.send(address.to_owned()).unwrap()));
        let address = receive.recv().unwrap();
        let port = address.strip_prefix("http://127.0.0.1:").unwrap().strip_suffix("/run/").unwrap().parse().unwrap();
        Self { folder, port }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// Sends these lines and returns the whole answer.
    fn send(&self, lines: &[&str]) -> Answer {
        let mut stream = self.connect();
        stream.write_all((lines.join("\r\n") + "\r\n\r\n").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{lines:?}: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Returns the answer to a request like a browser's, with additional headers.
    fn ask(&self, method: &str, target: &str, headers: &[&str]) -> Answer {
        let (first, host) = (format!("{method} {target} HTTP/1.1"), format!("Host: 127.0.0.1:{}", self.port));
        self.send(&[&[first.as_str(), &host, "Connection: close"], headers].concat())
    }

    fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[])
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).is_some();
        self.head.lines().find(|line| named(line)).and_then(|line| Some(line.split_once(": ")?.1))
    }
}

#[test]
fn files_come_with_their_types_and_are_asked_for_again() {
    let site = Fixture::new();
    for (target, of, body) in [
        ("/", "text/html; charset=utf-8", "<p>page"),
        ("/?run=run/dynamics.dyn", "text/html; charset=utf-8", "<p>page"),
        ("/a%20b.wasm?x", "application/wasm", "0123456789"),
        ("/deep/start.js", "text/javascript; charset=utf-8", "start()"),
    ] {
        let answer = site.get(target);
        assert_eq!((answer.status, answer.header("content-type"), answer.body.as_str()), (200, Some(of), body));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let head = site.ask("HEAD", target, &[]);
        assert_eq!(
            (head.status, head.header("content-length"), head.body.as_str()),
            (200, Some(&*body.len().to_string()), "")
        );
    }
    assert_eq!(site.get("/run/dynamics.dyn").header("content-type"), Some("application/octet-stream"));
    let refused = site.ask("POST", "/", &["Content-Length: 0"]);
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn the_book_is_a_folder_of_the_page_and_is_named_if_it_is_missing() {
    let site = Fixture::new();
    let missing = site.get("/book/");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("cargo xtask book"), "{}", missing.body);
    std::fs::create_dir_all(site.path("page/book")).unwrap();
    std::fs::write(site.path("page/book/index.html"), "<p>book").unwrap();
    let found = site.get("/book/");
    assert_eq!((found.status, found.body.as_str()), (200, "<p>book"));
    assert_eq!(found.header("content-type"), Some("text/html; charset=utf-8"));
    // Without the slash, the links of the book would lead beside it.
    let without_slash = site.get("/book");
    assert_eq!((without_slash.status, without_slash.header("location")), (302, Some("/book/")));
    assert!(!site.get("/book/none.html").body.contains("cargo xtask"));
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let site = Fixture::new();
    let (file, target) = (site.path("page/a b.wasm"), "/a%20b.wasm");
    let first = site.get(target);
    let (tag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    let by_tag = |tag: &str| site.ask("GET", target, &[&format!("If-None-Match: {tag}")]);
    for given in [tag, &format!("\"other\", W/{tag}"), "*"] {
        let answer = by_tag(given);
        assert_eq!((answer.status, answer.header("etag"), answer.body.as_str()), (304, Some(tag), ""), "{given}");
    }
    let since = format!("If-Modified-Since: {date}");
    assert_eq!(site.ask("GET", target, &[&since]).status, 304);
    // The file changes within the second: the date stays the same, the tag does not. The tag has priority.
    let modified = file.metadata().unwrap().modified().unwrap();
    std::fs::write(&file, "9876543210").unwrap();
    let open = std::fs::File::options().write(true).open(&file).unwrap();
    open.set_modified(modified + Duration::from_nanos(200)).unwrap();
    let answer = site.ask("GET", target, &[&format!("If-None-Match: {tag}"), &since]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "9876543210"));
}

#[test]
fn parts_of_files_are_served() {
    let site = Fixture::new();
    let part = |range: &str, more: &[&str]| {
        let answer = site.ask("GET", "/a%20b.wasm", &[&[&*format!("Range: bytes={range}")], more].concat());
        let of = answer.header("content-range").map(str::to_owned);
        (answer.status, of, answer.body)
    };
    let partial = |of: &str, body: &str| (206, Some(format!("bytes {of}/10")), body.to_owned());
    assert_eq!(part("2-4", &[]), partial("2-4", "234"));
    assert_eq!(part("7-", &[]), partial("7-9", "789"));
    assert_eq!(part("-2", &[]), partial("8-9", "89"));
    assert_eq!(part("10-", &[]), (416, Some("bytes */10".to_owned()), String::new()));
    let tag = site.get("/a%20b.wasm").header("etag").unwrap().to_owned();
    assert_eq!(part("2-4", &[&format!("If-Range: {tag}")]), partial("2-4", "234"));
    assert_eq!(part("2-4", &["If-Range: \"other\""]), (200, None, "0123456789".to_owned()));
}

#[test]
fn nothing_outside_the_folders_is_served() {
    let site = Fixture::new();
    for outside in [
        "/../secret",
        "/run/../secret",
        "/run//../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "//etc/passwd",
        "/missing",
        "/deep",
        "/deep/",
        "/run/deep/start.js",
        "/%00",
        "/%ff",
        "/index.html/x",
    ] {
        let answer = site.get(outside);
        assert_eq!((answer.status, answer.body.contains("secret")), (404, false), "{outside}");
    }
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out() {
    use std::os::unix::fs::symlink;
    let site = Fixture::new();
    symlink("../secret", site.path("page/link")).unwrap();
    symlink(site.folder.path(), site.path("run/folder")).unwrap();
    symlink("a b.wasm", site.path("page/inside")).unwrap();
    // Saved decisions do not go through a link.
    let digest = Recording::open(&site.path("run/dynamics.dyn")).unwrap().digest;
    let json = Decisions::new(digest, Settings::paper()).to_json();
    symlink("../secret", site.path("run").join(REVIEWED)).unwrap();
    let offer: serde_json::Value = serde_json::from_str(&site.get("/run/review").body).unwrap();
    let headers = [
        format!("X-DynClean-Token: {}", offer["token"].as_str().unwrap()),
        format!("Content-Length: {}", json.len()),
        String::new(),
        json,
    ];
    let refused = site.ask("POST", "/run/review", &headers.each_ref().map(String::as_str));
    assert_eq!((refused.status, refused.body.contains("no file")), (400, true), "{}", refused.body);
    assert_eq!(std::fs::read_to_string(site.path("secret")).unwrap(), "secret");
    assert_eq!((site.get("/link").status, site.get("/run/folder/secret").status), (404, 404));
    assert_eq!(site.get("/inside").body, "0123456789");
    // A run whose dynamics are such a link is refused before anything is served.
    std::fs::rename(site.path("run/dynamics.dyn"), site.path("elsewhere.dyn")).unwrap();
    symlink("../elsewhere.dyn", site.path("run/dynamics.dyn")).unwrap();
    let linked = Site { page: Some(site.path("page")), run: Some(site.path("run")) };
    let refused = serve(&linked, 0, |_| panic!("it is not served")).unwrap_err().to_string();
    assert!(refused.contains("dynamics.dyn") && refused.contains("leads out"), "{refused}");
}

/// A website can let its own name lead to this machine, and ask under that name.
#[test]
fn only_this_machines_names_are_answered() {
    let site = Fixture::new();
    let ask = |host: &[&str], target: &str| {
        let first = format!("GET {target} HTTP/1.1");
        site.send(&[&[first.as_str(), "Connection: close"], host].concat())
    };
    for own in ["localhost:8080", "LocalHost", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
        assert_eq!(ask(&[&format!("Host: {own}")], "/run/dynamics.dyn").status, 200, "{own}");
    }
    for other in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "x@localhost",
        "a b",
        "",
    ] {
        let refused = ask(&[&format!("Host: {other}")], "/run/dynamics.dyn");
        assert_eq!(refused.status, 421, "{other}");
        assert!(refused.body.contains("localhost") && refused.body.contains(other), "{other}: {}", refused.body);
        assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!(ask(&[], "/").status, 421);
    assert_eq!(ask(&["Host: localhost", "Host: evil.example"], "/").status, 421);
    assert_eq!(ask(&["Host: localhost"], "http://evil.example/").status, 421);
    assert_eq!(ask(&["Host: localhost"], "http://localhost/").status, 200);
}

#[test]
fn a_client_that_stalls_stops_nobody() {
    let site = Fixture::new();
    // Larger than the buffers of the system.
    let large = std::fs::File::create(site.path("run/large")).unwrap();
    large.set_len(1 << 30).unwrap();
    let mut stalled = Vec::new();
    for request in ["", "GET / HT", "GET /run/large HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        for _ in 0..20 {
            let mut stream = site.connect();
            stream.write_all(request.as_bytes()).unwrap();
            stalled.push(stream);
        }
    }
    assert_eq!(site.get("/").body, "<p>page");
}

#[test]
fn a_client_that_stalls_is_given_up() {
    let short = Duration::from_millis(200);
    let site = Fixture::with(Patience { request: short, answer: LONG });
    for request in ["", "GET / HT"] {
        let mut stream = site.connect();
        stream.write_all(request.as_bytes()).unwrap();
        // Ends when the server closes the connection.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let site = Fixture::with(Patience { request: LONG, answer: short });
    std::fs::File::create(site.path("run/large")).unwrap().set_len(1 << 30).unwrap();
    let mut stream = site.connect();
    stream.write_all(b"GET /run/large HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // Read nothing of the answer. The loop ends when the server closes the connection.
    while stream.write_all(&[b'x'; 4096]).is_ok() {}
}

#[test]
fn a_run_opens_as_it_was_decided_and_is_decoded_once() {
    let site = Fixture::new();
    let start = || site.get("/run/").header("location").unwrap().to_owned();
    assert_eq!(site.get("/run/").status, 302);
    assert_eq!(start(), "/?run=run/dynamics.dyn&review=run/review");
    let dynamics = site.path("run/dynamics.dyn");
    let opened = Recording::open(&dynamics).unwrap();
    let mut settings = opened.settings();
    settings.dictionary_check = !settings.dictionary_check;
    let decide = |settings: &Settings| {
        let decisions = Decisions::new(opened.digest.clone(), settings.clone());
        std::fs::write(site.path("run").join(DECISIONS), decisions.to_json()).unwrap();
    };
    decide(&settings);
    let decided = start();
    assert!(decided.starts_with("/?run=run/dynamics.dyn&review=run/review#"), "{decided}");
    // Write other bytes with the same date. If the file were read again, it would not be valid dynamics.
    let (bytes, modified) = (std::fs::read(&dynamics).unwrap(), dynamics.metadata().unwrap().modified().unwrap());
    overwrite(&dynamics, &vec![0; bytes.len()], modified);
    assert_eq!(start(), decided);
    overwrite(&dynamics, &bytes, modified);
    // Changes are noticed. An address has room for 200 decisions by hand, and the page learns of more.
    let mut by_hand = Decisions::new(opened.digest.clone(), settings.clone());
    let span = opened.dynamics.corpus.entities[0].span;
    for (n, is_there) in [(200, true), (201, false)] {
        by_hand.overrides = vec![(span, Override::Keep); n];
        std::fs::write(site.path("run").join(DECISIONS), by_hand.to_json()).unwrap();
        let address = start();
        assert!(address.contains("#decisions=") && address.contains("keep") == is_there, "{n}");
        let offer: serde_json::Value = serde_json::from_str(&site.get("/run/review").body).unwrap();
        assert_eq!(offer["by_hand"], if is_there { 0 } else { n });
    }
    std::fs::remove_file(site.path("run").join(DECISIONS)).unwrap();
    assert_eq!(start(), "/?run=run/dynamics.dyn&review=run/review");
}

/// Any website may send a request to this server.
#[test]
fn only_the_page_saves_decisions_and_only_about_the_run() {
    let site = Fixture::new();
    let reviewed = site.path("run").join(REVIEWED);
    let offer = || serde_json::from_str::<serde_json::Value>(&site.get("/run/review").body).unwrap();
    let token = offer()["token"].as_str().unwrap().to_owned();
    assert_eq!((token.len(), &offer()["command"]), (32, &serde_json::Value::Null));
    let post = |headers: &[&str], body: &str| {
        let length = format!("Content-Length: {}", body.len());
        site.ask("POST", "/run/review", &[headers, &[&length, "", body]].concat())
    };
    let digest = Recording::open(&site.path("run/dynamics.dyn")).unwrap().digest;
    let json = |digest: &str| Decisions::new(digest.to_owned(), Settings::paper()).to_json();
    let own = json(&digest);
    for headers in [vec![], vec!["X-DynClean-Token: 0"], vec!["X-DynClean-Token: "]] {
        let refused = post(&headers, &own);
        assert_eq!((refused.status, reviewed.exists()), (403, false), "{headers:?}");
        assert!(refused.body.contains("load the page again"));
    }
    let allowed = format!("X-DynClean-Token: {token}");
    let saved = post(&[&allowed], &own);
    assert_eq!((saved.status, std::fs::read_to_string(&reviewed).unwrap()), (200, own.clone()), "{}", saved.body);
    for (other, why) in [(json("other"), "another dynamics file"), ("{".to_owned(), "not a decisions file")] {
        let refused = post(&[&allowed], &other);
        assert_eq!((refused.status, refused.body.contains(why)), (400, true), "{}", refused.body);
    }
    assert_eq!(std::fs::read_to_string(&reviewed).unwrap(), own, "what was saved stays");
    // Somebody else's decisions are kept, unless the new version has all of them.
    let span = |end| Span { sentence: 0, start: 0, end };
    let deciding = |ends: &[u32]| {
        let mut decisions = Decisions::new(digest.clone(), Settings::paper());
        decisions.overrides = ends.iter().map(|&end| (span(end), Override::Keep)).collect();
        decisions.to_json()
    };
    let aside = |n| std::fs::read_to_string(site.path("run").join(format!("reviewed-{n}.json"))).ok();
    type Ends<'a> = &'a [u32];
    let steps: [(Ends, [Option<Ends>; 2]); 4] = [
        (&[0], [None, None]),
        (&[0, 1], [None, None]),
        (&[1], [Some(&[0, 1]), None]),
        (&[2], [Some(&[0, 1]), Some(&[1])]),
    ];
    for (ends, kept) in steps {
        assert_eq!(post(&[&allowed], &deciding(ends)).status, 200);
        assert_eq!(std::fs::read_to_string(&reviewed).unwrap(), deciding(ends));
        assert_eq!([aside(1), aside(2)], kept.map(|ends| ends.map(deciding)), "{ends:?}");
    }
    // The token counts for this address alone, and not under another name.
    assert_eq!(site.ask("POST", "/run/dynamics.dyn", &[&allowed, "Content-Length: 0"]).status, 405);
    let other_name =
        ["POST /run/review HTTP/1.1", "Host: evil.example", "Connection: close", &allowed, "Content-Length: 0"];
    assert_eq!(site.send(&other_name).status, 421);

    std::fs::write(site.path("run").join(COMMAND), "trainer run --out 'a run'\n").unwrap();
    let file = std::fs::canonicalize(&reviewed).unwrap();
    assert_eq!(offer()["file"].as_str(), file.to_str());
    let command = format!("trainer run --out 'a run' --decisions {}", file.display());
    assert_eq!(offer()["command"], command);
    // A folder may come from a stranger, and the command goes into a shell.
    for other in
        ["rm -r x", "trainer run --out a\nrm -r x", "trainer run --out a; rm -r x", "trainer run --out $(rm x)"]
    {
        std::fs::write(site.path("run").join(COMMAND), other).unwrap();
        assert_eq!(offer()["command"], serde_json::Value::Null, "{other}");
    }
    let too_long = ["X-DynClean-Token: 0", "Content-Length: 99999999999"];
    assert_eq!(site.ask("POST", "/run/review", &too_long).status, 403, "nothing is read without the token");
}

fn overwrite(file: &Path, bytes: &[u8], modified: std::time::SystemTime) {
    std::fs::write(file, bytes).unwrap();
    std::fs::File::options().write(true).open(file).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_run_that_is_at_work_is_shown_as_far_as_it_is() {
    let site = Fixture::new();
    let (whole, so_far) = (site.path("run/dynamics.dyn"), site.path("run").join(DYNAMICS_SO_FAR));
    std::fs::rename(&whole, &so_far).unwrap();
    let start = || site.get("/run/").header("location").unwrap().to_owned();
    let offered = || serde_json::from_str::<serde_json::Value>(&site.get("/run/review").body).unwrap();
    assert_eq!(start(), "/?run=run/dynamics.dyn.partial&review=run/review");
    let length = so_far.metadata().unwrap().len();
    assert_eq!((&offered()["dynamics"], &offered()["length"]), (&DYNAMICS_SO_FAR.into(), &length.into()));
    std::fs::write(&so_far, [std::fs::read(&so_far).unwrap(), vec![0]].concat()).unwrap();
    assert_eq!(offered()["length"], length + 1);
    std::fs::rename(&so_far, &whole).unwrap();
    assert_eq!(
        (start().as_str(), &offered()["dynamics"]),
        ("/?run=run/dynamics.dyn&review=run/review", &DYNAMICS.into())
    );
}

#[test]
fn a_port_that_is_taken_and_a_page_that_is_missing_are_named() {
    let site = Fixture::new();
    let page = || Site { page: Some(site.path("page")), run: None };
    let message = |site: &Site, port| serve(site, port, |_| panic!("it is not served")).unwrap_err().to_string();
    let taken = message(&page(), site.port);
    assert!(taken.contains(&format!("port {}", site.port)) && taken.contains("--port"), "{taken}");
    for missing in [site.path("none"), site.path("run")] {
        let missing = message(&Site { page: Some(missing), run: None }, 0);
        assert!(missing.contains("cargo xtask page") && missing.contains("--page"), "{missing}");
    }
    let empty = site.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let no_epoch = message(&Site { run: Some(empty), ..page() }, 0);
    assert!(no_epoch.contains("begun to train"), "{no_epoch}");
    let no_run = message(&Site { run: Some(site.path("page")), ..page() }, 0);
    assert!(no_run.contains("dynamics.dyn"), "{no_run}");
}

#[test]
fn the_page_inside_the_program_is_answered_like_a_file() {
    let answer = |name: &str, tag: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.extend(tag.map(|tag| (IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap())));
        let response = page_response(&headers, name, b"<p>page");
        let of = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), of(CONTENT_TYPE), of(ETAG).unwrap())
    };
    let (status, kind, tag) = answer("index.html", None);
    assert_eq!((status, kind.as_deref()), (200, Some("text/html; charset=utf-8")));
    // A browser needs this type to compile while it loads.
    assert_eq!(answer("web_bg.wasm", None).1.as_deref(), Some("application/wasm"));
    assert_eq!(answer("index.html", Some(&tag)).0, 304);
    assert_eq!(answer("index.html", Some("\"other\"")).0, 200);
}
