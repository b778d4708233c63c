//! `--config FILE`: options from a TOML file, and `--print-config`, which writes such a file.
//!
//! The keys are the long names of the options. Tables are only headings, but `class-threshold` may be a table of entity
//! types. One file serves `run` and `train`: each command ignores the options that only the other one has.
//!
//! The file becomes command-line arguments, which stand before the user's own arguments. An option of the file is left
//! out if the command line gives it too, or gives an option that conflicts with it. So clap checks both sources in the
//! same way, and there is only one list of options.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory};
use shared::corpus::TokenTable;
use shared::detection::threshold::Rule;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use trainer::console::{self, Verbosity};
use trainer::run::model_card;
use trainer::run::sweep::Sweep;
use trainer::training::config::Config;

use super::failure::{input, usage};
use super::training::TrainingArgs;
use super::{Cli, output};

/// Options that concern the config file itself.
#[derive(Args)]
pub struct ConfigArgs {
    /// Take options from this TOML file; options on the command line override it
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Print the settings in force as a config file, and do nothing else. An encoder of the hub is downloaded for this,
    /// because defaults depend on its size
    #[arg(long)]
    pub print_config: bool,
}

const CONFIG: &str = "config";
/// Options that a file cannot set, because they concern a single call.
const NOT_IN_A_FILE: [&str; 6] = [CONFIG, "print_config", "help", "json", "step", "print_plan"];
/// The table with the lists of settings to try.
const SWEEP: &str = "sweep";
/// The option whose value may be a table.
const CLASS_THRESHOLD: &str = "class_threshold";

/// Parses the arguments, together with the config file that they name.
///
/// # Errors
/// The error says what is wrong and, if the mistake is in the file, at which line.
pub fn matches(mut command: Command, mut arguments: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    command.build();
    let Some(Place { at, subcommand, others }) = place(&command, &arguments) else {
        return command.try_get_matches_from_mut(arguments);
    };
    let own = arguments.split_off(at + 1);
    let (own, given) = switches(subcommand, own);
    let file = given.iter().find(|(id, _)| id == CONFIG).map(|(_, value)| value.clone());
    let settings = match &file {
        Some(Some(path)) => settings(subcommand, &others, Path::new(path)).map_err(|message| {
            let mut subcommand = subcommand.clone();
            subcommand.error(ErrorKind::InvalidValue, message)
        })?,
        _ => Vec::new(),
    };
    let overruled = overruled(subcommand, given.iter().map(|(id, _)| id.as_str()));
    let kept: Vec<Setting> = settings.into_iter().filter(|s| !overruled.contains(&s.id)).collect();
    arguments.extend(kept.iter().flat_map(|s| s.arguments.iter().cloned()));
    arguments.extend(own);
    let told_as: BTreeMap<String, usize> = kept.iter().map(|s| (format!("--{}", s.name), s.line)).collect();
    command.try_get_matches_from_mut(arguments).map_err(|error| match &file {
        Some(Some(path)) => with_place(error, Path::new(path), &told_as),
        _ => error,
    })
}

/// Returns the ids of the options that are given, in the config file or on the command line.
pub fn given(matches: &ArgMatches) -> Vec<String> {
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let ids = matches.ids().map(clap::Id::as_str).filter(|id| matches.try_contains_id(id).is_ok() && is_given(id));
    ids.map(str::to_owned).collect()
}

/// Returns the ids of the given options that stand after `option`. If `option` is the last option of the config file,
/// these are the options that the command line gives.
pub fn given_after(option: &str, matches: &ArgMatches) -> Vec<String> {
    let from = matches.index_of(option);
    // clap counts each value of an option. The options after this one have larger indices.
    given(matches).into_iter().filter(|id| matches.index_of(id) > from).collect()
}

/// The position of a subcommand that takes a config file, among the arguments.
struct Place<'a> {
    at: usize,
    subcommand: &'a Command,
    /// The other subcommands that take a config file.
    others: Vec<&'a Command>,
}

fn place<'a>(command: &'a Command, arguments: &[OsString]) -> Option<Place<'a>> {
    // Only switches can stand before the subcommand.
    let at = arguments.iter().skip(1).position(|a| !a.as_encoded_bytes().starts_with(b"-"))? + 1;
    let subcommand = command.find_subcommand(arguments.get(at)?)?;
    let takes_a_file = |c: &&Command| c.get_arguments().any(|arg| arg.get_id() == CONFIG);
    let others = command.get_subcommands().filter(takes_a_file).filter(|c| c.get_name() != subcommand.get_name());
    takes_a_file(&subcommand).then(|| Place { at, subcommand, others: others.collect() })
}

/// Returns the option with this long name.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(name) || arg.get_visible_aliases().is_some_and(|aliases| aliases.contains(&name))
    })
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Returns the user's own arguments and the options among them. `--switch=true` becomes `--switch`, and
/// `--switch=false` is left out. Each option is a pair of its id and its value. The value stands behind `=` or in the
/// next argument.
fn switches(command: &Command, arguments: Vec<OsString>) -> (Vec<OsString>, Vec<(String, Option<OsString>)>) {
    let (mut own, mut given): (Vec<OsString>, Vec<(String, Option<OsString>)>) = (Vec::new(), Vec::new());
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            own.push(argument);
            break;
        }
        let text = argument.to_string_lossy().into_owned();
        let (name, value) = text.strip_prefix("--").map_or(("", None), |text| match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        });
        let Some(arg) = find(command, name) else {
            own.push(argument);
            continue;
        };
        let value = match (is_switch(arg), value) {
            (true, Some("true" | "false")) => value.map(OsString::from),
            (true, _) => None,
            (false, Some(value)) => Some(value.into()),
            (false, None) => rest.peek().cloned(),
        };
        match (is_switch(arg), value.as_ref().and_then(|v| v.to_str())) {
            (true, Some("true")) => own.push(format!("--{name}").into()),
            (true, Some("false")) => {}
            _ => own.push(argument),
        }
        given.push((arg.get_id().to_string(), value));
    }
    own.extend(rest);
    (own, given)
}

/// Returns the ids of the options that the command line overrides: those that it gives itself, and those that conflict
/// with them.
fn overruled<'a>(command: &Command, given: impl Iterator<Item = &'a str>) -> Vec<String> {
    let given: Vec<&str> = given.collect();
    let is_given = |arg: &Arg| given.contains(&arg.get_id().as_str());
    let conflicting = |arg: &Arg| command.get_arg_conflicts_with(arg).into_iter().cloned().collect::<Vec<Arg>>();
    let mut overruled = Vec::new();
    for arg in command.get_arguments() {
        if is_given(arg) {
            overruled.push(arg.get_id().to_string());
            overruled.extend(conflicting(arg).iter().map(|other| other.get_id().to_string()));
        } else if conflicting(arg).iter().any(is_given) {
            overruled.push(arg.get_id().to_string());
        }
    }
    overruled
}

/// An option from the file.
struct Setting {
    id: String,
    name: String,
    /// Its line in the file, from 1.
    line: usize,
    arguments: Vec<OsString>,
}

/// Returns the options of a file. The error says in words what is wrong with the file.
fn settings(command: &Command, others: &[&Command], path: &Path) -> Result<Vec<Setting>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    settings_of(command, others, &text, path)
        .map_err(|(line, message)| format!("{}, line {line}: {message}", path.display()))
}

type At = (usize, String);

fn settings_of(command: &Command, others: &[&Command], text: &str, path: &Path) -> Result<Vec<Setting>, At> {
    let line_of = |byte: usize| 1 + text.bytes().take(byte).filter(|&b| b == b'\n').count();
    let file = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(1, |span| line_of(span.start)), error.message().to_owned()))?;
    let mut settings: Vec<Setting> = Vec::new();
    let mut add = |key: &Spanned<_>, value: &Spanned<DeValue>| -> Result<(), At> {
        let (name, line): (&str, usize) = (AsRef::<str>::as_ref(key.get_ref()), line_of(key.span().start));
        if option(command, name).is_none() && others.iter().any(|other| option(other, name).is_some()) {
            return Ok(());
        }
        let setting = setting(command, name, value.get_ref(), line).map_err(|message| (line, message))?;
        if let Some(earlier) = settings.iter().find(|s| s.id == setting.id) {
            return Err((line, format!("`{name}` is set at line {} already; keep one of them", earlier.line)));
        }
        settings.push(setting);
        Ok(())
    };
    let mut entries: Vec<_> = file.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        match value.get_ref() {
            // The table becomes `--sweep FILE`, with the name of this file.
            DeValue::Table(_) if key.get_ref() == SWEEP => {
                let file = DeValue::String(path.to_string_lossy());
                add(key, &Spanned::new(value.span(), file))?;
            }
            DeValue::Table(table) if [command].iter().chain(others).all(|c| option(c, key.get_ref()).is_none()) => {
                let mut entries: Vec<_> = table.iter().collect();
                entries.sort_by_key(|(key, _)| key.span().start);
                for (key, value) in entries {
                    add(key, value)?;
                }
            }
            _ => add(key, value)?,
        }
    }
    // `--sweep` becomes the last option of the file. `given_after` relies on this.
    settings.sort_by_key(|setting| setting.id == SWEEP);
    Ok(settings)
}

/// Returns the option with this name, if a file can set it.
fn option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    find(command, name).filter(|arg| may_be_set(arg))
}

fn may_be_set(arg: &Arg) -> bool {
    !NOT_IN_A_FILE.contains(&arg.get_id().as_str()) && !arg.is_global_set()
}

fn setting(command: &Command, name: &str, value: &DeValue, line: usize) -> Result<Setting, String> {
    let Some(arg) = option(command, name) else {
        let names = command.get_arguments().filter(|arg| may_be_set(arg)).filter_map(Arg::get_long);
        let nearest = names.max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
        let hint = nearest.map_or(String::new(), |nearest| format!("; the nearest is `{nearest}`"));
        return Err(format!("there is no option `{name}` for `trainer {}`{hint}", command.get_name()));
    };
    let mut arguments = Vec::new();
    let mut give = |value: String| arguments.push(format!("--{name}={value}").into());
    match value {
        DeValue::Boolean(on) if is_switch(arg) => {
            if *on {
                arguments.push(format!("--{name}").into());
            }
        }
        _ if is_switch(arg) => return Err(format!("`{name}` is a switch: expected true or false")),
        DeValue::Array(values) if takes_several(arg) => {
            for value in values {
                give(scalar(name, value.get_ref())?);
            }
        }
        DeValue::Table(types) if arg.get_id() == CLASS_THRESHOLD => {
            for (kind, value) in types {
                give(format!("{}={}", kind.get_ref(), scalar(name, value.get_ref())?));
            }
        }
        value => give(scalar(name, value)?),
    }
    Ok(Setting { id: arg.get_id().to_string(), name: name.to_owned(), line, arguments })
}

fn takes_several(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn scalar(name: &str, value: &DeValue) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Integer(_) => Err(format!("`{name}`: expected a decimal number")),
        other => Err(format!("`{name}` cannot be of type {}; expected a string or a number", other.type_str())),
    }
}

/// Adds to an error the line of the file from which the wrong value came.
fn with_place(mut error: clap::Error, file: &Path, lines: &BTreeMap<String, usize>) -> clap::Error {
    let line = match error.get(ContextKind::InvalidArg) {
        // clap names the option as in the usage text: `--epochs <N>`.
        Some(ContextValue::String(arg)) => arg.split([' ', '=', '[']).next().and_then(|name| lines.get(name)).copied(),
        _ => None,
    };
    if let Some(line) = line {
        let place = StyledStr::from(format!("this value comes from {}, line {line}", file.display()));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![place]));
    }
    error
}

/// Prints the settings in force as a config file: given options, defaults, and values that depend on the encoder.
///
/// # Errors
/// When the encoder cannot be opened, or a value is not UTF-8.
pub fn print(subcommand: &str, matches: &ArgMatches, training: &TrainingArgs) -> Result<()> {
    // The built-in encoder takes its vocabulary from the text. The vocabulary is no setting, so no text is needed.
    let spec = input(training.open_encoder(&TokenTable::default()))?;
    let config = usage(training.place().and_then(|place| training.config(spec.defaults(), place)))?;
    output::write(in_force(subcommand, matches, &config)?)
}

/// Prints the settings in force if the user asked for details (`--verbose`).
///
/// # Errors
/// When a value is not UTF-8.
pub fn tell(subcommand: &str, matches: &ArgMatches, config: &Config) -> Result<()> {
    if console::verbosity() == Verbosity::Verbose {
        in_force(subcommand, matches, config)?.lines().for_each(console::detail);
    }
    Ok(())
}

/// Options that matter only on the machine of the run, or only after the run has begun. `--out` gets a fixed name
/// instead.
const LEFT_OUT: [&str; 7] =
    ["out", "device", "offline", "parallel_runs", "checkpoint_minutes", "checkpoint_steps", "decisions"];

/// Returns the command with all options that were given, in a file or on the command line. `--decisions` is left out,
/// because it needs a run that already exists. Paths become the names of their files, because the command goes into the
/// cards of models.
///
/// # Errors
/// When there is no such command.
pub fn to_repeat(subcommand: &str, matches: &ArgMatches) -> Result<String> {
    let mut command = Cli::command();
    command.build();
    let command = command.find_subcommand(subcommand).context("no such command")?;
    let given = given(matches);
    let mut parts = vec![format!("trainer {subcommand}")];
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let is_told = may_be_set(arg) && !LEFT_OUT.contains(&id) && given.iter().any(|given| given == id);
        let Some(name) = arg.get_long().filter(|_| is_told) else { continue };
        if is_switch(arg) {
            parts.push(format!("--{name}"));
            continue;
        }
        let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        for value in matches.get_raw(id).into_iter().flatten() {
            let value = match value.to_string_lossy() {
                _ if is_path => model_card::file_name(Path::new(value)),
                value if id == "encoder" => model_card::encoder_name(&value),
                value => value.into_owned(),
            };
            parts.push(format!("--{name} {}", console::quoted(&value)));
        }
    }
    parts.push("--out my-run".to_owned());
    Ok(parts.join(" \\\n    "))
}

fn in_force(subcommand: &str, matches: &ArgMatches, config: &Config) -> Result<String> {
    let mut values = BTreeMap::from([
        ("epochs", config.epochs.to_string()),
        ("batch", config.batch.to_string()),
        ("encoder_rate", config.encoder_rate.to_string()),
        ("head_rate", config.head_rate.to_string()),
        ("warmup", config.warmup.to_string()),
        ("schedule", format!("{:?}", config.schedule).to_lowercase()),
        ("metric", "trust".to_owned()),
        ("threshold", "auto".to_owned()),
    ]);
    if matches.try_get_raw(SWEEP).is_ok_and(|sweep| sweep.is_none()) {
        values.insert("trials", "usual".to_owned());
    }
    let mut command = Cli::command();
    command.build();
    written(command.find_subcommand(subcommand).context("no such command")?, matches, &values)
}

/// Returns a config file with the options in `matches`. For options that were not given, `in_force` has the values.
fn written(command: &Command, matches: &ArgMatches, in_force: &BTreeMap<&str, String>) -> Result<String> {
    let mut headings: Vec<(String, String)> = Vec::new();
    let own_sweep = own_sweep(matches)?;
    for arg in command.get_arguments() {
        let (Some(name), true) = (arg.get_long(), may_be_set(arg)) else { continue };
        if arg.get_id() == SWEEP && own_sweep.is_some() {
            continue;
        }
        let Some(value) = written_value(arg, matches, in_force)? else { continue };
        let heading = arg.get_help_heading().unwrap_or("Options").to_lowercase().replace(' ', "-");
        let line = format!("{name} = {value}\n");
        match headings.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, lines)) => lines.push_str(&line),
            None => headings.push((heading, line)),
        }
    }
    let tables = headings.iter().map(|(heading, lines)| format!("[{heading}]\n{lines}"));
    Ok(tables.chain(own_sweep).collect::<Vec<String>>().join("\n"))
}

/// Returns the `[sweep]` table of the config file as TOML, if it has one, without the lists that the command line
/// overrides.
fn own_sweep(matches: &ArgMatches) -> Result<Option<String>> {
    let file = |id| matches.try_get_raw(id).ok().flatten().and_then(|mut values| values.next());
    let Some(path) = file(SWEEP).filter(|&sweep| file(CONFIG) == Some(sweep)) else { return Ok(None) };
    let about = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(path).with_context(about)?;
    let mut settings: toml::Table = toml::from_str(&text).with_context(about)?;
    settings.retain(|key, _| key == SWEEP);
    let Some(toml::Value::Table(table)) = settings.get_mut(SWEEP) else { return Ok(None) };
    for list in given_after(SWEEP, matches).iter().flat_map(|option| Sweep::lists_of(option)) {
        table.remove(*list);
    }
    Ok(Some(settings.to_string()))
}

fn written_value(arg: &Arg, matches: &ArgMatches, in_force: &BTreeMap<&str, String>) -> Result<Option<toml::Value>> {
    let id = arg.get_id().as_str();
    if is_switch(arg) {
        return Ok(matches.get_flag(id).then_some(toml::Value::Boolean(true)));
    }
    let text = |raw: &std::ffi::OsStr| -> Result<String> {
        Ok(raw.to_str().with_context(|| format!("{raw:?} is not UTF-8 and cannot stand in a config file"))?.to_owned())
    };
    let given: Vec<String> = matches.get_raw(id).into_iter().flatten().map(text).collect::<Result<_>>()?;
    let values = if given.is_empty() { in_force.get(id).cloned().into_iter().collect() } else { given };
    let mut values: Vec<toml::Value> = values.into_iter().map(|value| typed(arg, value)).collect();
    Ok(match takes_several(arg) {
        true if !values.is_empty() => Some(toml::Value::Array(values)),
        _ => values.pop(),
    })
}

/// Converts a value to a number if the option takes a number.
fn typed(arg: &Arg, value: String) -> toml::Value {
    let is = |of: TypeId| arg.get_value_parser().type_id() == of;
    let whole = is(TypeId::of::<u32>()) || is(TypeId::of::<u64>()) || is(TypeId::of::<usize>());
    // A rule is a number or a word.
    let real = is(TypeId::of::<f32>()) || is(TypeId::of::<Rule>());
    let number = match (whole, real) {
        (true, _) => value.parse().ok().map(toml::Value::Integer),
        (_, true) => value.parse().ok().map(toml::Value::Float),
        _ => None,
    };
    number.unwrap_or(toml::Value::String(value))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::FromArgMatches;

    use super::*;

    const FILE: &str = "\
train = \"t.json\"   # a comment
[data]
dev = \"d.json\"
test = \"e.json\"
out = \"run\"
[model]
encoder = \"builtin\"
[training]
epochs = 3
encoder-rate = 1e-4
train-embeddings = true
[cleaning]
negatives-threshold = -0.5
positives-threshold = \"keep\"
class-threshold = { PER = 0.5, LOC = -1 }
";

    /// Returns the config file that [`written`] makes of a command line with this file.
    fn in_force(subcommand: &str, file: &str, own: &[&str]) -> Result<String, String> {
        let mut config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        config.write_all(file.as_bytes()).unwrap();
        let path = config.path().to_str().unwrap();
        let arguments = ["trainer", subcommand, "--config", path].into_iter().chain(own.iter().copied());
        let matches = matches(Cli::command(), arguments.map(OsString::from).collect());
        let matches = matches.map_err(|error| error.to_string().replace(path, "FILE"))?;
        assert!(Cli::from_arg_matches(&matches).is_ok());
        let mut command = Cli::command();
        command.build();
        let of_command = matches.subcommand_matches(subcommand).unwrap();
        let text = written(command.find_subcommand(subcommand).unwrap(), of_command, &BTreeMap::new()).unwrap();
        Ok(text.replace(path, "FILE"))
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let once = in_force("run", FILE, &[]).unwrap();
        for line in [
            "epochs = 3",
            "encoder-rate = 0.0001",
            "train-embeddings = true",
            "negatives-threshold = -0.5",
            "positives-threshold = \"keep\"",
        ] {
            assert!(once.lines().any(|l| l == line), "{line} is not in\n{once}");
        }
        assert!(once.contains("\"PER=0.5\"") && once.contains("\"LOC=-1\""), "{once}");
        assert_eq!(in_force("run", &once, &[]).unwrap(), once);
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let own =
            ["--epochs=7", "--train-embeddings=false", "--class-threshold", "ORG=2", "--negatives-quantile", ".2"];
        let text = in_force("run", FILE, &own).unwrap();
        assert!(text.contains("epochs = 7") && text.contains("\"ORG=2\"") && text.contains("negatives-quantile = 0.2"));
        // The switch is off, the list is replaced, and an option that conflicts with the command line is left out.
        for gone in ["train-embeddings", "PER=0.5", "negatives-threshold"] {
            assert!(!text.contains(gone), "{gone} is still in\n{text}");
        }
        assert!(text.contains("encoder-rate = 0.0001"));
    }

    #[test]
    fn a_command_to_repeat_names_no_folder() {
        let repeat = |file: &str, own: &[&str]| {
            let mut config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
            config.write_all(file.as_bytes()).unwrap();
            let arguments = ["trainer", "run", "--config", config.path().to_str().unwrap()].into_iter();
            let arguments = arguments.chain(own.iter().copied()).map(OsString::from);
            let matches = matches(Cli::command(), arguments.collect()).unwrap();
            to_repeat("run", matches.subcommand_matches("run").unwrap()).unwrap()
        };
        let own = ["--train", "/home/ada/my data.json", "--encoder", "/home/ada/models/bert", "--device", "cpu"];
        let decided = ["--decisions", "d.json", "--out", "/home/ada/a run"];
        let again = repeat(FILE, &[&own[..], &decided].concat());
        let expected = [
            "trainer run --train 'my data.json' --dev d.json --test e.json",
            "--encoder bert --train-embeddings --epochs 3 --encoder-rate 1e-4",
            "--negatives-threshold -0.5 --positives-threshold keep --class-threshold LOC=-1 --class-threshold PER=0.5",
            "--out my-run",
        ];
        assert_eq!(again.replace(" \\\n    ", " "), expected.join(" "));
        assert_eq!(console::quoted("it's"), r"'it'\''s'");
        assert!(repeat(FILE, &["--encoder=org/bert@v1"]).contains("--encoder org/bert@v1"));
    }

    #[test]
    fn one_file_serves_both_commands() {
        let text = in_force("train", FILE, &["--no-dynamics"]).unwrap();
        assert!(text.contains("epochs = 3") && !text.contains("negatives-threshold"));
        let table = FILE.replace("class-threshold = { PER = 0.5, LOC = -1 }", "[class-threshold]\nPER = 0.5\nLOC = -1");
        assert!(in_force("run", &table, &[]).unwrap().contains("\"PER=0.5\""));
        assert!(!in_force("train", &table, &[]).unwrap().contains("PER"));
    }

    #[test]
    fn a_sweep_may_stand_in_the_file() {
        let file = format!("{FILE}[sweep]\nseeds = 2\n");
        let text = in_force("run", &file, &[]).unwrap();
        assert!(text.contains("[sweep]\nseeds = 2\n") && !text.contains("sweep ="), "{text}");
        assert_eq!(in_force("run", &text, &[]).unwrap(), text);
        assert!(!in_force("train", &file, &[]).unwrap().contains("sweep"));
        // The config file that is written leaves out the lists that the command line overrides.
        let file =
            format!("{FILE}[sweep]\nwindows = [\"1-2\"]\npositives = [{{ fixed = 0.5 }}]\nmetrics = [\"aum\"]\n");
        let text = in_force("run", &file, &["--window", "2-3"]).unwrap();
        assert!(text.contains("window = \"2-3\"") && !text.contains("windows"), "{text}");
        let sweep = toml::from_str::<toml::Table>(&text).unwrap().remove("sweep").unwrap();
        let expected: toml::Table = toml::from_str("positives = [{ fixed = 0.5 }]\nmetrics = [\"aum\"]").unwrap();
        assert_eq!(sweep, toml::Value::Table(expected));
        assert_eq!(in_force("run", &text, &[]).unwrap(), text);
    }

    #[test]
    fn errors_name_the_line() {
        let error = |from: &str, to: &str| in_force("run", &FILE.replace(from, to), &[]).unwrap_err();
        let message = error("epochs = 3", "epocs = 3");
        assert!(
            message.contains("FILE, line 9: there is no option `epocs`") && message.contains("`epochs`"),
            "{message}"
        );
        let message = error("epochs = 3", "epochs = 0");
        assert!(message.contains("--epochs") && message.contains("FILE, line 9"), "{message}");
        assert!(error("epochs = 3", "epochs = [1, 2]").contains("line 9"));
        assert!(error("epochs = 3", "train = \"x\"").contains("line 1 already"));
        assert!(error("train-embeddings = true", "train-embeddings = 1").contains("true or false"));
        assert!(error("[cleaning]", "[cleaning").contains("FILE, line 12"));
        assert!(error("epochs = 3", "config = \"x\"").contains("no option `config`"));
    }
}
