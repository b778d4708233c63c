// Runs the same program as the page. The page has already compiled the module and sends it here.
const begin = async ({ data: [glue, module] }) => {
  removeEventListener("message", begin);
  const program = await import(glue);
  await program.default({ module_or_path: module });
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
