// Keeps the page in the browser, so that it works without a network; and isolates it, so that the model may use several threads. What only
// some visitors need, such as what a graphics card takes, is kept when it is first used.

const NAME = "vos-zoo-BUILD";

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const { files } = await (await fetch("site.json", { cache: "no-cache" })).json();
    const cache = await caches.open(NAME);
    await cache.addAll(["./", ...files]);
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("vos-zoo-") && name !== NAME) await caches.delete(name);
    await self.clients.claim();
  })());
});

/** For the next time; without room in the browser it is fetched again then. */
async function keep(request, answer) {
  try {
    await (await caches.open(NAME)).put(request, answer);
  } catch { /* full */ }
}

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || new URL(event.request.url).origin !== self.location.origin) return;
  event.respondWith((async () => {
    const kept = await caches.match(event.request, { ignoreSearch: true });
    const answer = kept ?? (await fetch(event.request));
    if (!kept && answer.status === 200) await keep(event.request, answer.clone());
    const headers = new Headers(answer.headers);
    headers.set("Cross-Origin-Opener-Policy", "same-origin");
    headers.set("Cross-Origin-Embedder-Policy", "require-corp");
    return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
  })());
});
