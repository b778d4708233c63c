//! Corpora on disk: reading, checking and writing them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use shared::corpus::Corpus;
use shared::corpus::labels::LabelSet;
use shared::formats::{
    self, Content, Document, Format, FormatError, Layers, Layout, ReadOptions, TagNames, UnknownAs, WriteOptions,
    Written,
};

use crate::console;
use crate::data::hub::{DatasetPart, Hub};
use crate::data::parquet_corpus;
use crate::files::write_whole;

/// File with the tag ids, which BOND keeps beside its corpora.
const TAG_TO_ID: &str = "tag_to_id.json";
/// Files that `datasets` writes into a folder: the first for a data set, the second for several splits of one.
const SAVED_DATASET: [(&str, &str); 2] = [("state.json", ""), ("dataset_dict.json", "[\"train\"]")];

/// How the corpora of a command are read and written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CorpusOptions {
    /// Options for reading.
    pub read: ReadOptions,
    /// Column or field of the labels in dev, test and gold files, if it differs from that of the training file.
    pub eval_label: Option<String>,
    /// How unknown spans are written.
    pub unknown: Option<UnknownAs>,
}

impl CorpusOptions {
    /// Describes the options in one line, as on the command line.
    fn describe(&self) -> String {
        let ReadOptions { format, token_column, label, gold, tags, scheme, ignore, unlabelled: _, counting: _ } =
            &self.read;
        let options = [
            ("format", format.map(|format| format.name().to_owned())),
            ("token-column", token_column.map(|column| column.to_string())),
            ("label-column", label.clone()),
            ("gold-column", gold.clone()),
            ("eval-column", self.eval_label.clone()),
            ("tags", tags.as_ref().map(|tags| format!("{:?}", tags.pairs()))),
            ("scheme", scheme.map(|scheme| scheme.name().to_owned())),
            ("unknown", ignore.as_ref().map(|name| format!("tag:{name}"))),
            ("unknown", (self.unknown == Some(UnknownAs::Mask)).then(|| "mask".to_owned())),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        given.collect::<Vec<_>>().join(", ")
    }

    /// Returns the options for files with gold labels. There, the gold column of other files is the main label
    /// column.
    fn of_gold_files(&self) -> ReadOptions {
        let read = &self.read;
        let label = self.eval_label.clone().or(read.gold.clone()).or(read.label.clone());
        ReadOptions { label, gold: None, ..read.clone() }
    }

    /// Reads a corpus with distant labels and its gold labels, from the same file or from another one.
    ///
    /// # Errors
    /// The error names the file, the line and what was expected, or the place where the gold file has another
    /// text.
    pub fn read_both(&self, path: &Path, gold_path: Option<&Path>) -> Result<(Corpus, Option<Corpus>)> {
        let Layers { corpus, gold, .. } = read_noting(path, &self.read)?;
        let gold = match gold_path {
            Some(gold_path) => {
                let gold = self.read_gold(gold_path)?;
                same_text(&corpus, path, &gold, gold_path)?;
                Some(gold)
            }
            None => gold.map(|gold| with_layer(corpus.clone(), Some(gold))),
        };
        Ok((corpus, gold))
    }

    /// Reads the gold labels of a corpus.
    ///
    /// # Errors
    /// The error names the file, the line and what was expected.
    pub fn read_gold(&self, path: &Path) -> Result<Corpus> {
        let Layers { corpus, gold, .. } = read_noting(path, &self.of_gold_files())?;
        Ok(with_layer(corpus, gold))
    }
}

/// Reads a corpus, and tells the user about parts that could not be used.
fn read_noting(path: &Path, options: &ReadOptions) -> Result<Layers> {
    let layers = read(path, options)?;
    layers.notes.iter().for_each(|note| console::note(format_args!("{}: {note}", path.display())));
    Ok(layers)
}

/// Reads a file, or a data set of the hub (`hf://OWNER/NAME`).
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let downloaded = DatasetPart::parse(path).map(|part| Hub::from_env()?.dataset(&part?)).transpose()?;
    std::fs::read(downloaded.as_deref().unwrap_or(path)).with_context(|| format!("cannot read {}", path.display()))
}

pub(crate) fn at(path: &Path) -> impl Fn(FormatError) -> anyhow::Error + '_ {
    // Some messages advise a call of Python with the placeholder FILE. Put the name of the file there.
    move |FormatError { line, mut message }| {
        for call in ["from_file", "from_disk"] {
            let named = format!("{call}({:?})", path.display().to_string());
            message = message.replace(&format!("{call}(\"FILE\")"), &named);
        }
        anyhow!("{}, {}", path.display(), FormatError { line, message })
    }
}

/// Reads the names of tag ids: `tag_to_id.json`, a list of names, or one name per line.
///
/// # Errors
/// The error names the file, the line and what was expected.
pub fn read_tags(path: &Path) -> Result<TagNames> {
    TagNames::read(&bytes_of(path)?).map_err(at(path))
}

/// Reads a corpus in any of the formats of [`formats`], or from Parquet. A folder must be brat standoff.
///
/// If neither the options nor a Parquet file itself give names of tag ids, they are read from a `tag_to_id.json` beside
/// the file.
///
/// # Errors
/// The error names the file, the line and what was expected.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Layers> {
    if path.is_dir() {
        no_saved_dataset(path)?;
        if !matches!(options.format, None | Some(Format::Brat)) {
            bail!("{} is a folder; only brat standoff is read from a folder", path.display());
        }
        let mut layers = formats::brat::read(&documents(path, options.unlabelled)?, options).map_err(at(path))?;
        layers.notes.extend(annotations_without_text(path)?);
        return Ok(layers);
    }
    read_bytes(&bytes_of(path)?, path, options)
}

/// Does the same as [`read`] if the content of the file is already known.
pub(crate) fn read_bytes(bytes: &[u8], path: &Path, options: &ReadOptions) -> Result<Layers> {
    let names_beside =
        |options: &ReadOptions| tags_beside(path, options.format, options).map(|names| read_tags(&names)).transpose();
    if parquet_corpus::is_parquet(bytes) {
        return parquet_corpus::read(bytes, path, options, names_beside);
    }
    let mut options = options.clone();
    options.format = Some(options.format.map_or_else(|| formats::detect(bytes), Ok).map_err(at(path))?);
    if let Some(names) = names_beside(&options)? {
        options.tags = Some(names);
    }
    formats::read(bytes, &options).map_err(at(path))
}

/// Refuses a folder that `datasets` saved, and says how to convert it.
fn no_saved_dataset(folder: &Path) -> Result<()> {
    let Some((_, split)) = SAVED_DATASET.into_iter().find(|(mark, _)| folder.join(mark).is_file()) else {
        return Ok(());
    };
    let name = folder.display().to_string();
    bail!(
        "{name} was saved by `datasets` as Arrow: write it as Parquet with\n  python3 -c 'import datasets; \
         datasets.load_from_disk({name:?}){split}.to_parquet(\"train.parquet\")'\nand give train.parquet; in a Python \
         program, dynclean.from_hf(dataset) gives its sentences"
    )
}

/// Returns the file beside a corpus that names its tag ids, if the options do not name them.
fn tags_beside(path: &Path, format: Option<Format>, options: &ReadOptions) -> Option<PathBuf> {
    let has_ids = matches!(format, Some(Format::Bond | Format::TagsJsonl | Format::Conll));
    Some(path.with_file_name(TAG_TO_ID)).filter(|beside| has_ids && options.tags.is_none() && beside.is_file())
}

/// Reads the documents of a brat folder, by name. Texts without annotations are allowed only with `unlabelled`.
fn documents(folder: &Path, unlabelled: bool) -> Result<Vec<Document>> {
    let texts = files_in(folder, ".txt")?;
    ensure!(!texts.is_empty(), "{} has no .txt files; expected pairs of NAME.txt and NAME.ann", folder.display());
    let document = |(name, text): (String, PathBuf)| {
        let annotations = text.with_extension("ann");
        let annotations = match annotations.is_file() {
            true => bytes_of(&annotations)?,
            false if unlabelled => Vec::new(),
            false => bail!("{} is missing; make an empty one if the text has no annotations", annotations.display()),
        };
        Document::from_bytes(&name, &bytes_of(&text)?, &annotations).map_err(at(folder))
    };
    texts.into_iter().map(document).collect()
}

/// Returns a message about annotation files that have no text file.
fn annotations_without_text(folder: &Path) -> Result<Option<String>> {
    let texts = files_in(folder, ".txt")?;
    let alone: Vec<String> = files_in(folder, ".ann")?.into_keys().filter(|name| !texts.contains_key(name)).collect();
    let first = alone.iter().take(3).map(|name| format!("{name}.ann")).collect::<Vec<_>>().join(", ");
    let more = if alone.len() > 3 { ", ..." } else { "" };
    Ok(match alone.len() {
        0 => None,
        1 => Some(format!("1 .ann file without a .txt beside it, not read: {first}")),
        n => Some(format!("{n} .ann files without a .txt beside them, not read: {first}{more}")),
    })
}

/// Returns the files with this ending in a folder and its subfolders, by their names without the ending.
fn files_in(folder: &Path, ending: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    add_files(folder, "", ending, &mut files)?;
    Ok(files)
}

fn add_files(folder: &Path, prefix: &str, ending: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            bail!("{} has a name that is not UTF-8; rename it", path.display());
        };
        if path.is_dir() {
            add_files(&path, &format!("{prefix}{name}/"), ending, files)?;
        } else if let Some(stem) = name.strip_suffix(ending) {
            files.insert(format!("{prefix}{stem}"), path);
        }
    }
    Ok(())
}

/// Writes a corpus in its own format, or in the one that the options name. Returns notes about everything that the
/// format cannot hold.
///
/// Brat standoff becomes a folder. A corpus that came from Parquet becomes Parquet if the file's name ends in
/// `.parquet`, else JSON Lines. Tag ids get a `tag_to_id.json` beside the file if there is none.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, corpus: &Corpus, options: &WriteOptions) -> Result<Vec<String>> {
    let Written { content, notes, layout } = formats::write(corpus, options);
    let is_parquet = parquet_corpus::has_extension(path);
    if let Some(ids) = layout.tag_ids().filter(|ids| !(is_parquet && parquet_corpus::names_ids(&layout, ids))) {
        write_tags(&path.with_file_name(TAG_TO_ID), ids)?;
    }
    match content {
        Content::Text(records) => match (is_parquet, layout.parquet()) {
            (true, Some(columns)) => {
                let rows = parquet_corpus::write(&records, columns);
                write_whole(path, rows.with_context(|| format!("cannot write {} as Parquet", path.display()))?)?;
            }
            (true, None) => bail!(
                "{} cannot be Parquet, because the corpus did not come from Parquet or was converted; name it .{}",
                path.display(),
                layout.extension()
            ),
            (false, _) => write_whole(path, records)?,
        },
        Content::Documents(documents) => {
            for Document { name, text, annotations } in documents {
                // The names may come from somebody else's dynamics file.
                ensure!(
                    name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains(['\\', ':']),
                    "a document of the corpus is named {name:?}, which would not stay in {}",
                    path.display()
                );
                write_whole(&path.join(format!("{name}.txt")), text)?;
                write_whole(&path.join(format!("{name}.ann")), annotations)?;
            }
        }
    }
    Ok(notes)
}

/// Writes the names of tag ids, unless a file with the same names exists already.
fn write_tags(path: &Path, ids: &[(i64, String)]) -> Result<()> {
    if path.is_file() {
        ensure!(
            read_tags(path)?.pairs() == ids,
            "{} already exists and gives the tag ids other names: write to another folder",
            path.display()
        );
        return Ok(());
    }
    let names: serde_json::Map<_, _> = ids.iter().map(|(id, name)| (name.clone(), (*id).into())).collect();
    write_whole(path, serde_json::to_string_pretty(&names)? + "\n")
}

/// Returns the name of the cleaned version of a corpus. The extension stays the same, unless the corpus came from
/// Parquet and cannot be written as Parquet again.
pub fn cleaned_name(corpus: &Path, layout: &Layout) -> String {
    if layout.parquet().is_some() {
        return format!("cleaned.{}", parquet_corpus::EXTENSION);
    }
    let keeps = !matches!(layout, Layout::Brat(_)) && !parquet_corpus::has_extension(corpus);
    let is_file = DatasetPart::parse(corpus).is_none();
    let of_file = corpus.extension().and_then(|e| e.to_str()).filter(|_| keeps && is_file);
    match of_file.unwrap_or(layout.extension()) {
        "" => "cleaned".to_owned(),
        extension => format!("cleaned.{extension}"),
    }
}

/// The files of a run.
#[derive(Debug, Clone)]
pub struct CorpusFiles {
    /// Distantly labelled training sentences.
    pub train: PathBuf,
    /// The same sentences with gold labels, for evaluating the cleaning only.
    pub train_gold: Option<PathBuf>,
    /// Held-out sentences with gold labels, for choosing the best epoch.
    pub dev: PathBuf,
    /// The dev sentences, labelled as the training sentences were.
    pub dev_distant: Option<PathBuf>,
    /// Sentences with gold labels for measuring the gain, if there are any.
    pub test: Option<PathBuf>,
    /// How the files are read.
    pub options: CorpusOptions,
}

/// The corpora of a run. All have the same label set.
pub struct Corpora {
    /// See [`CorpusFiles`].
    pub train: Corpus,
    /// See [`CorpusFiles`].
    pub train_gold: Option<Corpus>,
    /// See [`CorpusFiles`].
    pub dev: Corpus,
    /// See [`CorpusFiles`].
    pub dev_distant: Option<Corpus>,
    /// See [`CorpusFiles`]; empty if there is no test file.
    pub test: Corpus,
}

impl CorpusFiles {
    /// Reads all files and gives their labels the same numbers.
    ///
    /// # Errors
    /// When a file cannot be read, is empty, or two files that must have the same sentences have not.
    pub fn read(&self) -> Result<Corpora> {
        let (train, train_gold) = self.options.read_both(&self.train, self.train_gold.as_deref())?;
        let dev = self.options.read_gold(&self.dev)?;
        let dev_distant = match &self.dev_distant {
            Some(path) => {
                let labelled = read_noting(path, &self.options.read)?.corpus;
                same_text(&dev, &self.dev, &labelled, path)?;
                Some(labelled)
            }
            None => None,
        };
        let test = self.test.as_deref().map(|test| self.options.read_gold(test)).transpose()?;
        for (corpus, path) in
            [(Some(&train), Some(&self.train)), (Some(&dev), Some(&self.dev)), (test.as_ref(), self.test.as_ref())]
        {
            if let (Some(corpus), Some(path)) = (corpus, path) {
                ensure!(corpus.n_sentences() > 0, "{} has no sentences", path.display());
            }
        }
        let test = test.unwrap_or_default();
        ensure!(
            !train.entities.is_empty(),
            "{} has no entities: a model needs labels to learn from",
            self.train.display()
        );
        self.check_types(&train, [(Some(&dev), Some(&self.dev)), (Some(&test), self.test.as_ref())])?;
        let all = [Some(&train), train_gold.as_ref(), Some(&dev), dev_distant.as_ref(), Some(&test)];
        let types = all.into_iter().flatten().flat_map(|corpus| corpus.labels.types().iter().cloned());
        let labels = LabelSet::from_types(types);
        Ok(Corpora {
            train: train.with_labels(&labels)?,
            train_gold: train_gold.map(|gold| gold.with_labels(&labels)).transpose()?,
            dev: dev.with_labels(&labels)?,
            dev_distant: dev_distant.map(|labelled| labelled.with_labels(&labels)).transpose()?,
            test: test.with_labels(&labels)?,
        })
    }

    /// Checks that the files with gold labels contain types that the training labels have.
    fn check_types(&self, train: &Corpus, gold: [(Option<&Corpus>, Option<&PathBuf>); 2]) -> Result<()> {
        let trained = types_of(train);
        for (corpus, path) in gold {
            let (Some(corpus), Some(path)) = (corpus, path) else { continue };
            check_can_score(corpus, path, &trained, &self.train)?;
            let types = types_of(corpus);
            let never: Vec<&str> = types.difference(&trained).map(String::as_str).collect();
            if !never.is_empty() {
                console::note(format_args!(
                    "{} has entity types that no training label has, so no model will find them: {}",
                    path.display(),
                    never.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// Returns the digests of all files by their role, and the options. A run uses them to notice changes.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digests(&self) -> Result<BTreeMap<&'static str, String>> {
        let files = [
            ("train", Some(&self.train)),
            ("train gold", self.train_gold.as_ref()),
            ("dev", Some(&self.dev)),
            ("dev distant", self.dev_distant.as_ref()),
            ("test", self.test.as_ref()),
        ];
        let digest = |path: &PathBuf| -> Result<String> {
            let bytes = match path.is_dir() {
                true => documents(path, false)?
                    .into_iter()
                    .flat_map(|d| [d.name, d.text, d.annotations].join("\0").into_bytes())
                    .collect(),
                false => {
                    let mut bytes = bytes_of(path)?;
                    let format = self.options.read.format.or_else(|| formats::detect(&bytes).ok());
                    if let Some(names) = tags_beside(path, format, &self.options.read) {
                        bytes.extend(bytes_of(&names)?);
                    }
                    bytes
                }
            };
            Ok(shared::recording::dyn_file::digest(&bytes))
        };
        let given = files.into_iter().filter_map(|(part, path)| Some((part, path?)));
        let mut digests = given.map(|(part, path)| Ok((part, digest(path)?))).collect::<Result<BTreeMap<_, _>>>()?;
        // Other columns of the same files are other data.
        if self.options != CorpusOptions::default() {
            digests.insert("options", self.options.describe());
        }
        Ok(digests)
    }
}

/// Returns the entity types that occur in the corpus.
fn types_of(corpus: &Corpus) -> BTreeSet<String> {
    corpus.entities.iter().map(|entity| corpus.labels.name(entity.label).to_owned()).collect()
}

/// Checks that the gold labels of a corpus can score labels of the types `known`. `from` is the file or model with
/// these types.
///
/// # Errors
/// When the corpus has no entity, or none with one of these types.
pub fn check_can_score(gold: &Corpus, path: &Path, known: &BTreeSet<String>, from: &Path) -> Result<()> {
    let (types, path) = (types_of(gold), path.display());
    ensure!(!types.is_empty(), "{path} has no entities: nothing can be scored against it");
    let listed = |types: &BTreeSet<String>| types.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    ensure!(
        !known.is_disjoint(&types),
        "{path} has the entity types {}; {} has none of them, but {}: give them the same names",
        listed(&types),
        from.display(),
        listed(known)
    );
    Ok(())
}

/// Replaces the labels of the corpus by the second layer, if there is one.
fn with_layer(corpus: Corpus, gold: Option<Vec<shared::corpus::Entity>>) -> Corpus {
    match gold {
        Some(entities) => Corpus { entities, unknown: Vec::new(), ..corpus },
        None => corpus,
    }
}

/// Checks that two corpora have the same sentences.
///
/// # Errors
/// The error names the first sentence that differs.
pub fn same_text(a: &Corpus, a_path: &Path, b: &Corpus, b_path: &Path) -> Result<()> {
    let n = a.n_sentences().min(b.n_sentences()) as u32;
    if let Some(sentence) = (0..n).find(|&s| !a.tokens.sentence(s).eq(b.tokens.sentence(s))) {
        let text = |corpus: &Corpus| corpus.tokens.sentence(sentence).take(8).collect::<Vec<_>>().join(" ");
        return Err(anyhow!(
            "sentence {sentence} (from 0) differs: {} has \"{}…\", {} has \"{}…\"; both must hold the same \
             sentences in the same order",
            a_path.display(),
            text(a),
            b_path.display(),
            text(b)
        ));
    }
    ensure!(
        a.n_sentences() == b.n_sentences(),
        "{} has {} sentences, {} has {}; both must hold the same sentences",
        a_path.display(),
        a.n_sentences(),
        b_path.display(),
        b.n_sentences()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(from: &Path, to: Format, out: &Path) {
        let corpus = read(from, &ReadOptions::default()).unwrap().corpus;
        write(out, &corpus, &WriteOptions { format: Some(to), unknown: None }).unwrap();
    }

    #[test]
    fn a_corpus_goes_through_every_format_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let json = "[\n{\"tokens\": [\"Ada\", \"wrote\"], \"entities\": [[0, 0, \"PER\"]], \"unknown\": [[1, 1]]}\n]\n";
        let mut from = folder.path().join("train.json");
        std::fs::write(&from, json).unwrap();
        for format in Format::ALL.into_iter().chain([Format::DyncleanJson]) {
            let out = folder.path().join(format.name());
            convert(&from, format, &out);
            from = out;
        }
        // Without their names, tag ids have no meaning.
        let (tags, bond) = (folder.path().join("tag_to_id.json"), folder.path().join("bond"));
        assert_eq!(read_tags(&tags).unwrap().pairs().len(), 3);
        std::fs::remove_file(tags).unwrap();
        let error = read(&bond, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("bond, line 2") && error.contains("--tags"), "{error}");
        assert_eq!(std::fs::read_to_string(from).unwrap(), json);
        assert!(folder.path().join("brat/corpus.ann").is_file());
    }

    #[test]
    fn folders_of_documents_keep_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for year in ["news.2020", "news.2021"] {
            let documents = folder.path().join(year);
            std::fs::create_dir(&documents).unwrap();
            std::fs::write(documents.join("1.txt"), year).unwrap();
            std::fs::write(documents.join("1.ann"), "").unwrap();
        }
        let corpus = read(folder.path(), &ReadOptions::default()).unwrap().corpus;
        assert_eq!(corpus.n_sentences(), 2);
        let out = folder.path().join("out");
        write(&out, &corpus, &WriteOptions::default()).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("news.2021/1.txt")).unwrap(), "news.2021");
    }

    #[test]
    fn the_names_of_tag_ids_are_part_of_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let (train, names) = (folder.path().join("train.json"), folder.path().join(TAG_TO_ID));
        std::fs::write(&train, r#"[{"str_words": ["Ada"], "tags": [1]}]"#).unwrap();
        let files = CorpusFiles {
            dev: train.clone(),
            dev_distant: None,
            train,
            train_gold: None,
            test: None,
            options: CorpusOptions::default(),
        };
        let digest_with = |text: &str| {
            std::fs::write(&names, text).unwrap();
            files.digests().unwrap()
        };
        let digests = digest_with(r#"{"O": 0, "B-PER": 1}"#);
        assert_eq!(digest_with(r#"{"O": 0, "B-PER": 1}"#), digests);
        assert_ne!(digest_with(r#"{"O": 0, "B-LOC": 1}"#), digests);
    }

    #[test]
    fn documents_do_not_leave_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let brat = folder.path().join("in");
        std::fs::create_dir(&brat).unwrap();
        std::fs::write(brat.join("a.txt"), "Ada").unwrap();
        assert!(read(&brat, &ReadOptions::default()).unwrap_err().to_string().contains("a.ann is missing"));
        std::fs::write(brat.join("a.ann"), "").unwrap();
        let mut corpus = read(&brat, &ReadOptions::default()).unwrap().corpus;
        std::fs::create_dir(brat.join("b")).unwrap();
        std::fs::write(brat.join("b/c.ann"), "T1\tX 0 1\tA\n").unwrap();
        let notes = read(&brat, &ReadOptions::default()).unwrap().notes;
        assert_eq!(notes, ["1 .ann file without a .txt beside it, not read: b/c.ann"]);
        corpus.extra[0].1 = corpus.extra[0].1.replace("\"a\"", "\"../b\"");
        let error = write(&folder.path().join("out"), &corpus, &WriteOptions::default()).unwrap_err();
        assert!(error.to_string().contains("would not stay"), "{error}");
    }
}
