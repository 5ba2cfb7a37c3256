// What the head of a GGUF file says, and its identity: SHA-256 of the tokenizer and of the configuration
// apart from the weights, so that the same tokenizer is known again in another file.
//
// tokenizerHash covers the entries whose key begins with "tokenizer.", configHash all others: their raw
// bytes (key, type, value) in the order of the file. The core judges files; this only walks.

import { Sha256 } from "./sha256.mjs";

const MAGIC = 0x46554747;
const MAX_HEAD_BYTES = 256 * 1024 * 1024;
const MAX_ENTRIES = 65536;
const MAX_KEPT_TEXT = 4096;
const STRING = 8;
const ARRAY = 9;
const UNTOLD = Symbol("a value that is not kept");

const SCALARS = new Map([
  [0, [1, (v, at) => v.getUint8(at)]],
  [1, [1, (v, at) => v.getInt8(at)]],
  [2, [2, (v, at) => v.getUint16(at, true)]],
  [3, [2, (v, at) => v.getInt16(at, true)]],
  [4, [4, (v, at) => v.getUint32(at, true)]],
  [5, [4, (v, at) => v.getInt32(at, true)]],
  [6, [4, (v, at) => v.getFloat32(at, true)]],
  [7, [1, (v, at) => v.getUint8(at) !== 0]],
  [10, [8, (v, at) => Number(v.getBigUint64(at, true))]],
  [11, [8, (v, at) => Number(v.getBigInt64(at, true))]],
  [12, [8, (v, at) => v.getFloat64(at, true)]],
]);

export class GgufMetadata {
  #bytes = new Uint8Array(0);
  #view = null;
  #have = 0;
  #seen = 0; // bytes that were added in all
  #at = 0;
  #walk = this.#entries();
  #hashes = { tokenizer: new Sha256(), config: new Sha256() };
  done = false; // nothing more is needed
  result = null; // { version, values, tokenizerHash, configHash } of a GGUF file, in the end

  // The next bytes of the file.
  add(bytes) {
    if (this.done) return;
    this.#seen += bytes.length;
    this.#keep(bytes);
    const { done, value } = this.#walk.next();
    if (!done && this.#seen <= MAX_HEAD_BYTES) return;
    this.done = true;
    this.result = done ? value : null;
    this.#bytes = new Uint8Array(0);
  }

  #keep(bytes) {
    const rest = this.#bytes.subarray(this.#at, this.#have);
    if (rest.length + bytes.length > this.#bytes.length) {
      const more = new Uint8Array(2 * (rest.length + bytes.length));
      more.set(rest);
      this.#bytes = more;
    } else {
      this.#bytes.copyWithin(0, this.#at, this.#have);
    }
    this.#bytes.set(bytes, rest.length);
    this.#have = rest.length + bytes.length;
    this.#at = 0;
    this.#view = new DataView(this.#bytes.buffer);
  }

  // The generator waits (yields) where bytes are missing, at the start of an entry: what is kept begins
  // there, and the entry is walked again when more has come.
  *#entries() {
    while (this.#have < 24) yield;
    if (this.#view.getUint32(0, true) !== MAGIC) return null;
    const version = this.#view.getUint32(4, true);
    const nEntry = Number(this.#view.getBigUint64(16, true));
    if (version < 2 || version > 3 || nEntry > MAX_ENTRIES) return null;
    this.#at = 24;
    const values = {};
    for (let i = 0; i < nEntry; ++i) {
      let entry = this.#entry();
      for (; entry === null; entry = this.#entry()) yield;
      if (entry === undefined) return null;
      const raw = this.#bytes.subarray(this.#at, entry.end);
      this.#hashes[entry.key.startsWith("tokenizer.") ? "tokenizer" : "config"].update(raw);
      if (entry.value !== UNTOLD) values[entry.key] = entry.value;
      this.#at = entry.end;
    }
    return {
      version, values, tokenizerHash: this.#hashes.tokenizer.hex(), configHash: this.#hashes.config.hex(),
    };
  }

  // { key, value, end }; null where bytes are missing, undefined where this is no entry.
  #entry() {
    const key = this.#text(this.#at);
    if (key === null || this.#have < key.end + 4) return null;
    const type = this.#view.getUint32(key.end, true);
    const at = key.end + 4;
    if (type === STRING) {
      const text = this.#text(at);
      return text && { key: key.text(), value: text.size <= MAX_KEPT_TEXT ? text.text() : UNTOLD, end: text.end };
    }
    if (type === ARRAY) {
      const end = this.#arrayEnd(at);
      return end && { key: key.text(), value: UNTOLD, end };
    }
    const scalar = SCALARS.get(type);
    if (scalar === undefined) return undefined;
    const end = at + scalar[0];
    return this.#have < end ? null : { key: key.text(), value: scalar[1](this.#view, at), end };
  }

  #text(at) {
    if (this.#have < at + 8) return null;
    const size = Number(this.#view.getBigUint64(at, true));
    const end = at + 8 + size;
    if (this.#have < end) return null;
    return { size, end, text: () => new TextDecoder().decode(this.#bytes.subarray(at + 8, end)) };
  }

  #arrayEnd(at) {
    if (this.#have < at + 12) return null;
    const type = this.#view.getUint32(at, true);
    const n = Number(this.#view.getBigUint64(at + 4, true));
    let end = at + 12;
    if (type !== STRING) {
      const scalar = SCALARS.get(type);
      if (scalar === undefined) return undefined;
      end += n * scalar[0];
      return this.#have < end ? null : end;
    }
    for (let i = 0; i < n; ++i) {
      if (this.#have < end + 8) return null;
      end += 8 + this.#view.getUint32(end, true) + this.#view.getUint32(end + 4, true) * 2 ** 32;
      if (this.#have < end) return null;
    }
    return end;
  }
}
