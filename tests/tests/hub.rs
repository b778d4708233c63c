//! Encoders by hub id, against a server on this machine that answers as the hub does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tiny_http::{Header, Request, Response, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with the model `org/tiny`, whose files lie in a golden folder.
struct LocalHub {
    server: Arc<Server>,
    requests: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl LocalHub {
    fn start(family: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/encoders").join(family);
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let files: BTreeMap<String, Vec<u8>> = entries
            .filter(|e| e.file_name() != "golden.json")
            .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
            .collect();
        let server = Arc::new(Server::http(("127.0.0.1", 0)).unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (listening, noted) = (server.clone(), requests.clone());
        let thread = std::thread::spawn(move || {
            for request in listening.incoming_requests() {
                let range = request.headers().iter().find(|h| h.field.equiv("Range")).map_or("", |h| h.value.as_str());
                noted.lock().unwrap().push(format!("{} {range}", request.url()));
                answer(&files, request);
            }
        });
        Self { server, requests, thread: Some(thread) }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.server.server_addr().to_ip().unwrap())
    }

    /// The requests since the last call, each with its range.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Drop for LocalHub {
    fn drop(&mut self) {
        self.server.unblock();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).unwrap()
}

fn answer(files: &BTreeMap<String, Vec<u8>>, request: Request) {
    let range = request.headers().iter().find(|h| h.field.equiv("Range")).map(|h| h.value.as_str().to_owned());
    let refuse = |code: u16| Response::from_string("").with_status_code(code);
    let url = request.url().to_owned();
    let name = ["main", "v1", COMMIT].iter().find_map(|r| url.strip_prefix(&format!("/org/tiny/resolve/{r}/")));
    let _ = match name {
        // Large files lie elsewhere.
        Some(name) if name.starts_with("model.") && files.contains_key(name) => {
            let location = header("Location", &format!("/store/{name}"));
            let named =
                [header("X-Repo-Commit", COMMIT), header("X-Linked-Etag", &format!("\"etag-of-{name}\"")), location];
            request.respond(named.into_iter().fold(refuse(302), |response, h| response.with_header(h)))
        }
        None if url.starts_with("/org/private/") => request.respond(refuse(401)),
        _ => match name.or(url.strip_prefix("/store/")).and_then(|name| Some((name, files.get(name)?))) {
            None => request.respond(refuse(404)),
            Some((name, bytes)) => {
                let range = range.unwrap();
                let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let first: usize = first.parse().unwrap();
                let last = last.parse().map_or(bytes.len(), |last: usize| last + 1);
                let content_range = format!("bytes {first}-{}/{}", last - 1, bytes.len());
                let response = Response::from_data(&bytes[first..last]).with_status_code(206);
                let named = [
                    header("Content-Range", &content_range),
                    header("ETag", &format!("\"etag-of-{name}\"")),
                    header("X-Repo-Commit", COMMIT),
                ];
                request.respond(named.into_iter().fold(response, |response, h| response.with_header(h)))
            }
        },
    };
}

/// The trainer with a cache of its own and this endpoint.
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
    let Some(binary) = tests::trainer("models_are_downloaded_once_and_then_taken_from_the_cache") else { return };
    for (family, weights) in [("bert-uncased", "model.safetensors"), ("bert-cased", "pytorch_model.bin")] {
        let home = tempfile::tempdir().unwrap();
        let hub = LocalHub::start(family);
        let endpoint = hub.endpoint();
        let run = |arguments: &[&str]| trainer(&binary, home.path(), &endpoint, arguments);
        let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/encoders").join(family);
        let same = |folder: &Path| {
            for name in [weights, "config.json"] {
                assert_eq!(std::fs::read(folder.join(name)).unwrap(), std::fs::read(golden.join(name)).unwrap());
            }
        };
        refused(&run(&["fetch", "org/tiny", "--offline"]), &["org/tiny", "cache", "--offline"]);
        assert!(hub.requests().is_empty());

        // An earlier download broke off.
        let blobs = home.path().join("hub/models--org--tiny/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        let part = format!("etag-of-{}.part", weights.split_once('.').unwrap().0);
        std::fs::write(blobs.join(part), &std::fs::read(golden.join(weights)).unwrap()[..1000]).unwrap();
        let folder = stdout(&run(&["fetch", "org/tiny"]));
        same(&folder);
        // As Python lays its cache out.
        assert_eq!(folder, home.path().join("hub/models--org--tiny/snapshots").join(COMMIT));
        let requests = hub.requests();
        assert!(requests.iter().any(|r| r.contains("/resolve/main/config.json ")), "{requests:?}");
        assert!(requests.iter().any(|r| r.ends_with(&format!("/{weights} bytes=1000-"))), "{requests:?}");

        // There whole, it is not asked for again; a tag is, but its files are there already.
        assert_eq!(stdout(&run(&["fetch", "org/tiny"])), folder);
        assert!(hub.requests().is_empty());
        assert_eq!(stdout(&run(&["fetch", "org/tiny@v1"])), folder);
        assert!(hub.requests().iter().all(|url| url.contains("/resolve/v1/") || url.starts_with("/store/")));

        refused(&run(&["fetch", "org/none"]), &["org/none", "no folder", "is the name right?"]);
        refused(&run(&["fetch", "org/private"]), &["org/private", "HF_TOKEN"]);
        refused(&run(&["fetch", "./org/tiny"]), &["./org/tiny", "ORGANISATION/NAME"]);

        // The hub goes away.
        drop(hub);
        let out = home.path().join("copy");
        assert_eq!(stdout(&run(&["fetch", "org/tiny", "--out", out.to_str().unwrap()])), out);
        same(&out);
        assert_eq!(stdout(&run(&["fetch", &format!("org/tiny@{COMMIT}"), "--offline"])), folder);
        refused(&run(&["fetch", "org/other"]), &["org/other", &endpoint, "give a folder", "HTTPS_PROXY"]);
    }
}

#[test]
fn a_run_takes_its_encoder_from_the_hub() {
    let Some(binary) = tests::trainer("a_run_takes_its_encoder_from_the_hub") else { return };
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
        // So small a run may end with nothing to clean; the encoder is not to blame.
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let message = run("org/tiny");
    assert!(home.path().join("run/model-raw/tokenizer.json").is_file(), "{message}");
    // It goes on with the same files under another name, and without the hub; not with other files.
    assert!(run("org/tiny@v1").contains("not repeated"));
    drop(hub);
    assert!(run("org/tiny").contains("not repeated"));
    let blob = |name: &str| home.path().join("hub/models--org--tiny/blobs").join(format!("etag-of-{name}"));
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(blob(name)).unwrap();
        change(&mut bytes);
        std::fs::write(blob(name), bytes).unwrap();
    };
    changed("tokenizer.json", &|bytes| bytes.push(b'\n'));
    assert!(run("org/tiny").contains("other settings"));
    changed("pytorch_model.bin", &|bytes| bytes.truncate(bytes.len() / 2));
    assert!(run("org/tiny").contains("pytorch_model.bin"));
}
