//! `cargo xtask dist`: builds an archive with the program for this machine, and tries it out without Rust.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{
    book,
    layout::Layout,
    licences, page,
    process::{cargo, output, packages},
    setup::{self, wasm_std},
    steps::{Step, Steps},
};

/// The programs of the package `trainer`.
const PROGRAMS: [&str; 2] = ["trainer", "dynclean"];
/// Shells, and the names under which they look for their completions.
const COMPLETIONS: [(&str, &str); 4] =
    [("bash", "trainer.bash"), ("zsh", "_trainer"), ("fish", "trainer.fish"), ("powershell", "_trainer.ps1")];
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Name of the folder in the archive. `[package.metadata.binstall]` of trainer/Cargo.toml has the same names.
fn folder_name(version: &str, target: &str) -> String {
    format!("dynclean-{version}-{target}")
}

fn archive_name(version: &str, target: &str) -> String {
    format!("{}.tar.gz", folder_name(version, target))
}

#[derive(clap::Args)]
pub struct Args {
    /// Use page and book as they are in dist/. A release builds them once, for all machines
    #[arg(long)]
    page_as_it_is: bool,
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    let page_steps = if args.page_as_it_is { 0 } else { 1 + setup::PAGE_TOOL_STEPS + 1 + book::STEPS };
    let mut steps = Steps::new(layout, page_steps + 4)?;
    if args.page_as_it_is {
        for file in ["index.html", "book/index.html"] {
            ensure!(
                layout.dist().join(file).is_file(),
                "there is no dist/{file}; leave out --page-as-it-is to build it"
            );
        }
    } else {
        wasm_std::ensure(layout, &mut steps)?;
        setup::page_tools(layout, &mut steps)?;
        page::build(layout, &mut steps)?;
        book::add(layout, &mut steps)?;
    }
    steps.step("licences", |_| licences::write(layout, &layout.dist().join("licences.txt")))?;
    steps.step("programs", |step| {
        step.say("building");
        for program in PROGRAMS {
            let mut build = cargo();
            build.args([
                "rustc",
                "--profile=published",
                "--package=trainer",
                "--bin",
                program,
                "--",
                "-Cstrip=symbols",
            ]);
            step.run(build.env("DYNCLEAN_PAGE", layout.dist()).current_dir(&layout.root))?;
        }
        Ok(((), "built, with page and book inside".to_owned()))
    })?;
    let out = layout.root.join("target/dist");
    let (version, target) = (version(layout)?, target()?);
    let archive = steps.step("archive", |step| {
        let (folder_name, archive_name) = (folder_name(&version, &target), archive_name(&version, &target));
        let (folder, archive) = (out.join(&folder_name), out.join(&archive_name));
        fill(layout, step, &folder)?;
        // With relative paths, because some versions of tar take `C:` for the name of another machine.
        step.run(Command::new("tar").args(["-czf", &archive_name, &folder_name]).current_dir(&out))
            .context("tar is needed")?;
        fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        let sums = sums(&out)?;
        fs::write(out.join("SHA256SUMS"), sums).with_context(|| format!("cannot write to {}", out.display()))?;
        let bytes = archive.metadata()?.len();
        let news = format!("{:.1} MB, {}", bytes as f64 / 1e6, layout.shown(&archive));
        Ok((archive, news))
    })?;
    steps.step("archive, unpacked", |step| {
        step.say("in an empty folder, without Rust");
        let folder = layout.root.join("target/dist-check");
        try_out(step, &archive, &folder, &folder_name(&version, &target))?;
        Ok(((), "program, page and book work there".to_owned()))
    })
}

fn version(layout: &Layout) -> Result<String> {
    let packages = packages(&layout.root, &["--no-deps"])?;
    let trainer = packages.into_iter().find(|package| package.name == "trainer");
    Ok(trainer.context("cargo knows no package trainer")?.version)
}

/// Returns the name that Rust has for this machine.
fn target() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = output(Command::new(rustc).arg("-vV"))?;
    let target = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(target.context("`rustc -vV` states no host")?.to_owned())
}

/// Makes the content of the archive.
fn fill(layout: &Layout, step: &Step, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    let (completions, man) = (folder.join("completions"), folder.join("man"));
    for folder in [&completions, &man] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let copy = |from: &Path| -> Result<()> {
        let name = from.file_name().with_context(|| format!("{} has no name", from.display()))?;
        fs::copy(from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    };
    for program in PROGRAMS {
        copy(&layout.published().with_file_name(program_file(program)))?;
    }
    for text in TEXTS {
        copy(&layout.root.join(text))?;
    }
    copy(&layout.dist().join("licences.txt"))?;
    for (shell, name) in COMPLETIONS {
        let script = output(Command::new(layout.published()).args(["completions", shell]))?;
        let path = completions.join(name);
        fs::write(&path, script + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    step.run(Command::new(layout.published()).args(["man", "--out"]).arg(&man))
}

fn program_file(program: &str) -> String {
    format!("{program}{}", env::consts::EXE_SUFFIX)
}

/// Returns the SHA-256 of every archive in a folder, in the format of `sha256sum`.
fn sums(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(".tar.gz"));
    names.sort();
    let mut sums = String::new();
    for name in names {
        let bytes = fs::read(folder.join(&name)).with_context(|| format!("cannot read {name}"))?;
        for byte in Sha256::digest(&bytes) {
            write!(sums, "{byte:02x}")?;
        }
        writeln!(sums, "  {name}")?;
    }
    Ok(sums)
}

/// Unpacks the archive as a user does, and uses what it contains. No other program can be found there.
fn try_out(step: &Step, archive: &Path, folder: &Path, name: &str) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::copy(archive, folder.join("archive.tar.gz")).with_context(|| format!("cannot copy {}", archive.display()))?;
    step.run(Command::new("tar").args(["-xzf", "archive.tar.gz"]).current_dir(folder))?;
    let unpacked = folder.join(name);
    for file in TEXTS.into_iter().chain(["licences.txt", "man/trainer.1", "man/trainer-run.1"]) {
        ensure!(unpacked.join(file).is_file(), "the archive has no {file}");
    }
    for (_, file) in COMPLETIONS {
        let script = fs::read_to_string(unpacked.join("completions").join(file))?;
        ensure!(script.contains("encoder"), "completions/{file} does not know the option --encoder");
    }
    let command = |program: &str| {
        let mut command = Command::new(unpacked.join(program_file(program)));
        command.current_dir(folder).env("PATH", "");
        command
    };
    for program in PROGRAMS {
        let told = output(command(program).arg("--version"))?;
        ensure!(told.starts_with("trainer "), "{program} --version says {told:?}");
    }
    let mut server = Server(command("trainer").args(["serve", "--port", "0"]).stdout(Stdio::piped()).spawn()?);
    let mut told = String::new();
    BufReader::new(server.0.stdout.take().context("the server has no output")?).read_line(&mut told)?;
    let host = told.trim().rsplit_once("http://").and_then(|(_, rest)| rest.strip_suffix('/'));
    let host = host.with_context(|| format!("the server says {told:?}, but no address"))?;
    let page = get(host, "/")?;
    for part in ["<title>DynClean", "data-book"] {
        ensure!(page.contains(part), "the page has no {part}");
    }
    ensure!(get(host, "/book/")?.contains("<title>DynClean"), "the first page of the book has another title");
    ensure!(get(host, "/licences.txt")?.contains("MIT"), "the licences do not name MIT");
    Ok(())
}

/// A server that ends together with this check.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the text at an address.
fn get(host: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(host).with_context(|| format!("cannot connect to {host}"))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => bail!("{path} answers {:?}", answer.lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo binstall` finds an archive by these names.
    #[test]
    fn the_names_are_those_that_binstall_is_told() {
        let manifest = include_str!("../../trainer/Cargo.toml");
        let (_, told) = manifest.split_once("[package.metadata.binstall]").unwrap();
        let value = |key: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).unwrap();
            let value = line.strip_suffix('"').unwrap().replace("{ version }", "1.2.3");
            value.replace("{ target }", "arm-x").replace("{ bin }", "trainer").replace("{ binary-ext }", ".exe")
        };
        assert_eq!(value("pkg-url"), format!("{{ repo }}/releases/download/v1.2.3/{}", archive_name("1.2.3", "arm-x")));
        assert_eq!(value("bin-dir"), format!("{}/trainer.exe", folder_name("1.2.3", "arm-x")));
        assert_eq!(value("pkg-fmt"), "tgz");
    }

    #[test]
    fn sums_are_those_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.tar.gz", "a.tar.gz", "SHA256SUMS"] {
            fs::write(folder.path().join(name), if name.starts_with('b') { "abc" } else { "" }).unwrap();
        }
        // The two examples of FIPS 180.
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.tar.gz\n\
                        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b.tar.gz\n";
        assert_eq!(sums(folder.path()).unwrap(), expected);
    }
}
