//! `cargo xtask screenshots`: makes the pictures of the docs from the page as it is now. A test of the page makes
//! them (tests/tests/page/pictures.rs), in the same browser as all tests of the page.

use anyhow::Result;

use crate::{
    layout::Layout,
    page,
    process::cargo,
    setup::{self, browser, wasm_std},
    steps::Steps,
};

const TEST: &str = "pictures::pictures_of_the_docs_can_be_made";

pub fn run(layout: &Layout) -> Result<()> {
    let mut steps = Steps::new(layout, 1 + setup::PAGE_TOOL_STEPS + 3)?;
    wasm_std::ensure(layout, &mut steps)?;
    setup::page_tools(layout, &mut steps)?;
    let browser = browser::ensure(&mut steps)?;
    page::build(layout, &mut steps)?;
    steps.step("pictures", |step| {
        step.say("building the trainer, training on the sample, opening the page");
        let mut test = cargo();
        test.args(["test", "--release", "--package", "tests", "--test", "page", "--", "--exact", TEST]);
        test.current_dir(&layout.root)
            .env("DYNCLEAN_PICTURES", layout.root.join("docs"))
            .env("DYNCLEAN_DIST", layout.dist())
            .env("CHROMIUM", &browser.chromium)
            .env("CHROMEDRIVER", &browser.driver);
        step.run(&mut test)?;
        Ok(((), "docs/page.png; look at it before you commit it".to_owned()))
    })
}
