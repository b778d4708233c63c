//! A headless browser with the page open. Tests use it as a person would.

use std::cell::Cell;
use std::ffi::OsStr;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fantoccini::actions::{Actions, InputSource, KeyAction, KeyActions, MouseActions, PointerAction, TouchActions};
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::kept_folder;

/// Longest wait for anything. It is long, because a busy machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The programs and folders that the browser tests need.
pub struct Places {
    pub trainer: PathBuf,
    pub page: PathBuf,
    program: PathBuf,
    driver: PathBuf,
    browser: Browser,
}

impl Places {
    /// Finds the places from the environment. If something is missing, the test is skipped, but in CI it fails.
    pub fn find(test: &str) -> Option<Self> {
        let places = || {
            Some(Self {
                trainer: tests::trainer!(),
                page: tests::page(test)?,
                program: tests::program("CHROMIUM", &["chromium", "chromium-browser", "google-chrome"], test)?,
                driver: tests::program("CHROMEDRIVER", &["chromedriver"], test)?,
                browser: Browser::Chromium,
            })
        };
        let found = places();
        assert!(found.is_some() || std::env::var_os("CI").is_none(), "CI must not skip browser tests");
        found
    }

    /// Returns the same places with Firefox. Without Firefox the test fails, unless someone leaves it out by name.
    pub fn with_firefox(self, test: &str) -> Option<Self> {
        let program = tests::program("FIREFOX", &["firefox-esr", "firefox"], test)?;
        let driver = tests::program("GECKODRIVER", &["geckodriver"], test)?;
        Some(Self { program, driver, browser: Browser::Firefox, ..self })
    }
}

/// A program that ends together with this value, or with the process of the tests: a browser waits in a static for its
/// next test, and nothing in a static is dropped.
struct Running(Child);

impl Running {
    /// Starts the program beside a reader of an empty pipe. The pipe ends when nobody holds its other end any more.
    const WATCH: &str = r#"exec 3<&0; "$@" 3<&- </dev/null & exec >/dev/null; cat <&3; kill -9 $!; wait"#;

    fn start(program: &Path, arguments: &[&OsStr]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", Self::WATCH, "sh"]).arg(program).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Closes the pipe before it waits.
        let _ = self.0.wait();
    }
}

/// How often a program is started that ends at once. A driver may find that another program has taken its port.
const ATTEMPTS: usize = 3;

/// Starts a program. Waits for a line on its standard output for which `find` returns a value.
fn start<T>(program: &Path, arguments: &[&OsStr], find: impl Fn(&str) -> Option<T>) -> (Running, T) {
    for _ in 0..ATTEMPTS {
        let mut running = Running::start(program, arguments);
        let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| find(&line));
        if let Some(found) = found {
            // Later output is read as well. Otherwise the program would wait for a reader.
            std::thread::spawn(move || lines.for_each(drop));
            return (running, found);
        }
    }
    panic!("{} did not start", program.display())
}

/// The page in a browser.
pub struct Page {
    client: Client,
    downloads: PathBuf,
    server: Cell<Option<Running>>,
    browser: Browser,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Browser {
    Chromium,
    Firefox,
}

/// A running browser.
struct Session {
    browser: Browser,
    /// What the client needs to work. It goes on only while a test waits for something.
    runtime: Runtime,
    client: Client,
    _driver: Running,
    /// Holds the profile and the downloads.
    folder: PathBuf,
}

/// Browsers (Chromium) whose test has passed. A start takes longer than most tests, so other tests go on with them.
static IDLE: Mutex<Vec<Session>> = Mutex::new(Vec::new());

impl Session {
    fn take(places: &Places) -> Self {
        let idle = || IDLE.lock().unwrap().pop();
        (places.browser == Browser::Chromium).then(idle).flatten().unwrap_or_else(|| Self::start(places))
    }

    fn start(places: &Places) -> Self {
        let (driver, port) = start(&places.driver, &["--port=0".as_ref()], |line| {
            // The messages of Chromium's driver and of Firefox's driver.
            let said =
                line.split("started successfully on port ").nth(1).or(line.split("Listening on 127.0.0.1:").nth(1));
            said?.trim_end_matches('.').parse::<u16>().ok()
        });
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let folder = kept_folder(&format!("browser-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        let capabilities = match places.browser {
            Browser::Chromium => chromium(&places.program, &folder.join("profile")),
            Browser::Firefox => firefox(&places.program, &downloads(&folder)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(connect(port, capabilities));
        Self { browser: places.browser, runtime, client, _driver: driver, folder }
    }

    fn close(self) {
        self.runtime.block_on(self.client.close()).unwrap();
    }

    /// Keeps Chromium for another test, which finds an empty window, nothing stored for the page, and no download. All
    /// other settings of a test end with its window.
    fn keep(self, page: &str) {
        self.runtime.block_on(async {
            let empty = self.client.new_window(true).await.unwrap().handle;
            self.client.close_window().await.unwrap();
            self.client.switch_to_window(empty).await.unwrap();
            // The server of another test may get the same port.
            let stored = json!({ "origin": page, "storageTypes": "all" });
            devtools(&self.client, "Storage.clearDataForOrigin", stored).await;
            // Drops what the closed window may have said last.
            complaints(&self.client).await;
        });
        std::fs::remove_dir_all(downloads(&self.folder)).unwrap();
        IDLE.lock().unwrap().push(self);
    }
}

/// Returns the folder of the downloads in the folder of a browser.
fn downloads(folder: &Path) -> PathBuf {
    folder.join("downloads")
}

/// Opens the page, served by `trainer serve` with this run, and lets `test` use it. Then it ends the server, and keeps the
/// browser for another test. `query` is the page's address from `?` on.
pub fn with_page<F: Future<Output = ()> + 'static>(
    places: &Places,
    run: &Path,
    query: &str,
    test: impl FnOnce(Page) -> F + 'static,
) {
    let serve = ["serve", "--port", "0", "--page"].map(OsStr::new);
    let serve = [&serve[..], &[places.page.as_os_str(), OsStr::new("--run"), run.as_os_str()]].concat();
    let (server, address) = start(&places.trainer, &serve, |line| {
        let from = line.find("http://")?;
        Some(line[from..].trim().strip_suffix("run/")?.to_owned())
    });
    let session = Session::take(places);
    let (client, browser) = (session.client.clone(), session.browser);
    let downloads = downloads(&session.folder);
    std::fs::create_dir_all(&downloads).unwrap();
    let page = Page { client: client.clone(), downloads, server: Cell::new(Some(server)), browser };
    let url = format!("{address}{query}");
    let (outcome, complaints) = tokio::task::LocalSet::new().block_on(&session.runtime, async {
        // A task of its own, so that the browser is closed even if the test panics.
        let outcome = tokio::task::spawn_local(async move {
            page.prepare(&url).await;
            test(page).await;
        })
        .await;
        (outcome, if browser == Browser::Chromium { complaints(&client).await } else { Vec::new() })
    });
    match browser {
        Browser::Chromium if outcome.is_ok() => session.keep(address.trim_end_matches('/')),
        _ => session.close(),
    }
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
    assert!(complaints.is_empty(), "the browser's console has errors: {complaints:#?}");
}

fn chromium(program: &Path, profile: &Path) -> Value {
    let flags = [
        "--headless",
        "--no-sandbox",
        // The browser ends with its driver, however that ends.
        "--remote-debugging-pipe",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1280,720",
        &format!("--user-data-dir={}", profile.display()),
    ];
    json!({
        "goog:chromeOptions": { "binary": program, "args": flags },
        "goog:loggingPrefs": { "browser": "ALL" },
    })
}

fn firefox(program: &Path, downloads: &Path) -> Value {
    let preferences = json!({
        // The value 2 means the folder named below.
        "browser.download.folderList": 2,
        "browser.download.dir": downloads,
        "browser.download.panel.shown": true,
        "browser.helperApps.neverAsk.saveToDisk": "application/json,application/octet-stream,text/html",
    });
    let flags = ["-headless", "--width=1280", "--height=720"];
    json!({ "moz:firefoxOptions": { "binary": program, "args": flags, "prefs": preferences } })
}

async fn connect(port: u16, capabilities: Value) -> Client {
    let Value::Object(capabilities) = capabilities else { unreachable!() };
    ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .unwrap()
}

/// Returns the errors on the console. The browser also reports violations of the page's security policy there.
async fn complaints(client: &Client) -> Vec<Value> {
    let log = client.issue_cmd(Post { path: "se/log", body: json!({ "type": "browser" }) }).await.unwrap();
    let entries = log.as_array().cloned().unwrap_or_default();
    entries.into_iter().filter(|entry| entry["level"] == "SEVERE").collect()
}

async fn devtools(client: &Client, command: &str, parameters: Value) -> Value {
    let body = json!({ "cmd": command, "params": parameters });
    client.issue_cmd(Post { path: "goog/cdp/execute", body }).await.unwrap()
}

/// A command of Chromium's driver that the standard does not have.
#[derive(Debug)]
struct Post {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Page {
    async fn prepare(&self, url: &str) {
        let folder = &self.downloads;
        if self.browser == Browser::Chromium {
            self.devtools("Browser.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": folder })).await;
        }
        self.client.goto(url).await.unwrap();
    }

    /// Stops the server that the page came from.
    pub fn stop_server(&self) {
        self.server.take();
    }

    /// Sends a command to Chromium's developer tools.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        devtools(&self.client, command, parameters).await
    }

    /// Returns the element with this test id, as soon as it exists.
    pub async fn find(&self, id: &str) -> Element {
        let css = format!("[data-testid='{id}']");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(&css)).await;
        found.unwrap_or_else(|error| panic!("{id} does not come: {error}"))
    }

    /// Returns whether an element with this test id exists.
    pub async fn has(&self, id: &str) -> bool {
        !self.client.find_all(Locator::Css(&format!("[data-testid='{id}']"))).await.unwrap().is_empty()
    }

    /// Returns the text of an element.
    pub async fn text(&self, id: &str) -> String {
        // The page may replace the element between finding and reading it.
        loop {
            if let Ok(text) = self.find(id).await.text().await {
                return text;
            }
        }
    }

    /// Returns the text of the element that a CSS selector finds, as soon as it exists.
    pub async fn text_of(&self, css: &str) -> String {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("{css} does not come: {error}")).text().await.unwrap()
    }

    /// Drops the errors on the console, because the test has provoked them.
    pub async fn forgive(&self) {
        complaints(&self.client).await;
    }

    /// Returns the content of an input field.
    pub async fn value(&self, id: &str) -> String {
        self.find(id).await.prop("value").await.unwrap().unwrap_or_default()
    }

    /// Clicks an element. If the layout moved at that moment, clicks again, as a person would.
    pub async fn click(&self, id: &str) {
        let start = Instant::now();
        while let Err(error) = self.find(id).await.click().await {
            // An answer of the worker may have replaced the element by another one.
            let has_moved = error.is_stale_element_reference() || error.to_string().contains("click intercepted");
            assert!(has_moved && start.elapsed() < PATIENCE, "{id} cannot be clicked: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types keys into an element.
    pub async fn type_into(&self, id: &str, keys: &str) {
        self.find(id).await.send_keys(keys).await.unwrap();
    }

    /// Waits until a text meets a condition, and returns the text.
    pub async fn until(&self, id: &str, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.text(id).await;
            if condition(&text) {
                return text;
            }
            assert!(start.elapsed() < PATIENCE, "{id} never {what}; it is {text:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns whether there is nothing to undo. Every decision is noted for undo at once, whenever it is counted.
    pub async fn has_changed_nothing(&self) -> bool {
        self.script("return document.querySelector('[data-testid=undo]').disabled").await == true
    }

    /// Waits until the page shows a file's figures.
    pub async fn until_open(&self) {
        self.find("counts").await;
        self.until("listed", "lists anything", |text| !text.starts_with("0 ")).await;
    }

    /// Drags an element sideways with the mouse.
    pub async fn drag(&self, id: &str, by: f64) {
        let step = |x: f64| PointerAction::MoveBy { duration: Some(Duration::from_millis(60)), x, y: 0.0 };
        let element = self.find(id).await;
        let to = PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 };
        let mouse = MouseActions::new("mouse".to_owned())
            .then(to)
            .then(PointerAction::Down { button: 0 })
            .then(step(by / 2.0))
            .then(step(by / 2.0))
            .then(PointerAction::Up { button: 0 });
        self.client.perform_actions(mouse).await.unwrap();
    }

    /// Drags the mouse over an element, from one point to the next. Points are shares of the element's width and
    /// height.
    pub async fn drag_over(&self, id: &str, points: &[(f64, f64)]) {
        let mouse = MouseActions::new("mouse".to_owned());
        self.client.perform_actions(self.drawn(mouse, id, points).await).await.unwrap();
    }

    /// Does the same with fingers. Each finger has its own path.
    pub async fn touch_over(&self, id: &str, fingers: &[&[(f64, f64)]]) {
        let mut actions = Actions::default();
        for (number, points) in fingers.iter().enumerate() {
            let finger = TouchActions::new(format!("finger {number}"));
            actions = actions.and(self.drawn(finger, id, points).await);
        }
        self.client.perform_actions(actions).await.unwrap();
    }

    async fn drawn<S: InputSource<Action = PointerAction>>(&self, source: S, id: &str, points: &[(f64, f64)]) -> S {
        let element = self.find(id).await;
        let (_, _, width, height) = element.rectangle().await.unwrap();
        let to = |&(x, y): &(f64, f64)| PointerAction::MoveToElement {
            element: element.clone(),
            duration: Some(Duration::from_millis(30)),
            // Offsets are measured from the middle of the element.
            x: (x - 0.5) * width,
            y: (y - 0.5) * height,
        };
        let mut source = source;
        for (i, point) in points.iter().enumerate() {
            source = source.then(to(point));
            if i == 0 {
                source = source.then(PointerAction::Down { button: 0 });
            }
        }
        source.then(PointerAction::Up { button: 0 })
    }

    /// Moves the mouse to a point of an element, given as shares of its width and height.
    pub async fn hover(&self, id: &str, (x, y): (f64, f64)) {
        let element = self.find(id).await;
        let (_, _, width, height) = element.rectangle().await.unwrap();
        let (x, y) = ((x - 0.5) * width, (y - 0.5) * height);
        let to = PointerAction::MoveToElement { element, duration: None, x, y };
        self.client.perform_actions(MouseActions::new("mouse".to_owned()).then(to)).await.unwrap();
    }

    /// Presses a key where the focus is, while other keys are held down.
    pub async fn press(&self, held: &[char], key: char) {
        let mut keys = KeyActions::new("keys".to_owned());
        for &value in held {
            keys = keys.then(KeyAction::Down { value });
        }
        keys = keys.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        for &value in held {
            keys = keys.then(KeyAction::Up { value });
        }
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Chooses an entry of a list by its value.
    pub async fn choose(&self, id: &str, value: &str) {
        self.find(id).await.select_by_value(value).await.unwrap();
    }

    /// Chooses an entry of a menu.
    pub async fn pick(&self, menu: &str, entry: &str) {
        self.click(menu).await;
        self.click(&format!("{menu}-{entry}")).await;
    }

    /// Waits until a script returns this value.
    pub async fn until_script(&self, script: &str, expected: impl Into<Value>) {
        let (start, expected) = (Instant::now(), expected.into());
        loop {
            let found = self.script(script).await;
            if found == expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{script} is {found}, never {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the element with this test id has the focus.
    pub async fn until_focused(&self, id: &str) {
        self.until_script("return document.activeElement.dataset.testid ?? ''", id).await;
    }

    /// Runs a script in the page.
    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Runs a script like [`Page::script`], and waits until the script calls its last argument with the result.
    pub async fn script_until_done(&self, script: &str) -> Value {
        self.client.execute_async(script, vec![]).await.unwrap()
    }

    /// Loads the page again, as the browser's button does.
    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// The page's address.
    pub async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// Waits until the page's address contains this part. The address follows the view.
    pub async fn until_address(&self, part: &str) {
        let start = Instant::now();
        while !self.address().await.contains(part) {
            assert!(start.elapsed() < PATIENCE, "the address never has {part}: {}", self.address().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Goes to an address. Leaves the page first, because a change of the fragment alone would not load the page
    /// again.
    pub async fn go(&self, address: &str) {
        self.client.goto("about:blank").await.unwrap();
        self.client.goto(address).await.unwrap();
    }

    /// Sets the size of the window.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Makes the page behave as on a phone with a touch screen, and loads it again.
    pub async fn become_phone(&self) {
        let metrics = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        self.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": true, "maxTouchPoints": 2 })).await;
        self.reload().await;
    }

    /// Drops a file onto the page, as if it came from the desktop.
    pub async fn drop_file(&self, path: &Path) {
        let data = json!({ "items": [], "files": [path], "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": 600, "y": 400, "data": data });
            self.devtools("Input.dispatchDragEvent", event).await;
        }
    }

    /// Clicks a button, and returns the bytes of the file that it downloads.
    pub async fn download(&self, button: &str, name: &str) -> Vec<u8> {
        self.click(button).await;
        self.downloaded(name).await
    }

    /// Saves the cleaned corpus in the format that it came in, under this name, and returns its bytes.
    pub async fn cleaned_corpus(&self, name: &str) -> Vec<u8> {
        self.pick("export-corpus", "same").await;
        self.downloaded(name).await
    }

    /// Returns the bytes of a download that has been started.
    pub async fn downloaded(&self, name: &str) -> Vec<u8> {
        let file = self.downloads.join(name);
        let start = Instant::now();
        // The browser writes under another name until the file is whole. It may hold the name with an empty file.
        while !file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            let names = || std::fs::read_dir(&self.downloads).unwrap().map(|f| f.unwrap().file_name());
            assert!(start.elapsed() < PATIENCE, "no {name} among {:?}", names().collect::<Vec<_>>());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        bytes
    }

    /// Returns a picture of the window as a PNG file, as soon as everything is drawn.
    pub async fn picture(&self) -> Vec<u8> {
        // A frame that was asked for earlier is drawn before this one.
        let frames =
            "const done = arguments[arguments.length - 1]; requestAnimationFrame(() => requestAnimationFrame(done))";
        self.script_until_done(frames).await;
        self.client.screenshot().await.unwrap()
    }

    /// Returns how far the page would scroll: sideways and down.
    pub async fn overflow(&self) -> Value {
        let script =
            "const e = document.documentElement; return [e.scrollWidth - innerWidth, e.scrollHeight - innerHeight]";
        self.client.execute(script, vec![]).await.unwrap()
    }
}
