// Keeps the page's files, so that it opens where there is no network. Where there is one, it goes first: what is kept
// never takes the place of a newer version.
const KEPT = "dynclean";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

// The page, once it runs, says of which files it consists; those of older versions go.
addEventListener("message", (event) => event.waitUntil(keep(event.data)));

// A name with a digest of the content never has another one.
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
  // The page's files lie in its own folder; runs, which may be large, below it.
  if (method === "GET" && new URL(".", url).href === registration.scope) event.respondWith(answer(event.request));
});

const answer = async (request) => {
  try {
    return await fetch(request);
  } catch (error) {
    const cache = await caches.open(KEPT);
    // What follows `?` is for the page itself.
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
};
