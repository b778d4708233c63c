//! `cargo run -p sample-text`: writes the sample corpus into `trainer/sample/`, from where it is built into the program.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/sample");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in sample_text::files()? {
        let mut file = GzEncoder::new(Vec::new(), Compression::best());
        file.write_all(text.as_bytes())?;
        std::fs::write(folder.join(format!("{name}.gz")), file.finish()?)?;
    }
    Ok(())
}
