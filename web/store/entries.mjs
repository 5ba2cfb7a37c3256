// One artifact in the catalog: how it begins, how it is found, and what is shown of it.

import { StoreError } from "./errors.mjs";
import { isDigest } from "./strict_json.mjs";
import { DIGEST_BYTES } from "./transfer.mjs";

export function newEntry(kind, source, name, call) {
  return {
    key: null, id: null, kind, source, name, version: null, state: "staging", bytes: null, files: [], signature: null,
    pinned: call.pin === true, lastUsed: 0, checked: null, etag: null, modified: null, mustBeModel: false,
  };
}

// An unsigned transfer that was begun from this source, and does not wait for another hash.
export function isSameUnsigned(entry, kind, source, call) {
  return entry.state === "staging" && entry.kind === kind && entry.source === source &&
    (call.sha256 === undefined || entry.files[0].sha256 === call.sha256);
}

// A server says that it has what came from this address.
export function isSameFile(entry, source, origin) {
  if (entry.kind !== "url" || entry.source !== source || entry.bytes !== origin.size) return false;
  if (origin.etag !== null) return entry.etag === origin.etag;
  return origin.modified !== null && entry.modified === origin.modified;
}

// The entry with this id; where one is whole and another is to become it, the whole one.
export function findEntry(state, id) {
  if (!isDigest(id)) throw new StoreError("bad_id", "an artifact is named by 64 hexadecimal digits, small letters");
  const found = state.entries.filter((entry) => entry.id === id);
  const entry = found.find((each) => each.state === "verified") ?? found[0];
  if (entry === undefined) throw new StoreError("not_found", "there is no such artifact in the store");
  return entry;
}

// What callers see of an entry: StoreEntry in store.d.ts.
export async function describe(files, entry, state) {
  const isVerified = entry.state === "verified";
  return {
    id: entry.id,
    name: entry.name,
    version: entry.version,
    state: isVerified && state.active === entry.id ? "active" : entry.state,
    bytes: entry.bytes,
    bytesDone: isVerified ? entry.bytes : await bytesDone(files, entry),
    lastUsed: entry.lastUsed,
    signature: entry.signature === null ? null : { keyId: entry.signature.keyId, comment: entry.signature.comment },
    expires: entry.signature?.expires ?? null,
    source: entry.source,
    kind: entry.kind,
    pinned: entry.pinned,
    files: entry.files.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
  };
}

// The bytes of the chunks that have come: each was written down.
async function bytesDone(files, entry) {
  const there = (await files.stat(`${entry.key}.data`))?.size ?? 0;
  let nChunk = ((await files.stat(`${entry.key}.chunks`))?.size ?? 0) / DIGEST_BYTES;
  let bytes = 0;
  for (const { size, chunkBytes } of entry.files) {
    const n = Math.min(Math.floor(nChunk), size === null ? Infinity : Math.ceil(size / chunkBytes));
    bytes += size === null ? n * chunkBytes : Math.min(n * chunkBytes, size);
    nChunk -= n;
  }
  return Math.min(bytes, there);
}
