// Room for what is to come: asked for first, and made by taking away what was not used for longest.
//
// Never taken: the active artifact, what is pinned, what a rollback would go to, and what another
// tab is at work on. Transfers that nobody went on with go before what is whole.

import { rollbackTarget } from "./catalog.mjs";
import { StoreError } from "./errors.mjs";

// The notes of the store, and what a file system needs for itself.
const SLACK_BYTES = 1024 * 1024;

const mib = (bytes) => `${Math.ceil(bytes / 2 ** 20)} MiB`;

function mayGo(entry, state) {
  const isActive = entry.state === "verified" && entry.id === state.active;
  return !entry.pinned && !isActive && entry.key !== rollbackTarget(state)?.key;
}

function candidates(state) {
  return state.entries
    .filter((entry) => mayGo(entry, state))
    .sort((a, b) => Number(a.state === "verified") - Number(b.state === "verified") || a.lastUsed - b.lastUsed);
}

// Makes sure that `bytes` more can be written, or throws StoreError quota and has changed nothing.
// `isFull` says that the browser refused a write, whatever its estimate is; `except` is a key that
// must stay.
export async function evictFor(bytes, { files, catalog, mayEvict, isFull = false, except = null }) {
  const { usage, quota } = await files.estimate();
  const free = isFull ? 0 : quota - usage;
  const need = bytes + SLACK_BYTES;
  if (free >= need) return;
  const sizeOf = async ({ key }) => (await files.stat(`${key}.data`))?.size ?? 0;
  const all = [];
  for (const entry of mayEvict ? candidates(await catalog.read()) : []) {
    const size = await sizeOf(entry);
    if (size > 0 && entry.key !== except) all.push({ key: entry.key, size });
  }
  const possible = all.reduce((sum, { size }) => sum + size, free);
  if (possible < need) throw full(bytes, free, possible);
  let gained = free;
  for (const { key, size } of all) {
    if (gained >= need) break;
    // Asked again at that moment: another tab may have made it the active one.
    if (await catalog.dropIdle(key, mayGo)) gained += size;
  }
  if (gained < need) throw full(bytes, free, gained);
}

function full(need, free, possible) {
  const room = free > 0 ? `has ${mib(free)}` : "gives no more";
  const what = `${mib(need)} are needed, and the browser ${room} for this page`;
  const more = possible > free ? ` (${mib(possible)} without what may be removed)` : "";
  return new StoreError("quota", `${what}${more}. Remove a model, or free space on the disk`, { need, free, possible });
}
