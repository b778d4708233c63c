//! Encoders and data sets from the Hugging Face hub, in the same cache as Python's `huggingface_hub`.

mod cache;
mod dataset;
mod download;
pub mod layout;
mod progress;

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Error, Result, anyhow, bail};

use self::layout::{BYTE_PAIRS, CONFIG, SETTINGS, TOKENIZER, WEIGHTS, WORD_PIECES};
use cache::Cached;
pub use dataset::DatasetPart;
use download::{Client, Failure};

/// Set by [`stay_offline`].
static IS_OFFLINE: AtomicBool = AtomicBool::new(false);
const ENDPOINT: &str = "https://huggingface.co";
const MAIN: &str = "main";

/// Id of a model on the hub: `name` or `organisation/name`, optionally with `@revision` (a branch, a tag or a
/// commit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    repository: String,
    revision: String,
}

impl ModelId {
    /// Parses a model id. Returns `None` for text that cannot be one, such as most paths.
    pub fn parse(text: &str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let is_name = |name: &str| {
            let ends = |c: char| c == '.' || c == '-';
            let is_letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (1..=96).contains(&name.len())
                && name.chars().all(is_letter)
                && !(name.starts_with(ends) || name.ends_with(ends) || name.contains("..") || name.contains("--"))
        };
        let is_revision = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_graphic() && !"%?#\\:".contains(c))
        };
        let fits = repository.split('/').count() <= 2
            && repository.split('/').all(is_name)
            && revision.split('/').all(is_revision);
        fits.then(|| Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.repository)?;
        if self.revision == MAIN { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

/// Makes every hub use only its cache from now on, as the option `--offline` says.
pub fn stay_offline() {
    IS_OFFLINE.store(true, Ordering::Relaxed);
}

/// Address of the hub and location of the cache.
#[derive(Debug, Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
}

impl Hub {
    /// Reads the settings from the same environment variables as in Python: `HF_ENDPOINT`, `HF_HUB_CACHE` or
    /// `HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// When there is no home folder for the cache, or the endpoint is not a valid address.
    pub fn from_env() -> Result<Self> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let home = || {
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
            cache.or_else(|| Some(env::home_dir()?.join(".cache"))).map(|cache| cache.join("huggingface"))
        };
        let home = set("HF_HOME").map(PathBuf::from).or_else(home);
        let cache = set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join("hub")));
        let cache = cache.context("there is no home folder to keep models in; set HF_HOME")?;
        let text = |name: &str| env::var(name).ok().map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
            bail!("HF_ENDPOINT {endpoint:?} does not begin with https:// or http://");
        }
        let saved_token = || Some(std::fs::read_to_string(home?.join("token")).ok()?.trim().to_owned());
        let token = text("HF_TOKEN").or_else(saved_token).filter(|token| !token.is_empty());
        let offline = text("HF_HUB_OFFLINE").is_some_and(|v| ["1", "on", "yes", "true"].contains(&&*v.to_lowercase()));
        let offline = offline || IS_OFFLINE.load(Ordering::Relaxed);
        let cache = std::path::absolute(&cache).with_context(|| format!("the cache {}", cache.display()))?;
        Ok(Self { endpoint: endpoint.trim_end_matches('/').to_owned(), cache, token, offline })
    }

    /// Returns the folder with a model's files. Files that the cache does not have are downloaded.
    ///
    /// If the cache has the whole model, the hub is not asked for a newer one. `check` gets the folder when it
    /// contains only config.json, before the large files are downloaded.
    ///
    /// # Errors
    /// When the hub cannot be reached or does not have the model, or `check` refuses it.
    pub fn folder(&self, id: &ModelId, check: impl Fn(&Path) -> Result<()>) -> Result<PathBuf> {
        if let Some(folder) = self.cached(id) {
            return Ok(folder);
        }
        if self.offline {
            bail!(
                "there is no folder {id}, and the model {id} is not, or not whole, in the cache {}. With --offline \
                 or HF_HUB_OFFLINE nothing is downloaded: run once without it, or give a folder",
                self.cache.display()
            );
        }
        // Try twice, because the model may change on the hub during the download. All files must have the same
        // commit.
        for _ in 0..2 {
            self.download(id, &check)?;
            if let Some(folder) = self.cached(id) {
                return Ok(folder);
            }
        }
        bail!("the model {id} changed on the hub while it was downloaded; try again")
    }

    /// Returns the folder of a model if the cache has all files that it needs.
    fn cached(&self, id: &ModelId) -> Option<PathBuf> {
        let folder = Cached::new(&self.cache, id).snapshot()?;
        layout::is_whole(&folder).then_some(folder)
    }

    /// Downloads the files that an encoder needs and the cache does not have.
    fn download(&self, id: &ModelId, check: &impl Fn(&Path) -> Result<()>) -> Result<()> {
        let client = Client::new(&self.endpoint, self.token.as_deref()).map_err(|e| self.explain(&e, id, CONFIG))?;
        let files = Files { hub: self, id, model: Cached::new(&self.cache, id), client };
        let config = files.get(CONFIG)?;
        check(config.parent().unwrap_or(&config))?;
        if files.optional(TOKENIZER)?.is_none() && files.optional(WORD_PIECES)?.is_none() {
            for name in BYTE_PAIRS {
                files.optional(name)?.with_context(|| {
                    format!(
                        "the model {id} has neither {TOKENIZER} nor {WORD_PIECES}, nor {} with {}",
                        BYTE_PAIRS[0], BYTE_PAIRS[1]
                    )
                })?;
            }
        }
        files.optional(SETTINGS)?;
        // Download the weights last: a folder that has them is complete.
        for name in WEIGHTS {
            if files.optional(name)?.is_some() {
                return Ok(());
            }
        }
        bail!("the model {id} has neither {} nor {}, or has them in several parts", WEIGHTS[0], WEIGHTS[1])
    }

    /// Explains a failure and says what the user can do.
    fn explain(&self, failure: &Failure, id: &ModelId, file: &str) -> Error {
        let endpoint = &self.endpoint;
        let cache = self.cache.display();
        match failure {
            Failure::Interrupted(interrupted) => (*interrupted).into(),
            Failure::Disk(error) => {
                let advice = match error.kind() {
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull => {
                        "; make room or make it writable, or set HF_HOME to another folder"
                    }
                    _ => "",
                };
                anyhow!("{file} of the model {id} cannot be kept in the cache {cache}: {error}{advice}")
            }
            Failure::Status(404, _) => {
                anyhow!("there is no folder {id}, and {endpoint} has no model {id} with a {file}; is the name right?")
            }
            Failure::Status(401 | 403, _) => anyhow!(
                "there is no folder {id}, and {endpoint} refuses the model {id}: it does not exist, or is private or \
                 gated. Is the name right? For a private or gated model set HF_TOKEN"
            ),
            Failure::Status(code, _) => {
                anyhow!("{endpoint} answers the request for {file} of {id} with the status {code}; try again later")
            }
            Failure::Content(why) => anyhow!(
                "{file} of the model {id} came damaged from {endpoint}, every time: {why}. Is there a proxy or a mirror \
                 that changes files?"
            ),
            Failure::NoHub(why) => {
                anyhow!("{endpoint} does not answer as the Hugging Face hub does: {why}; is HF_ENDPOINT right?")
            }
            Failure::Connection(why) => anyhow!(
                "there is no folder {id}, and {file} of the model {id} cannot be had from {endpoint}: {why}. Without a \
                 network, give a folder; `trainer fetch {id} --out FOLDER` on a machine that has one makes it. \
                 Behind a proxy, set HTTPS_PROXY; for a mirror, HF_ENDPOINT. The cache is {cache}"
            ),
        }
    }
}

/// The files of one model on the hub.
struct Files<'a> {
    hub: &'a Hub,
    id: &'a ModelId,
    model: Cached,
    client: Client,
}

impl Files<'_> {
    fn get(&self, name: &str) -> Result<PathBuf> {
        self.fetch(name).map_err(|failure| self.hub.explain(&failure, self.id, name))
    }

    /// Returns `None` if the model does not have the file.
    fn optional(&self, name: &str) -> Result<Option<PathBuf>> {
        match self.fetch(name) {
            Ok(path) => Ok(Some(path)),
            Err(Failure::Status(404, _)) => Ok(None),
            Err(failure) => Err(self.hub.explain(&failure, self.id, name)),
        }
    }

    fn fetch(&self, name: &str) -> Result<PathBuf, Failure> {
        if let Some(path) = self.model.get(name) {
            return Ok(path);
        }
        let ModelId { repository, revision } = self.id;
        // The hub's path contains the revision as one part, even if it has a slash.
        let path = format!("{repository}/resolve/{}/{name}", revision.replace('/', "%2F"));
        self.client.fetch(&self.model, &path, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let id = |text: &str| ModelId::parse(text).map(|id| (id.repository, id.revision));
        let found = |repository: &str, revision: &str| Some((repository.to_owned(), revision.to_owned()));
        assert_eq!(id("bert-base-cased"), found("bert-base-cased", "main"));
        assert_eq!(id("dmis-lab/biobert-v1.1"), found("dmis-lab/biobert-v1.1", "main"));
        assert_eq!(id("a/b@refs/pr/1"), found("a/b", "refs/pr/1"));
        for path in
            ["", "/a", "a/", "./a", "../a", "a/b/c", "~/a", "a\\b", "a b", "a@", "a@../../b", "é", "a/..", "a--b"]
        {
            assert_eq!(id(path), None, "{path}");
        }
        let display = |text: &str| ModelId::parse(text).unwrap().to_string();
        assert_eq!((display("a/b"), display("a/b@v1")), ("a/b".to_owned(), "a/b@v1".to_owned()));
    }
}
