// Keeps copies of the page's files, so that the page also opens without a network. If there is a network, the page
// is loaded from it: a kept copy never replaces a newer version.
const KEPT = "dynclean";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

// The running page sends the list of its files. Files of older versions are deleted.
addEventListener("message", (event) => event.waitUntil(keep(event.data)));

// A file name with a digest always has the same content.
const LASTING = /-[0-9a-f]{12,}[._]/;

const keep = async (files) => {
  const cache = await caches.open(KEPT);
  const wanted = [];
  for (const file of files) {
    if (!LASTING.test(file) || !(await cache.match(file))) wanted.push(file);
  }
  await cache.addAll(wanted);
  for (const request of await cache.keys()) {
    if (!files.includes(request.url)) await cache.delete(request);
  }
};

addEventListener("fetch", (event) => {
  const { url, method } = event.request;
  // The page's files are in its own folder. Runs are in folders below it; they may be large and are not kept.
  if (method === "GET" && new URL(".", url).href === registration.scope) event.respondWith(answer(event.request));
});

const answer = async (request) => {
  try {
    return await fetch(request);
  } catch (error) {
    const cache = await caches.open(KEPT);
    // The part after `?` is only for the page itself.
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
};
