// What can be put into the store, and where its bytes are read from.

import { BlobOrigin } from "./blob_origin.mjs";
import { StoreError } from "./errors.mjs";
import { HttpOrigin } from "./http_origin.mjs";
import { MAX_SIGNATURE_BYTES } from "./signature.mjs";
import { MAX_JSON_BYTES } from "./strict_json.mjs";

// A URL that may be fetched. What stands in it is data: it is never part of a path here.
export function parseUrl(text) {
  let url;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch {
    throw new StoreError("bad_source", `'${String(text).slice(0, 200)}' is no address`);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new StoreError("bad_source", `${url.protocol} is not fetched; https is`);
  }
  if (url.username || url.password) throw new StoreError("bad_source", "an address with a password is not kept");
  url.hash = "";
  return url;
}

// "smollm2.gguf" of ".../smollm2.gguf?download=true": a name to show, made of harmless characters.
export function nameOf(text) {
  let last = text.split("/").filter((part) => part !== "").at(-1) ?? "";
  try {
    last = decodeURIComponent(last);
  } catch {
    // It is shown as it is.
  }
  return last.replace(/[^A-Za-z0-9._ -]/g, "_").slice(0, 128) || "model";
}

// All bytes of a small file.
async function readAll(origin, limit, signal) {
  const pieces = [];
  let size = 0;
  try {
    for (;;) {
      const buffer = new Uint8Array(64 * 1024);
      const n = await origin.fill(size, buffer, { signal });
      pieces.push(buffer.subarray(0, n));
      size += n;
      if (size > limit) throw new StoreError("too_long", `${origin.name}: more than ${limit} bytes`);
      if (n < buffer.length) break;
    }
  } finally {
    await origin.close();
  }
  const bytes = new Uint8Array(size);
  pieces.reduce((at, piece) => (bytes.set(piece, at), at + piece.length), 0);
  return bytes;
}

const textOf = (bytes) => new TextDecoder().decode(bytes);

// { name, bytes, signature (a text, or null), origins(files) } of a manifest that was given as
// { manifest, signature, files } of Blobs and texts.
async function fromParts({ manifest, signature = null, files = [] }, { signal }) {
  const read = async (part, limit) =>
    typeof part === "string" ? new TextEncoder().encode(part) : readAll(new BlobOrigin(part), limit, signal);
  const byName = new Map(files.map((file) => [file.name, file]));
  return {
    name: manifest.name ?? "manifest.json",
    bytes: await read(manifest, MAX_JSON_BYTES),
    signature: signature === null ? null : textOf(await read(signature, MAX_SIGNATURE_BYTES)),
    origins: (list) => list.map(({ path }) => (byName.has(path) ? new BlobOrigin(byName.get(path)) : null)),
  };
}

// The files of a manifest lie beside it; their names are plain, so that they can lie nowhere else.
export function originsBeside(url, files, options) {
  return files.map((file) => new HttpOrigin(new URL(encodeURIComponent(file.path), url), {
    ...options, isPinned: true, known: { size: file.size, etag: null, modified: null },
  }));
}

async function fromUrl(url, { signal, http, policy }) {
  const options = { ...http, accept: "application/json, */*;q=0.1" };
  const bytes = await readAll(new HttpOrigin(url, { ...options, maxBytes: MAX_JSON_BYTES }), MAX_JSON_BYTES, signal);
  let signature = null;
  if (policy !== "none") {
    const beside = new URL(url);
    beside.pathname += ".minisig";
    try {
      const origin = new HttpOrigin(beside, { ...http, maxBytes: MAX_SIGNATURE_BYTES });
      signature = textOf(await readAll(origin, MAX_SIGNATURE_BYTES, signal));
    } catch (error) {
      // Hosts of pages answer with a page for what they do not have.
      if (error.code !== "missing" && error.code !== "html") throw error;
    }
  }
  return { name: nameOf(url.pathname), bytes, signature, origins: (files) => originsBeside(url, files, http) };
}

// The parts of the manifest that `source` stands for.
export const readManifestSource = (source, options) =>
  source instanceof URL ? fromUrl(source, options) : fromParts(source, options);
