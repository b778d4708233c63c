//! Once loaded, the page needs no network. If there is a network, the page is the newest version.

use tempfile::TempDir;

use crate::browser::{Page, Places, with_page};
use crate::made;

/// Waits until the files of the current page are kept, and the kept index has this title.
async fn until_kept(page: &Page, title: &str) {
    let script = "const done = arguments[arguments.length - 1];
        const look = async () => {
          const cache = await caches.open('dynclean');
          const index = await cache.match(new URL('.', document.baseURI).href);
          const text = index ? await index.text() : '';
          const files = (await cache.keys()).map((request) => new URL(request.url).pathname);
          if (navigator.serviceWorker.controller && text.includes('<title>TITLE</title>') &&
              ['.js', '_bg.wasm', '.css', '/worker.js', '/start.js', '/exporter.js', '/exporter_bg.wasm'].every((end) => files.some((file) => file.endsWith(end))))
            done(files);
          else setTimeout(look, 100);
        };
        look()";
    page.script_until_done(&script.replace("TITLE", title)).await;
}

/// Has a copy of the page served, which the test may change.
fn served_copy(places: &mut Places) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&places.page).unwrap().map(Result::unwrap) {
        // The book is a folder. It is not kept for reading without a network.
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    places.page = folder.path().to_path_buf();
    folder
}

#[test]
fn files_are_written_by_a_part_that_may_come_later() {
    let Some(mut places) = Places::find("files_are_written_by_a_part_that_may_come_later") else { return };
    let made = made(&places);
    let folder = served_copy(&mut places);
    let (part, aside) = (folder.path().join("exporter_bg.wasm"), folder.path().join("aside"));
    std::fs::rename(&part, &aside).unwrap();
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.pick("export-corpus", "same").await;
        page.until("banner", "tells of it", |text| text.contains("start the page's server again")).await;
        assert!(!page.download("export-decisions", "decisions.json").await.is_empty());

        std::fs::rename(&aside, &part).unwrap();
        assert!(!page.cleaned_corpus(crate::CLEANED).await.is_empty());

        // What has been loaded stays.
        page.stop_server();
        page.pick("export-more", "report").await;
        assert!(!page.downloaded("report.html").await.is_empty());
        // The console has errors about the part that was not there.
        page.forgive().await;
    });
}

#[test]
fn the_page_opens_without_a_network_as_it_was_last_served() {
    let Some(mut places) = Places::find("the_page_opens_without_a_network_as_it_was_last_served") else { return };
    let made = made(&places);
    let folder = served_copy(&mut places);
    with_page(&places, &made.run, "", move |page| async move {
        until_kept(&page, "DynClean").await;

        // Another version is served. The page shows it instead of the kept one.
        let index = folder.path().join("index.html");
        let newer = std::fs::read_to_string(&index).unwrap().replace("<title>DynClean", "<title>Newer DynClean");
        std::fs::write(&index, newer).unwrap();
        page.reload().await;
        until_kept(&page, "Newer DynClean").await;
        assert_eq!(page.script("return document.title").await, "Newer DynClean");

        page.stop_server();
        page.reload().await;
        assert_eq!(page.script("return document.title").await, "Newer DynClean");
        page.find("welcome").await;
        page.drop_file(&made.dynamics()).await;
        page.until_open().await;
        assert!(!page.download("export-decisions", "decisions.json").await.is_empty());
        assert!(!page.cleaned_corpus(crate::CLEANED).await.is_empty());
        // The console has errors about files that could not be fetched.
        page.forgive().await;
    });
}
