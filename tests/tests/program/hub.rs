//! Downloads encoders by hub id. A server on this machine answers as the hub does, or as no hub should.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sha1::Sha1;
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A failure of one request for the content of weights.
#[derive(Clone, Copy)]
enum Trouble {
    /// The server answers with this status.
    Status(u16),
    /// The connection ends after this many bytes.
    CutAfter(usize),
    /// One byte of the content is changed.
    Damaged,
}

/// A hub with the model `org/tiny`. Its files are those of a golden folder.
struct LocalHub {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    files: BTreeMap<String, Vec<u8>>,
    requests: Mutex<Vec<String>>,
    /// Failures of the next requests for weights.
    troubles: Mutex<VecDeque<Trouble>>,
    /// Sent in place of the true commit. The next field does the same for the ETag.
    commit: Mutex<Option<&'static str>>,
    etag: Mutex<Option<&'static str>>,
    is_over: AtomicBool,
}

fn golden(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/encoders").join(family)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the ETag of a file on the hub: SHA-256 for large files, git's hash for small files.
fn etag(name: &str, bytes: &[u8]) -> String {
    if is_large(name) {
        return hex(&Sha256::digest(bytes));
    }
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

fn is_large(name: &str) -> bool {
    name == "model.safetensors" || name == "pytorch_model.bin" || name.ends_with(".parquet")
}

impl LocalHub {
    /// Starts the hub. Its data set `org/tiny` has one file in each split but `big`, which has two.
    fn start(family: &str) -> Self {
        let entries = std::fs::read_dir(golden(family)).unwrap().map(Result::unwrap);
        let mut files: BTreeMap<String, Vec<u8>> = entries
            .filter(|e| e.file_name() != "golden.json")
            .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
            .collect();
        let rows = std::fs::read(golden("../parquet/tagged.parquet")).unwrap();
        let parts = ["default/train/0000", "default/big/0000", "default/big/0001", "other/test/0000"];
        files.extend(parts.map(|part| (format!("{part}.parquet"), rows.clone())));
        let state = Arc::new(State {
            files,
            requests: Mutex::default(),
            troubles: Mutex::default(),
            commit: Mutex::default(),
            etag: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, answering) = (listener.local_addr().unwrap(), state.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if answering.is_over.load(Ordering::Relaxed) {
                    return;
                }
                // A client that disconnects is not an error of the server.
                let _ = answering.answer(stream.unwrap());
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests since the last call, each with its range.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }

    /// Returns the ranges of the requests for weights since the last call.
    fn ranges(&self) -> Vec<String> {
        let of = |request: String| request.strip_prefix("/store/").map(|r| r.split_once(' ').unwrap().1.to_owned());
        self.requests().into_iter().filter_map(of).collect()
    }

    fn trouble(&self, troubles: &[Trouble]) {
        self.state.troubles.lock().unwrap().extend(troubles);
    }
}

impl Drop for LocalHub {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl State {
    /// Answers one request and closes the connection.
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(&stream).lines();
        let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut range = None;
        for line in lines {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            range = range.or(line.strip_prefix("range: bytes=").map(|range| range.trim_end_matches('-').to_owned()));
        }
        let mut words = request.split(' ');
        let (is_head, url) = (words.next() == Some("HEAD"), words.next().unwrap_or_default());
        let asked = range.as_ref().map_or_else(String::new, |first| format!("bytes={first}-"));
        self.requests.lock().unwrap().push(format!("{url} {asked}"));
        let respond = |status: u16, headers: &[(&str, &str)], body: &[u8], sent: usize| {
            let mut head =
                format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
            headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
            let sent = if is_head { &[] } else { &body[..sent] };
            (&stream).write_all(&[(head + "\r\n").as_bytes(), sent].concat())
        };
        let refuse = |status: u16| respond(status, &[], b"", 0);

        let of_model = ["main", "v1", COMMIT].iter().find_map(|r| url.strip_prefix(&format!("/org/tiny/resolve/{r}/")));
        let of_model = of_model.or(url.strip_prefix("/datasets/org/tiny/resolve/refs%2Fconvert%2Fparquet/"));
        let of_store = url.strip_prefix("/store/");
        let Some((name, bytes)) = of_model.or(of_store).and_then(|name| Some((name, self.files.get(name)?))) else {
            return refuse(if url.contains("/org/private/") { 401 } else { 404 });
        };
        let commit = self.commit.lock().unwrap().unwrap_or(COMMIT);
        let etag = self.etag.lock().unwrap().map_or_else(|| etag(name, bytes), |e| format!("{e}-{name}"));
        let etag = format!("\"{etag}\"");
        // Large files are in another place, so the answer is a redirect.
        if of_model.is_some() && is_large(name) {
            let place = format!("/store/{name}");
            return respond(302, &[("X-Repo-Commit", commit), ("X-Linked-Etag", &etag), ("Location", &place)], b"", 0);
        }
        let trouble = of_store.and_then(|_| self.troubles.lock().unwrap().pop_front());
        let (mut bytes, mut sent) = (bytes.clone(), usize::MAX);
        match trouble {
            Some(Trouble::Status(status)) => return refuse(status),
            Some(Trouble::CutAfter(n)) => sent = n,
            Some(Trouble::Damaged) => bytes[7] ^= 1,
            None => {}
        }
        let first = range.as_ref().map_or(0, |first| first.parse::<usize>().unwrap());
        if first >= bytes.len() {
            return respond(416, &[("Content-Range", &format!("bytes */{}", bytes.len()))], b"", 0);
        }
        let part = format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len());
        let named = [("X-Repo-Commit", commit), ("ETag", &*etag), ("Content-Range", &*part)];
        let (status, named) = if range.is_some() { (206, &named[..]) } else { (200, &named[..2]) };
        let body = &bytes[first..];
        respond(status, named, body, sent.min(body.len()))
    }
}

/// Runs the trainer with its own cache and this endpoint.
fn trainer(binary: &Path, home: &Path, endpoint: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary);
    for variable in ["HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    {
        command.env_remove(variable);
    }
    command.args(arguments).env("HF_HOME", home).env("HF_ENDPOINT", endpoint).output().unwrap()
}

fn stdout(output: &Output) -> PathBuf {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout.clone()).unwrap().trim_end())
}

fn refused(output: &Output, expected: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !message.contains("panicked"), "{message}");
    for part in expected {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn models_are_downloaded_once_and_then_taken_from_the_cache() {
    let binary = tests::trainer!();
    for (family, weights) in [("bert-uncased", "model.safetensors"), ("bert-cased", "pytorch_model.bin")] {
        let home = tempfile::tempdir().unwrap();
        let hub = LocalHub::start(family);
        let endpoint = hub.endpoint();
        let run = |arguments: &[&str]| trainer(&binary, home.path(), &endpoint, arguments);
        let golden = golden(family);
        let same = |folder: &Path| {
            for name in [weights, "config.json"] {
                assert_eq!(std::fs::read(folder.join(name)).unwrap(), std::fs::read(golden.join(name)).unwrap());
            }
        };
        refused(&run(&["fetch", "org/tiny", "--offline"]), &["org/tiny", "cache", "--offline"]);
        assert!(hub.requests().is_empty());

        // An earlier download was interrupted.
        let blobs = home.path().join("hub/models--org--tiny/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        let bytes = std::fs::read(golden.join(weights)).unwrap();
        std::fs::write(blobs.join(format!("{}.part", etag(weights, &bytes))), &bytes[..1000]).unwrap();
        let folder = stdout(&run(&["fetch", "org/tiny"]));
        same(&folder);
        // The cache has the same layout as Python's cache.
        assert_eq!(folder, home.path().join("hub/models--org--tiny/snapshots").join(COMMIT));
        let requests = hub.requests();
        assert!(requests.iter().any(|r| r.contains("/resolve/main/config.json ")), "{requests:?}");
        assert!(requests.iter().any(|r| r.ends_with(&format!("/{weights} bytes=1000-"))), "{requests:?}");

        // A complete model is not requested again. A tag is looked up, but its files are already in the cache.
        assert_eq!(stdout(&run(&["fetch", "org/tiny"])), folder);
        assert!(hub.requests().is_empty());
        assert_eq!(stdout(&run(&["fetch", "org/tiny@v1"])), folder);
        assert!(hub.requests().iter().all(|url| url.contains("/resolve/v1/") || url.starts_with("/store/")));

        refused(&run(&["fetch", "org/none"]), &["org/none", "no folder", "is the name right?"]);
        refused(&run(&["fetch", "org/private"]), &["org/private", "HF_TOKEN"]);
        refused(&run(&["fetch", "./org/tiny"]), &["./org/tiny", "ORGANISATION/NAME"]);

        // The hub is no longer reachable.
        drop(hub);
        let out = home.path().join("copy");
        assert_eq!(stdout(&run(&["fetch", "org/tiny", "--out", out.to_str().unwrap()])), out);
        same(&out);
        assert_eq!(stdout(&run(&["fetch", &format!("org/tiny@{COMMIT}"), "--offline"])), folder);
        refused(&run(&["fetch", "org/other"]), &["org/other", &endpoint, "give a folder", "HTTPS_PROXY"]);
    }
}

#[test]
fn data_sets_are_downloaded_once_and_then_taken_from_the_cache() {
    let binary = tests::trainer!();
    let (home, hub) = (tempfile::tempdir().unwrap(), LocalHub::start("roberta"));
    let endpoint = hub.endpoint();
    let out = home.path().join("out.json");
    let convert = |name: &str| {
        let arguments = ["convert", "--corpus", name, "--to", "dynclean", "--out", out.to_str().unwrap()];
        trainer(&binary, home.path(), &endpoint, &arguments)
    };
    let entities = || std::fs::read_to_string(&out).unwrap().matches("\"PER\"").count();
    for name in ["hf://org/tiny", "hf://org/tiny/other@test"] {
        assert!(convert(name).status.success());
        assert_eq!(entities(), 1);
        std::fs::remove_file(&out).unwrap();
    }
    // The cache has the same layout as Python's cache.
    let cache = home.path().join("hub/datasets--org--tiny");
    let commit = std::fs::read_to_string(cache.join("refs/refs/convert/parquet")).unwrap();
    assert_eq!(commit, COMMIT);
    assert!(cache.join("snapshots").join(COMMIT).join("other/test/0000.parquet").is_file());
    assert_eq!(hub.ranges(), ["bytes=0-"], "the same content is downloaded once");
    refused(
        &convert("hf://org/tiny@big"),
        &["several files", "load_dataset(\"org/tiny\", \"default\", split=\"big\")"],
    );
    refused(&convert("hf://org/tiny@none"), &["no Parquet of hf://org/tiny/default@none", "CONFIG@SPLIT"]);
    refused(&convert("hf://org/private"), &["org/private", "HF_TOKEN"]);
    refused(&convert("hf://tiny"), &["hf://tiny is no data set", "hf://OWNER/NAME"]);
    drop(hub);
    assert!(convert("hf://org/tiny").status.success());
    assert_eq!(entities(), 1);
    refused(&convert("hf://org/other"), &["hf://org/other/default@train", &endpoint, "give a Parquet file"]);
    let train = ["train", "--train", "hf://org/other", "--dev", "hf://org/tiny", "--encoder", "builtin", "--offline"];
    let output = trainer(&binary, home.path(), &endpoint, &[&train[..], &["--out", "run"]].concat());
    refused(&output, &["hf://org/other/default@train is not in the cache"]);
}

#[test]
fn a_run_takes_its_encoder_from_the_hub() {
    let binary = tests::trainer!();
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let hub = LocalHub::start("roberta");
    let endpoint = hub.endpoint();
    let words = r#"[{"tokens": ["Ada", "wrote", "notes"], "entities": [[0, 0, "PER"]]},
                    {"tokens": ["a", "note", "of", "Rome"], "entities": [[3, 3, "LOC"]]}]"#;
    std::fs::write(path("data.json"), words).unwrap();
    let (data, out) = (path("data.json"), path("run"));
    let arguments = |encoder: &'static str| {
        vec![
            "run",
            "--train",
            &data,
            "--dev",
            &data,
            "--test",
            &data,
            "--epochs",
            "1",
            "--encoder",
            encoder,
            "--out",
            &out,
        ]
    };
    let run = |encoder| {
        let output = trainer(&binary, home.path(), &endpoint, &arguments(encoder));
        // Such a small run may end with nothing to clean. That is not the encoder's fault.
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let message = run("org/tiny");
    assert!(home.path().join("run/model-raw/tokenizer.json").is_file(), "{message}");
    // The run goes on with the same files under another name, and without the hub. It does not go on with other
    // files.
    assert!(run("org/tiny@v1").contains("not repeated"));
    drop(hub);
    assert!(run("org/tiny").contains("not repeated"));
    let snapshot = home.path().join("hub/models--org--tiny/snapshots").join(COMMIT);
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(snapshot.join(name)).unwrap();
        change(&mut bytes);
        std::fs::write(snapshot.join(name), bytes).unwrap();
    };
    changed("tokenizer.json", &|bytes| bytes.push(b'\n'));
    assert!(run("org/tiny").contains("other settings"));
    changed("pytorch_model.bin", &|bytes| bytes.truncate(bytes.len() / 2));
    assert!(run("org/tiny").contains("pytorch_model.bin"));
}

/// Returns the name and the content of a family's weights file.
fn weights(family: &str) -> (&'static str, Vec<u8>) {
    let name = ["model.safetensors", "pytorch_model.bin"].into_iter().find(|name| golden(family).join(name).is_file());
    let name = name.unwrap();
    (name, std::fs::read(golden(family).join(name)).unwrap())
}

#[test]
fn a_download_that_fails_is_tried_again_from_where_it_broke_off() {
    let binary = tests::trainer!();
    let (name, bytes) = weights("bert-uncased");
    let (home, hub) = (tempfile::tempdir().unwrap(), LocalHub::start("bert-uncased"));
    hub.trouble(&[Trouble::Status(503), Trouble::CutAfter(1000), Trouble::Status(429), Trouble::CutAfter(500)]);
    let output = trainer(&binary, home.path(), &hub.endpoint(), &["fetch", "org/tiny"]);
    assert_eq!(std::fs::read(stdout(&output).join(name)).unwrap(), bytes);
    assert_eq!(hub.ranges(), ["bytes=0-", "bytes=0-", "bytes=1000-", "bytes=1000-", "bytes=1500-"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("503") && told.contains("the next attempt"), "{told}");

    // In the end, the download is given up. The bytes that arrived are kept for the next time.
    let home = tempfile::tempdir().unwrap();
    let fetch = || trainer(&binary, home.path(), &hub.endpoint(), &["fetch", "org/tiny"]);
    hub.trouble(&[Trouble::CutAfter(1000)]);
    hub.trouble(&[Trouble::Status(500); 3]);
    refused(&fetch(), &["500", name, "try again"]);
    assert_eq!(hub.ranges().len(), 4);
    assert_eq!(std::fs::read(stdout(&fetch()).join(name)).unwrap(), bytes);
    assert_eq!(hub.ranges(), ["bytes=1000-"]);
}

#[test]
fn what_is_whole_is_not_asked_for_and_what_is_damaged_is_not_kept() {
    let binary = tests::trainer!();
    let (name, bytes) = weights("bert-uncased");
    let hub = LocalHub::start("bert-uncased");
    // Three cases: the process ended before the file got its name; there are too many bytes; there are wrong
    // bytes.
    let longer = [&bytes[..], b"more"].concat();
    let mut other = bytes.clone();
    other[0] ^= 1;
    for (part, asked) in [(&bytes, vec![]), (&longer, vec!["bytes=0-"]), (&other, vec!["bytes=0-"])] {
        let home = tempfile::tempdir().unwrap();
        let blobs = home.path().join("hub/models--org--tiny/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.part", etag(name, &bytes))), part).unwrap();
        let folder = stdout(&trainer(&binary, home.path(), &hub.endpoint(), &["fetch", "org/tiny"]));
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), bytes);
        let ranges = hub.ranges();
        assert!(ranges.last().map(String::as_str) == asked.last().copied() && ranges.len() <= 2, "{ranges:?}");
    }
    let home = tempfile::tempdir().unwrap();
    let fetch = || trainer(&binary, home.path(), &hub.endpoint(), &["fetch", "org/tiny"]);
    hub.trouble(&[Trouble::Damaged]);
    assert_eq!(std::fs::read(stdout(&fetch()).join(name)).unwrap(), bytes);
    assert_eq!(hub.ranges(), ["bytes=0-", "bytes=0-"]);
    let home = tempfile::tempdir().unwrap();
    let fetch = || trainer(&binary, home.path(), &hub.endpoint(), &["fetch", "org/tiny"]);
    hub.trouble(&[Trouble::Damaged; 4]);
    refused(&fetch(), &[name, "hash", "damaged"]);
    assert!(!home.path().join("hub/models--org--tiny/snapshots").join(COMMIT).join(name).exists());
}

/// File names in the cache come from the answers of the mirror.
#[test]
fn a_mirror_writes_nothing_outside_the_cache() {
    let binary = tests::trainer!();
    let hub = LocalHub::start("bert-uncased");
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("deep/down");
    let fetch = || trainer(&binary, &cache, &hub.endpoint(), &["fetch", "org/tiny"]);
    let outside = || {
        let entries =
            std::fs::read_dir(home.path()).unwrap().chain(std::fs::read_dir(home.path().join("deep")).unwrap());
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["deep", "down"]);
        let entries = std::fs::read_dir(&cache).unwrap().chain(std::fs::read_dir(cache.join("hub")).unwrap());
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["hub", "models--org--tiny"]);
    };
    *hub.state.etag.lock().unwrap() = Some("../../../../stolen");
    let folder = stdout(&fetch());
    outside();
    assert!(folder.join("config.json").canonicalize().unwrap().starts_with(cache.canonicalize().unwrap()));
    std::fs::remove_dir_all(cache.join("hub/models--org--tiny")).unwrap();
    *hub.state.etag.lock().unwrap() = None;
    for commit in ["../../../../stolen", "", "0123456789abcdef0123456789abcdef0123456/"] {
        *hub.state.commit.lock().unwrap() = Some(commit);
        refused(&fetch(), &["config.json", "commit", "HF_ENDPOINT"][1..]);
        assert!(!cache.join("hub/models--org--tiny/snapshots").exists());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
