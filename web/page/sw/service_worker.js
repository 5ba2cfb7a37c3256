// The service worker: keeps this version of the page, whole and checked, and serves it with or without a network.
// The build puts SHELL before this text: the files of this version with their SHA-256, and headers.
//
// - A version is taken only when every file of it has arrived with the SHA-256 that SHELL names. Until then, and
//   whatever happens meanwhile, the version before serves every tab.
// - A new version waits until the user takes it, or until no tab is left. Tabs of the version before keep working:
//   what a tab may load later lies in folders that are named by their content, and its files are kept, too.
// - A version that is older than the installed one is refused (Shell.reinstall() is the way back).
// - Files of models never come through here: the store has them.
// - Every answer carries the headers that isolate the page, for hosts that can not send them.

const BASE = new URL("./", self.location.href).href;
const OWN = `lbm-shell-${BASE}-`; // an origin may have several such pages, in folders of their own
const CACHE = OWN + SHELL.version;
const STATE = "lbm-shell-state";
const STATE_URL = `${BASE}installed`;
const AT_ONCE = 4;
const FILES = new Map(SHELL.files.map((file) => [BASE + file.url, file]));

// ---- taking a version ------------------------------------------------------------------------------

async function readState() {
  const kept = await (await caches.open(STATE)).match(STATE_URL);
  return kept ? kept.json() : null;
}

async function writeState(state) {
  await (await caches.open(STATE)).put(STATE_URL, new Response(JSON.stringify(state)));
}

async function hasHash(bytes, file) {
  if (bytes.byteLength !== file.bytes) return false;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") === file.sha256;
}

// The bytes of a file: what an earlier try or version has kept, or those of the server; the hash decides.
async function obtain(cache, url, file) {
  for (const where of [cache, caches]) {
    const kept = await where.match(url);
    const bytes = await kept?.arrayBuffer();
    if (bytes !== undefined && (await hasHash(bytes, file))) return bytes;
  }
  const response = await fetch(file.url === "index.html" ? BASE : url, {
    cache: "no-cache",
    credentials: "same-origin",
  });
  if (!response.ok) throw new Error(`${url}: the server answers ${response.status}`);
  const bytes = await response.arrayBuffer();
  if (!(await hasHash(bytes, file))) throw new Error(`${url} is not the file of version ${SHELL.version}`);
  return bytes;
}

// Which modules this engine will run: what web/lib/capabilities.mjs asks, too.
function runsRelaxed() {
  const probe = new Uint8Array(SHELL.relaxedProbe);
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(probe)).exports.f() === 1;
  } catch {
    return WebAssembly.validate(probe); // the policy of a host may forbid to try
  }
}
function isWanted(file) {
  return !file.url.endsWith(".wasm") || file.url.includes("relaxed") === runsRelaxed();
}

async function install() {
  const installed = await readState();
  if (installed !== null && SHELL.order < installed.order) {
    throw new Error(`version ${SHELL.version} is older than ${installed.version}, which is installed`);
  }
  const cache = await caches.open(CACHE);
  const rest = [...FILES].filter(([, file]) => isWanted(file));
  const take = async () => {
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      const [url, file] = next;
      const bytes = await obtain(cache, url, file);
      await cache.put(url, new Response(bytes, { headers: { "Content-Type": file.type } }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
}

// From here on this version serves. Files of the one before stay for the tabs that it has; older ones go.
async function activate() {
  const before = await readState();
  const previous = before === null || before.version === SHELL.version ? (before?.previous ?? null) : before.version;
  await writeState({ version: SHELL.version, order: SHELL.order, previous });
  const kept = [CACHE, OWN + previous];
  for (const name of await caches.keys()) {
    if (name.startsWith(OWN) && !kept.includes(name)) await caches.delete(name);
  }
  await self.clients.claim();
}

// ---- serving ---------------------------------------------------------------------------------------

function headersFor(url, type) {
  const headers = new Headers(SHELL.isolation);
  headers.set("Content-Type", type);
  headers.set("X-Content-Type-Options", "nosniff");
  headers.set("Referrer-Policy", "no-referrer");
  if (type.startsWith("text/html")) headers.set("Content-Security-Policy", SHELL.documentPolicy);
  else if (url.endsWith(".mjs")) headers.set("Content-Security-Policy", SHELL.workerPolicy);
  return headers;
}

async function answer(request, url) {
  const cache = await caches.open(CACHE);
  const kept = (await cache.match(url)) ?? (await caches.match(url));
  const response = kept ?? (await fetch(request));
  if (!response.ok || response.type === "opaqueredirect") return response;
  const type = response.headers.get("Content-Type") ?? "application/octet-stream";
  return new Response(response.body, { status: response.status, headers: headersFor(url, type) });
}

// The address of the file that answers a request; null: not one of ours.
function fileUrl(request) {
  if (request.method !== "GET" || request.headers.has("Range")) return null;
  const url = new URL(request.url);
  url.search = "";
  url.hash = "";
  if (!url.href.startsWith(BASE)) return null;
  if (url.href === BASE) return `${BASE}index.html`;
  if (FILES.has(url.href)) return url.href;
  return url.href.startsWith(`${BASE}assets/`) ? url.href : null; // of the version before
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data?.type === "activate") self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const url = fileUrl(event.request);
  if (url !== null) event.respondWith(answer(event.request, url));
});
