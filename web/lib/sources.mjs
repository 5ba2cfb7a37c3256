// Bytes of a model file from anywhere: { size, chunks(), read, name }.
//
// chunks() gives the bytes in order; read(at, n) any of them, or is null where the source can only be read
// once, and chunks() be called once. A model file never stands in memory whole because of anything here.

import { LbmError } from "./lbm_module.mjs";
import { inNode } from "./spawn.mjs";

const CHUNK_BYTES = 4 * 1024 * 1024;

// `url` absolute, seen from the page (or the script) that was given it.
export function absoluteUrl(url) {
  return new URL(url, globalThis.location?.href ?? (inNode ? `file://${process.cwd()}/` : import.meta.url));
}

export async function openUrl(url, signal) {
  if (inNode && url.protocol === "file:") {
    const { openAsBlob } = process.getBuiltinModule("node:fs");
    const { fileURLToPath } = process.getBuiltinModule("node:url");
    return openAsBlob(fileURLToPath(url));
  }
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    const why = "the connection failed, or the server does not allow this page to read it";
    throw new LbmError(`${url}: ${why} (${error.message})`);
  }
  if (!response.ok) throw new LbmError(`${url}: the server answers ${response.status} ${response.statusText}`);
  if (/^text\/html\b/i.test(response.headers.get("content-type") ?? "")) {
    throw new LbmError(`${url}: a web page came instead of the file (an error page, or a log-in of this network)`);
  }
  return response;
}

export async function openBytes(url, signal) {
  const opened = await openUrl(url, signal);
  return new Uint8Array(await opened.arrayBuffer());
}

// See ModelSource in lbm.d.ts.
export async function openSource(source, signal) {
  if (typeof source === "string" || source instanceof URL) {
    const url = absoluteUrl(source);
    const opened = await openSource(await openUrl(url, signal), signal);
    return { ...opened, name: nameOf(url) };
  }
  if (source instanceof ArrayBuffer) source = new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return ofBytes(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  if (source instanceof Blob) return ofBlob(source);
  if (source instanceof Response) {
    // The length is that of what is sent; what was compressed on the way is longer.
    const length = source.headers.get("content-length");
    if (length === null || source.headers.get("content-encoding") || source.body === null) {
      return ofBlob(await source.blob());
    }
    const name = source.url === "" ? "" : nameOf(new URL(source.url));
    return { size: Number(length), chunks: () => streamChunks(source.body), read: null, name };
  }
  if (source?.blob instanceof Blob) return ofBlob(source.blob);
  if (typeof source?.size === "number" && source.chunks !== undefined) {
    return { size: source.size, chunks: () => source.chunks, read: null, name: source.name ?? "" };
  }
  throw new LbmError("a model is a URL, a Blob, a Response, bytes, { size, blob }, or { size, chunks }");
}

function nameOf(url) {
  const name = url.pathname.split("/").at(-1);
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a "%" that is no escape
  }
}

function ofBytes(bytes) {
  const read = async (at, n) => bytes.subarray(at, at + n);
  return { size: bytes.length, chunks: () => chunksOf(bytes.length, read), read, name: "" };
}

function ofBlob(blob) {
  const read = async (at, n) => new Uint8Array(await blob.slice(at, at + n).arrayBuffer());
  return { size: blob.size, chunks: () => chunksOf(blob.size, read), read, name: blob.name ?? "" };
}

// The next chunk is read while the one before is used.
export async function* chunksOf(size, read) {
  let next = read(0, CHUNK_BYTES);
  for (let at = CHUNK_BYTES; ; at += CHUNK_BYTES) {
    const chunk = await next;
    next = at < size ? read(at, CHUNK_BYTES) : null;
    next?.catch(() => {}); // seen by the await, if there is one
    if (chunk.length > 0) yield chunk;
    if (next === null) return;
  }
}

// Streams are async iterables only in some browsers.
async function* streamChunks(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

export function iteratorOf(iterable) {
  return iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
}

// Tells an iterator that it is left. Nothing waits for it: it may be silent.
export function leave(iterator) {
  Promise.resolve().then(() => iterator.return?.()).catch(() => {});
}

// What `iterable` gives until `signal` is raised, also where the iterable is silent then.
export async function* untilAborted(iterable, signal) {
  const iterator = iteratorOf(iterable);
  let isLeft = true;
  let fail; // of the step that is waited for
  const stop = () => fail?.(signal.reason);
  signal?.addEventListener("abort", stop);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await new Promise((resolve, reject) => {
        fail = reject;
        Promise.resolve(iterator.next()).then(resolve, reject);
      });
      isLeft = !done;
      if (done) return;
      yield value;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    if (isLeft) leave(iterator);
  }
}

// A source that can be read again and anywhere, made of one that can be read once: a Blob, which
// browsers keep outside of the heap.
export async function rereadable(opened, signal, onProgress) {
  if (opened.read !== null) return opened;
  const parts = [];
  let done = 0;
  for await (const chunk of untilAborted(opened.chunks(), signal)) {
    parts.push(new Blob([chunk]));
    done += chunk.length;
    onProgress?.({ phase: "read", done, total: opened.size });
  }
  return { ...ofBlob(new Blob(parts)), name: opened.name };
}
