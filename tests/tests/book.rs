//! The served documentation: every page is there, and every link in it leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use url::Url;

/// Attributes of HTML that hold an address.
const LINKS: [&str; 2] = ["href=\"", "src=\""];

/// Returns the values of an attribute in a page. `attribute` ends with `="`.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    html.split(&format!(" {attribute}")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Follows all links of the pages below `root` to files of this server. Returns the text of all files, and the links
/// that lead nowhere.
fn crawl(root: &Url) -> (BTreeMap<Url, String>, Vec<String>) {
    let (mut texts, mut broken) = (BTreeMap::new(), Vec::new());
    let mut links = BTreeSet::new();
    let mut waiting = vec![(root.clone(), root.clone())];
    while let Some((address, from)) = waiting.pop() {
        if texts.contains_key(&address) {
            continue;
        }
        let body = match ureq::get(address.as_str()).call().map(|answer| answer.into_body().read_to_vec()) {
            Ok(Ok(body)) => String::from_utf8_lossy(&body).into_owned(),
            Ok(Err(error)) | Err(error) => {
                broken.push(format!("{from} leads to {address}: {error}"));
                continue;
            }
        };
        let is_page = address.path().ends_with('/') || address.path().ends_with(".html");
        if is_page && address.as_str().starts_with(root.as_str()) {
            for value in LINKS.iter().flat_map(|attribute| values(&body, attribute)) {
                // `&amp;` and the like are in no address of the book.
                let Ok(target) = address.join(value) else {
                    broken.push(format!("{address} has the link {value:?}"));
                    continue;
                };
                if target.origin() == root.origin() {
                    let mut file = target.clone();
                    file.set_fragment(None);
                    links.insert((address.clone(), target));
                    waiting.push((file, address.clone()));
                }
            }
        }
        texts.insert(address, body);
    }
    for (from, mut target) in links {
        let Some(name) = target.fragment().map(str::to_owned).filter(|name| !name.is_empty()) else { continue };
        target.set_fragment(None);
        let is_there = |html: &String| values(html, "id=\"").contains(&name.as_str());
        if texts.get(&target).is_some_and(|html| !is_there(html)) {
            broken.push(format!("{from} leads to #{name}, which {target} does not have"));
        }
    }
    (texts, broken)
}

#[test]
fn every_page_of_the_book_is_served_and_no_link_is_broken() {
    let test = "every_page_of_the_book_is_served_and_no_link_is_broken";
    let Some(page) = tests::page(test) else { return };
    assert!(page.join("book/index.html").is_file(), "{} has no book: run `cargo xtask book`", page.display());
    let mut serve = Command::new(tests::trainer!());
    serve.args(["serve", "--port", "0", "--page"]).arg(&page);
    let mut server = tests::Server(serve.stdout(Stdio::piped()).spawn().unwrap());
    let mut told = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut told).unwrap();
    let address: Url = told.split_whitespace().last().unwrap().parse().unwrap();
    let (texts, broken) = crawl(&address.join("book/").unwrap());
    assert!(broken.is_empty(), "{} broken links:\n{}", broken.len(), broken.join("\n"));
    // Every chapter of the table of contents can be reached.
    let contents = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SUMMARY.md")).unwrap();
    let chapters: Vec<&str> =
        contents.split("](").skip(1).filter_map(|rest| rest.split_once(".md)")).map(|(name, _)| name).collect();
    assert!(chapters.len() > 10, "{chapters:?}");
    for chapter in chapters {
        let there = texts.keys().any(|found| found.path().ends_with(&format!("/{chapter}.html")));
        assert!(there, "no link leads to {chapter}");
    }
    // The page itself leads to the book.
    let index = ureq::get(address.as_str()).call().unwrap().into_body().read_to_string().unwrap();
    assert!(index.contains("<html data-book "), "the page hides its link to the book");
}
