// What the test of the store does inside of a page. Every function takes and returns plain data.

import { openStore } from "/store/store.mjs";

let store = null;
let running = null;

// Bytes that begin as a GGUF file and are others for every seed: store_fixtures.mjs has the same.
function makeModel(size, seed) {
  const bytes = new Uint8Array(size);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < size; ++i) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  bytes.set([0x47, 0x47, 0x55, 0x46]);
  return bytes;
}

async function sha256(blob) {
  const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const plain = async (promise) =>
  promise.then(
    (value) => ({ value }),
    ({ code, message, details }) => ({ code, message, details }),
  );

// Opens it again, in a worker of its own.
export async function open(options) {
  await store?.close();
  store = await openStore(options);
  return store.list();
}

// A call; { value } or { code, message }.
export const call = ([method, ...args]) => plain(store[method](...args));

// Begins a call and does not wait for it. Its progress is kept.
export function begin([method, source, options = {}]) {
  const stop = new AbortController();
  const mine = (running = { stop, told: [], ended: null });
  running.result = plain(
    store[method](source, { ...options, signal: stop.signal, onProgress: (progress) => mine.told.push(progress) }),
  );
  running.result.then((result) => (mine.ended = result));
}
export const told = () => running.told;
export const ended = () => running.ended; // what came of it; null: it goes on
export const finish = () => running.result;
export const abort = () => running.stop.abort();

export const addNoise = ({ size, seed }) =>
  plain(store.add(new File([makeModel(size, seed)], `m${seed}.gguf`, { lastModified: seed })));

// Everything that must hold at any time: what is shown as whole is whole.
export async function check() {
  const entries = await store.list();
  for (const entry of entries) {
    if (entry.state === "staging") continue;
    const hash = await sha256(await store.file(entry.id));
    if (hash !== entry.id) throw new Error(`${entry.name}: ${hash} instead of ${entry.id}`);
  }
  const active = await store.active();
  return { entries, active: active?.id ?? null };
}

// Begins to add and to activate `seed`, and kills the worker after `ms`.
export async function killWorker({ seed, size, ms, address }) {
  const work = (async () => {
    const entry = await store.add(
      address ?? new File([makeModel(size, seed)], `m${seed}.gguf`, { lastModified: seed }),
    );
    await store.activate(entry.id);
    return entry.id;
  })().catch((error) => error.code);
  const late = new Promise((done) => setTimeout(() => done("late"), ms));
  const result = await Promise.race([work, late]);
  await store.close();
  return result;
}

// The file of an artifact, read by ranges of `step` bytes.
export async function readRanges({ id, step }) {
  const file = await store.file(id);
  const start = performance.now();
  let n = 0;
  for (let at = 0; at < file.size; at += step) n += (await file.slice(at, at + step).arrayBuffer()).byteLength;
  return { n, size: file.size, name: file.name, ms: performance.now() - start };
}

export const filesThere = async () => {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("lbm-store");
  const names = [];
  for await (const name of folder.keys()) names.push(name);
  return names.sort();
};

// MB/s of the hashes that there are, of 32 MiB in pieces of 4.
export async function hashSpeeds(module) {
  const bytes = new Uint8Array(32 * 2 ** 20).fill(7);
  const pieces = Array.from({ length: 8 }, (_, i) => bytes.subarray(i * 2 ** 22, (i + 1) * 2 ** 22));
  const speeds = {};
  const time = async (name, f) => {
    let best = Infinity;
    for (let i = 0; i < 3; ++i) {
      const start = performance.now();
      await f();
      best = Math.min(best, performance.now() - start);
    }
    speeds[name] = Math.round(bytes.length / best / 1000);
  };
  const { createSha256, sha256Hex } = await import("/store/sha256.mjs");
  await time("createSha256", () => pieces.reduce((hash, piece) => (hash.update(piece), hash), createSha256()).hex());
  await time("sha256Hex, in chunks", async () => {
    for (const piece of pieces) await sha256Hex(piece);
  });
  if (module) {
    const { LbmModule } = await import("/lib/lbm_module.mjs");
    const wasm = await WebAssembly.compileStreaming(fetch(module));
    const lbm = new LbmModule(wasm);
    await time("module", () => pieces.reduce((hash, piece) => (hash.update(piece), hash), lbm.sha256()).digest());
  }
  return speeds;
}
