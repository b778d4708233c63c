// Starts the page. `pattern_script` in Trunk.toml names the program's two files on the script element. So the
// Content-Security-Policy can forbid scripts inside the page.
const { js, wasm } = document.querySelector("script[data-wasm]").dataset;
const url = (name) => new URL(name, document.baseURI).href;

// Keeps the page's files for use without a network. If the browser cannot do that, or refuses, the page needs a
// network.
const keepForOffline = async (files) => {
  try {
    await navigator.serviceWorker.register(url("offline.js"));
    const { active } = await navigator.serviceWorker.ready;
    const linked = [...document.querySelectorAll("link[href]")].map((link) => link.href);
    active.postMessage([...new Set([...files, ...linked])]);
  } catch (error) {
    console.info(`DynClean is not kept for use without a network (${error}).`);
  }
};

try {
  const program = await import(url(js));
  await program.default({ module_or_path: url(wasm) });
  document.getElementById("starting")?.remove();
  // The name of the first program's file changes with every version. The second program has a constant name, so its
  // address says which version it belongs to.
  const exporter = ["exporter.js", "exporter_bg.wasm"].map((name) => url(`${name}?of=${js}`));
  program.start(url(js), url("worker.js"), exporter[0]);
  keepForOffline([url("."), url(js), url(wasm), url("start.js"), url("worker.js"), ...exporter]);
} catch (error) {
  const message = document.getElementById("starting") ?? document.body.appendChild(document.createElement("p"));
  message.className = "stopped";
  message.setAttribute("role", "alert");
  message.textContent =
    `DynClean could not start (${error}). It needs a browser with WebAssembly and module workers, ` +
    "and a web server: opened straight from disk, browsers refuse to load it.";
}
