// Brings the bytes of an artifact into its data file, chunk after chunk, and knows its hashes at the
// end. What an earlier run left is used as far as its hashes are right, and nothing of it is
// believed: after k interruptions at most k chunks come twice.
//
// Two files belong to an artifact: `data`, the files of the artifact one after the other, and
// `chunks`, the SHA-256 of each chunk in its order, 32 bytes each, written down when the chunk is
// there. In a manifest these hashes are given; for a file that nobody vouches for, what was written
// down tells the next run what of the data survived.

import { StoreError } from "./errors.mjs";
import { createSha256, sha256Hex, toHex } from "./sha256.mjs";

export const DIGEST_BYTES = 32;
// A chunk that does not have its hash is asked for again that often.
const HASH_TRIES = 3;
// After so many bytes what is there is made to last. A killed tab loses nothing of what was written;
// this is for power cuts.
const FLUSH_BYTES = 64 * 1024 * 1024;

const fromHex = (text) => Uint8Array.from(text.match(/../g), (pair) => Number.parseInt(pair, 16));

// A guess at what a page of a proxy begins with; a model begins otherwise.
const looksLikeText = (bytes) => /^\s*[<{]/.test(new TextDecoder("latin1").decode(bytes.subarray(0, 64)));

function isModel(bytes) {
  const magic = new TextDecoder("latin1").decode(bytes.subarray(0, 4));
  return magic === "GGUF" || magic === "SLM1" || magic === "24ka"; // core/format/sniff.h
}

// The chunks of `files` ({ path, size, chunkBytes }) in one row. A size of null: one chunk at a time
// until the file ends.
function* chunksOf(file) {
  for (let i = 0; file.size === null || i * file.chunkBytes < file.size; ++i) {
    const at = i * file.chunkBytes;
    yield { i, at, size: file.size === null ? file.chunkBytes : Math.min(file.chunkBytes, file.size - at) };
  }
}

export class Transfer {
  #data;
  #chunks;
  #origins;
  #options;
  #done = 0;
  #unflushed = 0;

  // `data` and `chunks` are open files; `origins` has one for each file of the artifact, or is null
  // where there is nothing to ask. `mustBeModel` refuses what does not begin as one.
  constructor({ data, chunks, origins, mustBeModel = false, signal, onProgress = () => {} }) {
    this.#data = data;
    this.#chunks = chunks;
    this.#origins = origins;
    this.#options = { mustBeModel, signal, onProgress };
  }

  // Takes what is right of `files`, and gets the rest. Returns them with { size, sha256 } of what is
  // there now. Throws what origins throw, bad_hash, not_a_model, and errors of the file system.
  async run(files) {
    const result = [];
    let base = 0;
    let firstChunk = 0;
    const total = files.some((file) => file.size === null) ? null : files.reduce((sum, file) => sum + file.size, 0);
    await this.#askForRoom(total ?? 0);
    try {
      for (const [number, file] of files.entries()) {
        const { size, sha256, nChunk } = await this.#file(file, { number, base, firstChunk, total });
        result.push({ ...file, size, sha256 });
        base += size;
        firstChunk += nChunk;
      }
      // What an earlier run left behind the end.
      for (const [kept, size] of [[this.#data, base], [this.#chunks, firstChunk * DIGEST_BYTES]]) {
        if ((await kept.size()) > size) await kept.truncate(size);
      }
    } finally {
      // What came is kept, also where the rest did not.
      await Promise.all((this.#origins ?? []).map((origin) => origin?.close()));
    }
    await this.#flush();
    return result;
  }

  // What a browser estimates is made up (Chromium says 10 GiB more than is used, to everybody). That it
  // lets a file grow to its full size is the answer that counts; afterwards it is as long as before.
  async #askForRoom(total) {
    const there = await this.#data.size();
    if (total <= there) return;
    await this.#data.truncate(total);
    await this.#data.truncate(there);
  }

  async #flush() {
    await this.#data.flush();
    await this.#chunks.flush();
    this.#unflushed = 0;
  }

  async #file(file, place) {
    const whole = createSha256();
    let found;
    try {
      found = await this.#hashed(file, place, whole);
    } catch (error) {
      whole.hex(); // ends it
      throw error;
    }
    const sha256 = whole.hex();
    if (file.sha256 !== null && file.sha256 !== sha256) {
      throw new StoreError("bad_hash", `${file.path}: SHA-256 ${sha256} instead of ${file.sha256}`);
    }
    if (found.size === 0 && file.sha256 === null) throw new StoreError("not_a_model", `${file.path}: is empty`);
    return { ...found, sha256 };
  }

  // Goes through the chunks in their order; all that is right goes into `whole`.
  async #hashed(file, place, whole) {
    const buffer = new Uint8Array(file.size === null ? file.chunkBytes : Math.min(file.chunkBytes, file.size));
    const there = await this.#data.size();
    let size = 0;
    let nChunk = 0;
    for (const chunk of chunksOf(file)) {
      this.#options.signal?.throwIfAborted();
      const at = place.base + chunk.at;
      const bytes = buffer.subarray(0, chunk.size);
      // An earlier run wrote it down when it was whole.
      const written = at + chunk.size <= there ? await this.#written(place.firstChunk + chunk.i) : null;
      let n = chunk.size;
      if (written === null || !(await this.#keep(file, place, chunk, bytes, written))) {
        n = await this.#get(file, place, chunk, bytes, written !== null);
      }
      whole.update(bytes.subarray(0, n));
      size += n;
      if (n > 0) ++nChunk;
      if (n < chunk.size) break;
    }
    return { size, nChunk };
  }

  // Reads a chunk that an earlier run may have left, and says whether it is right.
  async #keep(file, place, chunk, bytes, written) {
    if (file.chunks === null && !(await this.#isOfOrigin(place, chunk, written))) return false;
    if ((await this.#data.read(place.base + chunk.at, bytes)) !== bytes.length) return false;
    const expected = file.chunks?.[chunk.i] ?? written;
    if ((await sha256Hex(bytes)) !== expected) return false;
    this.#progress("check", bytes.length, place.total);
    if (file.chunks) await this.#write(place.firstChunk + chunk.i, expected);
    return true;
  }

  // A file of the user may be another one of the same name and date. Where nobody vouches for chunks,
  // it is compared with what an earlier run took; from a difference on, nothing of that counts.
  async #isOfOrigin(place, chunk, written) {
    const origin = this.#origins?.[place.number];
    if (!origin?.isHere) return true; // servers tell whether a file is still the same
    const bytes = new Uint8Array(chunk.size);
    await origin.fill(chunk.at, bytes, { signal: this.#options.signal });
    if ((await sha256Hex(bytes)) === written) return true;
    await this.#chunks.truncate((place.firstChunk + chunk.i) * DIGEST_BYTES);
    return false;
  }

  async #written(number) {
    const digest = new Uint8Array(DIGEST_BYTES);
    const n = await this.#chunks.read(number * DIGEST_BYTES, digest);
    return n === DIGEST_BYTES ? toHex(digest) : null;
  }

  async #write(number, hex) {
    if ((await this.#written(number)) !== hex) await this.#chunks.write(number * DIGEST_BYTES, fromHex(hex));
  }

  // Gets a chunk and puts it where it belongs. Returns its size: less than asked for where the file
  // ends and it was not known where.
  async #get(file, place, chunk, bytes, isSingle) {
    const origin = this.#origins?.[place.number];
    if (!origin) throw new StoreError("source_gone", `${file.path}: the rest of it is missing. Choose the file again`);
    const { signal } = this.#options;
    let digest;
    for (let i = 1; ; ++i) {
      const before = this.#done;
      // One bad chunk among good ones is asked for alone.
      const end = isSingle || i > 1 ? chunk.at + chunk.size : null;
      const n = await origin.fill(chunk.at, bytes, {
        end, signal, onBytes: (count) => this.#progress("download", count, place.total ?? origin.size),
      });
      if (n === 0) return 0;
      bytes = bytes.subarray(0, n);
      if (file.size !== null && n < chunk.size) {
        throw new StoreError("truncated", `${file.path}: ends at byte ${chunk.at + n} of ${file.size}`);
      }
      if (chunk.i === 0 && this.#options.mustBeModel && !isModel(bytes)) {
        const what = looksLikeText(bytes) ? "a text or a web page" : "something else";
        throw new StoreError("not_a_model", `${file.path}: is ${what} and no model (GGUF, SLM1 or llama2.c)`);
      }
      digest = await sha256Hex(bytes);
      const expected = file.chunks?.[chunk.i];
      if (expected === undefined || expected === digest) break;
      this.#done = before;
      await origin.close();
      if (i === HASH_TRIES) throw this.#wrong(file, chunk, bytes);
    }
    await this.#data.write(place.base + chunk.at, bytes);
    await this.#write(place.firstChunk + chunk.i, digest);
    this.#unflushed += bytes.length;
    if (this.#unflushed >= FLUSH_BYTES) await this.#flush();
    return bytes.length;
  }

  #wrong(file, chunk, bytes) {
    const what = `${file.path}: the ${chunk.size} bytes at ${chunk.at} are not those of the manifest`;
    if (chunk.i === 0 && looksLikeText(bytes)) return new StoreError("html", `${what}: a web page came`);
    return new StoreError("bad_hash", `${what} (chunk ${chunk.i})`, { chunk: chunk.i, at: chunk.at });
  }

  #progress(phase, n, total) {
    this.#done += n;
    this.#options.onProgress(phase, this.#done, total);
  }
}

// Throws StoreError damaged unless `blob` holds `files` to the byte. `digests` are those of the chunks
// where they are known to be right; the browser compares them quickly. Null: the hashes of the whole
// files decide.
export async function checkBytes(blob, digests, files, { signal, onProgress = () => {} } = {}) {
  let base = 0;
  let number = 0;
  for (const file of files) {
    const whole = digests === null ? createSha256() : null;
    let hex = null;
    try {
      for (const chunk of chunksOf(file)) {
        signal?.throwIfAborted();
        const at = base + chunk.at;
        const bytes = new Uint8Array(await blob.slice(at, at + chunk.size).arrayBuffer());
        whole?.update(bytes);
        const expected = digests?.subarray(number * DIGEST_BYTES, (number + 1) * DIGEST_BYTES);
        if (expected && toHex(expected) !== (await sha256Hex(bytes))) throw damaged(file, chunk);
        onProgress("verify", at + chunk.size);
        ++number;
      }
    } finally {
      hex = whole?.hex() ?? file.sha256;
    }
    if (hex !== file.sha256) throw new StoreError("damaged", `${file.path}: is damaged`);
    base += file.size;
  }
}

function damaged({ path }, { i, at, size }) {
  return new StoreError("damaged", `${path}: is damaged in the ${size} bytes at ${at}`, { chunk: i, at });
}

// The bytes of a file of chunk digests; null where they are not those whose SHA-256 is `sha256`.
export async function readDigests(blob, sha256) {
  const bytes = new Uint8Array((await blob?.arrayBuffer()) ?? 0);
  return (await sha256Hex(bytes)) === sha256 ? bytes : null;
}
