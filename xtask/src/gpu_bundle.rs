//! `cargo xtask gpu-bundle`: builds a trainer for NVIDIA GPUs on a machine that has neither a GPU nor CUDA.
//!
//! nvcc comes from NVIDIA's Python packages. Two crates are built from copies, each with one setting changed that
//! cannot be changed from outside. candle-core would link the CUDA libraries, and the program would not even start
//! without them. candle-kernels would compile the kernels of quantised models. Nothing here uses these kernels,
//! and they take longer than all others. The copies, and a workspace that uses them, are in the build folder. The
//! repository and its Cargo.lock stay as they are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    layout::Layout,
    process::{cargo, find, output, packages},
    steps::{Step, Steps},
};

/// nvcc must not be newer than the CUDA of the driver on which the kernels will run.
const TOOLKIT: [&str; 5] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
];
/// The CUDA version for cudarc: 13.0, for the same reason.
const CUDA_VERSION: &str = "13000";
/// Without these, pip takes only packages that run on this system's own, perhaps older, libraries.
const PLATFORMS: [&str; 4] =
    ["manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_12_x86_64", "manylinux2010_x86_64"];

#[derive(clap::Args)]
pub struct Args {
    /// Oldest cards to build for, as their compute capability without the dot: 80 for A100 and newer, 90 for H100
    #[arg(long, default_value = "80", value_name = "NN", value_parser = compute_capability)]
    cuda_compute_cap: String,
    /// Folder for the bundle [default: target/gpu-bundle/bundle]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Number of parallel compile jobs [default: number of processors]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
}

fn compute_capability(text: &str) -> Result<String, String> {
    let valid = text.parse().is_ok_and(|number: u32| (80..200).contains(&number));
    valid.then(|| text.to_owned()).ok_or_else(|| "expected a number from 80 (bf16 needs it) on, such as 90".to_owned())
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "the bundle is built on Linux, x86-64; elsewhere, with CUDA installed: cargo build --profile published \
         -p trainer --features cuda"
    );
    let folder = layout.root.join("target/gpu-bundle");
    let out = args.out.clone().unwrap_or_else(|| folder.join("bundle"));
    let mut steps = Steps::new(layout, 4)?;
    let cuda = steps.step("nvcc", |step| toolkit(step, &folder))?;
    let workspace = steps.step("patched crates", |_| patched_workspace(layout, &folder))?;
    let programs = steps.step("kernels and trainer", |step| build(step, &workspace, &folder, &cuda, args))?;
    steps.step("bundle", |_| bundle(layout, &programs, &out))?;
    Ok(())
}

/// Unpacks CUDA's compiler from Python packages into one folder.
fn toolkit(step: &Step, folder: &Path) -> Result<(PathBuf, String)> {
    let cuda = folder.join("cuda/nvidia/cu13");
    if cuda.join("lib64").exists() {
        return Ok((cuda, "already there".to_owned()));
    }
    let python = find("python3").context("python3 is missing: nvcc comes from Python packages")?;
    let wheels = folder.join("whl");
    step.say("downloading with pip, 105 MB");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"]);
    pip.args(PLATFORMS.iter().flat_map(|platform| ["--platform", platform]));
    step.run(pip.arg("-d").arg(&wheels).args(TOOLKIT))?;
    for wheel in files(&wheels)? {
        step.run(Command::new(&python).args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder.join("cuda")))?;
    }
    for programs in ["bin", "nvvm/bin"] {
        // Unpacking loses the permission to execute.
        files(&cuda.join(programs))?.iter().try_for_each(|program| make_executable(program))?;
    }
    // The link is made last: if it exists, the whole folder is there.
    link("lib", &cuda.join("lib64"))?;
    Ok((cuda, "unpacked".to_owned()))
}

/// Makes a workspace of links to the members of this one. It builds with the patched crates.
fn patched_workspace(layout: &Layout, folder: &Path) -> Result<(PathBuf, String)> {
    let (core, kernels) = crate_folders(layout)?;
    let vendor = folder.join("vendor");
    patched_copy(&core, &vendor.join("candle-core"), "Cargo.toml", load_at_run_time)?;
    patched_copy(&kernels, &vendor.join("candle-kernels"), "build.rs", without_quantised_kernels)?;
    let workspace = folder.join("workspace");
    create(&workspace)?;
    let manifest = read(&layout.root.join("Cargo.toml"))?;
    let patch = "\n[patch.crates-io]\ncandle-core = { path = \"../vendor/candle-core\" }\n\
                 candle-kernels = { path = \"../vendor/candle-kernels\" }\n";
    write(&workspace.join("Cargo.toml"), &(manifest + patch))?;
    write(&workspace.join("Cargo.lock"), &read(&layout.root.join("Cargo.lock"))?)?;
    for member in ["shared", "trainer", "web", "tests", "xtask"] {
        let link_to = workspace.join(member);
        if !link_to.exists() {
            link(layout.root.join(member), &link_to)?;
        }
    }
    Ok((workspace, "candle-core loads CUDA at run time; candle-kernels without quantised models".to_owned()))
}

/// Returns the folders in which cargo has unpacked candle-core and candle-kernels. Cargo downloads them if needed.
fn crate_folders(layout: &Layout) -> Result<(PathBuf, PathBuf)> {
    let packages = packages(&layout.root, &["--features=trainer/cuda"])?;
    let folder_of = |name: &str| {
        let package = packages.iter().find(|package| package.name == name);
        package
            .and_then(|p| p.manifest_path.parent())
            .map(Path::to_path_buf)
            .with_context(|| format!("no crate {name}"))
    };
    Ok((folder_of("candle-core")?, folder_of("candle-kernels")?))
}

/// Copies a crate once, with one file changed.
fn patched_copy(from: &Path, to: &Path, file: &str, patch: impl Fn(&str) -> Option<String>) -> Result<()> {
    let changed = read(&from.join(file))?;
    let changed = patch(&changed).with_context(|| {
        format!("{} of {} is not what the patch was written for: adapt xtask/src/gpu_bundle.rs", file, from.display())
    })?;
    // An existing copy stays as it is: with new file times, cargo would compile it again.
    if fs::read_to_string(to.join(file)).is_ok_and(|there| there == changed) {
        return Ok(());
    }
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    copy_folder(from, to)?;
    // This file is written last: if it is there, the copy is complete.
    write(&to.join(file), &changed)
}

/// Returns candle-core's manifest, changed so that the CUDA libraries are loaded at run time.
fn load_at_run_time(manifest: &str) -> Option<String> {
    let linked = "\"dynamic-linking\"";
    (manifest.matches(linked).count() == 1).then(|| manifest.replace(linked, "\"dynamic-loading\""))
}

/// Returns candle-kernels' build script without the library of quantised and mixture-of-experts kernels.
fn without_quantised_kernels(script: &str) -> Option<String> {
    let (kept, left_out) = script.split_once("    let mut moe_sources = vec![")?;
    left_out.contains("cargo:rustc-link-lib=dylib=cudart").then(|| format!("{kept}    Ok(())\n}}\n"))
}

/// A program of the bundle: the path of the built file, and the name in the bundle.
type Program = (PathBuf, &'static str);

/// A message of `cargo build --message-format=json` about something that was built.
#[derive(Deserialize)]
struct Artifact {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

fn build(step: &Step, workspace: &Path, folder: &Path, cuda: &Path, args: &Args) -> Result<(Vec<Program>, String)> {
    let command = || -> Result<Command> {
        let mut path = vec![cuda.join("bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let mut command = cargo();
        command.args([
            "build",
            "--profile=published",
            "--package=trainer",
            "--features=cuda",
            "--bin=trainer",
            "--bench=train",
        ]);
        command.args(args.jobs.map(|jobs| format!("--jobs={jobs}"))).arg("--target-dir").arg(folder.join("target"));
        command.env("CUDA_HOME", cuda).env("PATH", env::join_paths(path)?).current_dir(workspace);
        command.env("CUDA_COMPUTE_CAP", &args.cuda_compute_cap).env("CUDARC_CUDA_VERSION", CUDA_VERSION);
        Ok(command)
    };
    step.say("the first time this compiles CUDA kernels for several minutes");
    step.run(&mut command()?)?;
    // Everything is built. This call only asks for the paths.
    let answer = output(command()?.arg("--message-format=json"))?;
    let mut programs = Vec::new();
    for line in answer.lines() {
        let Ok(Artifact { target: Some(target), executable: Some(program) }) = serde_json::from_str(line) else {
            continue;
        };
        let name = if target.kind.iter().any(|kind| kind == "bench") { "train-bench" } else { "trainer" };
        programs.push((program, name));
    }
    ensure!(programs.len() == 2, "cargo built {programs:?} instead of two programs");
    Ok((programs, "built".to_owned()))
}

/// Copies the stripped programs to the bundle and packs them. Returns what they need.
fn bundle(layout: &Layout, programs: &[Program], out: &Path) -> Result<((), String)> {
    create(out)?;
    let mut news = String::new();
    for (program, name) in programs {
        let stripped = out.join(name);
        output(Command::new("strip").arg("-o").arg(&stripped).arg(program)).context("strip is of Debian's binutils")?;
        output(Command::new("xz").args(["-9", "--keep", "--force"]).arg(&stripped)).context("packing")?;
        let needed = output(Command::new("readelf").args(["--dynamic", "--wide"]).arg(&stripped))?;
        let needed = needed_libraries(&needed);
        if let Some(cuda) = needed.iter().find(|library| library.contains("cu")) {
            bail!("{name} needs {cuda} to start: candle-core was not patched");
        }
        let symbols = output(Command::new("objdump").arg("--dynamic-syms").arg(&stripped))?;
        let glibc = newest_glibc(&symbols).unwrap_or_else(|| "of any version".to_owned());
        let size = |path: &Path| fs::metadata(path).map_or(0.0, |meta| meta.len() as f64 / 1e6);
        news += &format!(
            "\n  {}: {:.1} MB ({:.1} MB as .xz); needs {}; glibc {glibc}",
            layout.shown(&stripped),
            size(&stripped),
            size(&stripped.with_extension("xz")),
            needed.join(", "),
        );
    }
    Ok(((), news))
}

/// Returns the libraries that a program needs to start, from the output of readelf.
fn needed_libraries(readelf: &str) -> Vec<&str> {
    let needed = readelf.lines().filter(|line| line.contains("(NEEDED)"));
    needed.filter_map(|line| line.split_once('[')?.1.split_once(']')).map(|(name, _)| name).collect()
}

/// Returns the newest version of glibc that a program's symbols need.
fn newest_glibc(symbols: &str) -> Option<String> {
    let versions = symbols.split("GLIBC_").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>()
    });
    let newest = versions.max()?;
    Some(newest.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Writes a file, unless it already has this content.
fn write(file: &Path, content: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    create(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(program: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", program.display()))
}

#[cfg(unix)]
fn link(to: impl AsRef<Path>, at: &Path) -> Result<()> {
    std::os::unix::fs::symlink(to, at).with_context(|| format!("cannot create the link {}", at.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    bail!("only on Linux")
}

#[cfg(not(unix))]
fn link(_: impl AsRef<Path>, _: &Path) -> Result<()> {
    bail!("only on Linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_change_one_thing_or_refuse() {
        let manifest = "features = [\n    \"driver\",\n    \"dynamic-linking\",\n]\n";
        assert_eq!(load_at_run_time(manifest).unwrap(), "features = [\n    \"driver\",\n    \"dynamic-loading\",\n]\n");
        assert_eq!(load_at_run_time("features = [\"driver\"]"), None);
        let script = "fn main() -> Result<()> {\n    ptx()?;\n    let mut moe_sources = vec![\n        \"a.cu\",\n    ];\n    \
                      println!(\"cargo:rustc-link-lib=dylib=cudart\");\n    Ok(())\n}\n";
        assert_eq!(
            without_quantised_kernels(script).unwrap(),
            "fn main() -> Result<()> {\n    ptx()?;\n    Ok(())\n}\n"
        );
        assert_eq!(without_quantised_kernels("fn main() {}"), None);
    }

    #[test]
    fn what_a_program_needs_is_read_from_the_tools() {
        let readelf = "Dynamic section at offset 0x1 contains 2 entries:\n  Tag  Type  Name/Value\n \
                       0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]\n \
                       0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n \
                       0x000000000000000c (INIT)               0x1000\n";
        assert_eq!(needed_libraries(readelf), ["libgcc_s.so.1", "libc.so.6"]);
        let symbols = "0 DF *UND* 0 (GLIBC_2.9) a\n0 DF *UND* 0 (GLIBC_2.34) b\n0 DF *UND* 0 (GLIBC_2.2.5) c\n";
        assert_eq!(newest_glibc(symbols).as_deref(), Some("2.34"));
        assert_eq!(newest_glibc(""), None);
    }

    #[test]
    fn a_crate_is_copied_once_and_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::write(from.join("src/lib.rs"), "old").unwrap();
        fs::write(from.join("build.rs"), "a").unwrap();
        let copy = || patched_copy(&from, &to, "build.rs", |text| Some(text.to_owned() + "b")).unwrap();
        copy();
        fs::write(from.join("src/lib.rs"), "new").unwrap();
        copy();
        let lib = || fs::read_to_string(to.join("src/lib.rs")).unwrap();
        assert_eq!((lib().as_str(), fs::read_to_string(to.join("build.rs")).unwrap().as_str()), ("old", "ab"));
        fs::write(from.join("build.rs"), "c").unwrap();
        copy();
        assert_eq!(lib(), "new");
        assert!(patched_copy(&from, &to, "build.rs", |_| None).is_err());
    }
}
