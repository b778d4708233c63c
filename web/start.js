// Starts the page. Trunk.toml's `pattern_script` names the program's two files on the script
// element, so that the Content-Security-Policy can forbid scripts inside the page.
const { js, wasm } = document.querySelector("script[data-wasm]").dataset;
const url = (name) => new URL(name, document.baseURI).href;

try {
  const program = await import(url(js));
  await program.default({ module_or_path: url(wasm) });
  document.getElementById("starting")?.remove();
  program.start(url(js), url("worker.js"));
} catch (error) {
  const message = document.getElementById("starting") ?? document.body.appendChild(document.createElement("p"));
  message.className = "stopped";
  message.setAttribute("role", "alert");
  message.textContent =
    `DynClean could not start (${error}). It needs a browser with WebAssembly and module workers, ` +
    "and a web server: opened straight from disk, browsers refuse to load it.";
}
