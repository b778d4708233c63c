//! Data sets from the hub, as the Parquet files into which the hub converts them.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow, bail, ensure};

use super::Hub;
use super::cache::{BRANCH, Cached};
use super::download::{Client, Failure};

/// Prefix of the name of a data set on the hub. Such a name may stand in place of a file name.
const SCHEME: &str = "hf://";
/// Names of the first and the second file of a split. The hub numbers the files of a split.
const FILES: [&str; 2] = ["0000.parquet", "0001.parquet"];

/// A part of a data set on the hub: `hf://OWNER/NAME`, with `/CONFIG` and `@SPLIT` if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetPart {
    repository: String,
    config: String,
    split: String,
}

impl DatasetPart {
    /// Parses a name. Returns `None` if it does not begin with `hf://`.
    ///
    /// # Errors
    /// When the name begins with `hf://`, but is no name of a data set.
    pub fn parse(path: &Path) -> Option<Result<Self>> {
        let name = path.to_str()?.strip_prefix(SCHEME)?;
        let (place, split) = name.split_once('@').unwrap_or((name, "train"));
        let parts: Vec<&str> = place.split('/').collect();
        let part = match parts.as_slice() {
            [owner, name] => Some((format!("{owner}/{name}"), "default")),
            [owner, name, config] => Some((format!("{owner}/{name}"), *config)),
            _ => None,
        };
        let is_plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with('.')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let part = part.filter(|_| parts.iter().all(|part| is_plain(part)) && is_plain(split));
        Some(part.map_or_else(
            || {
                Err(anyhow!(
                    "{SCHEME}{name} is no data set; expected {SCHEME}OWNER/NAME, with /CONFIG and @SPLIT if need be"
                ))
            },
            |(repository, config)| Ok(Self { repository, config: config.to_owned(), split: split.to_owned() }),
        ))
    }

    /// Returns the path of a file of the split, in the branch.
    fn file(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.config, self.split)
    }
}

impl fmt::Display for DatasetPart {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}@{}", self.repository, self.config, self.split)
    }
}

impl Hub {
    /// Returns the Parquet file of a part of a data set. It is downloaded if the cache does not have it.
    ///
    /// # Errors
    /// When the hub cannot be reached or does not have the part, or the part has several files.
    pub fn dataset(&self, part: &DatasetPart) -> Result<PathBuf> {
        let cached = Cached::dataset(&self.cache, &part.repository);
        let [first, second] = FILES.map(|name| part.file(name));
        if let Some(file) = cached.get(&first) {
            return Ok(file);
        }
        ensure!(
            !self.offline,
            "{part} is not in the cache {}. With --offline or HF_HUB_OFFLINE nothing is downloaded",
            self.cache.display()
        );
        let explain = |failure: Failure| self.explain_dataset(&failure, part);
        let client = Client::new(&self.endpoint, self.token.as_deref()).map_err(explain)?;
        let path = |file: &str| format!("datasets/{}/resolve/{}/{file}", part.repository, BRANCH.replace('/', "%2F"));
        match client.has(&path(&second)) {
            Ok(false) => {}
            Ok(true) => bail!(
                "{part} has several files, and only one can be read: join them with\n  python3 -c 'import datasets; \
                 datasets.load_dataset({:?}, {:?}, split={:?}).to_parquet(\"train.parquet\")'\nand give train.parquet",
                part.repository,
                part.config,
                part.split
            ),
            Err(failure) => return Err(explain(failure)),
        }
        client.fetch(&cached, &path(&first), &first).map_err(explain)
    }

    fn explain_dataset(&self, failure: &Failure, part: &DatasetPart) -> Error {
        let (endpoint, repository) = (&self.endpoint, &part.repository);
        match failure {
            Failure::Interrupted(interrupted) => (*interrupted).into(),
            Failure::Status(404, _) => anyhow!(
                "{endpoint} has no Parquet of {part}. {endpoint}/datasets/{repository} shows the configurations and splits; \
                 name them as in {SCHEME}{repository}/CONFIG@SPLIT"
            ),
            Failure::Status(401 | 403, _) => anyhow!(
                "{endpoint} refuses the data set {repository}: it does not exist, or is private or gated. Is the name \
                 right? For a private or gated data set set HF_TOKEN"
            ),
            failure => anyhow!(
                "{part} cannot be had from {endpoint}: {failure}. Without a network, give a Parquet file; behind a proxy, \
                 set HTTPS_PROXY; for a mirror, HF_ENDPOINT. The cache is {}",
                self.cache.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_data_sets_are_told_from_paths() {
        let shown = |name: &str| DatasetPart::parse(Path::new(name)).map(|part| part.map(|part| part.to_string()).ok());
        for (name, expected) in [
            ("hf://ada/notes", "hf://ada/notes/default@train"),
            ("hf://ada/notes@test", "hf://ada/notes/default@test"),
            ("hf://ada/no.tes/v-1@validation", "hf://ada/no.tes/v-1@validation"),
        ] {
            assert_eq!(shown(name), Some(Some(expected.to_owned())));
        }
        for name in
            ["hf://", "hf://ada", "hf://ada/..", "hf://a/b/c/d", "hf://ada/notes@", "hf://ada/notes@a/b", "hf:///a"]
        {
            assert_eq!(shown(name), Some(None), "{name}");
        }
        assert_eq!(shown("data/train.parquet"), None);
    }
}
