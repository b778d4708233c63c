// Runs the same program as the page. The page has already compiled the module and sends it here.
const begin = async ({ data: [glue, module, exporter] }) => {
  removeEventListener("message", begin);
  const program = await import(glue);
  await program.default({ module_or_path: module });
  let tries = 0;
  let loading;
  // Loads the program that writes files. A browser may remember that an address could not be loaded, and a program that
  // has stopped stays stopped. So every further try has another address. There is one try at a time.
  globalThis.loadExporter = () => {
    loading ??= load().finally(() => (loading = undefined));
    return loading;
  };
  const load = async () => {
    const address = new URL(exporter);
    if (tries++) address.searchParams.set("try", tries);
    const writer = await import(address.href);
    const { search } = address;
    await writer.default({ module_or_path: new URL(`exporter_bg.wasm${search}`, address) });
    return writer;
  };
  program.work();
};
addEventListener("message", begin);

// A rejected promise does not reach the page's `onerror`; an error thrown from a timer does.
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  setTimeout(() => {
    throw event.reason;
  });
});
