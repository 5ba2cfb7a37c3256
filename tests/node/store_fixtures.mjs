// What the tests of the store are fed with: models of noise, manifests, signatures made by another
// implementation (Node's), and file systems that fail at a chosen step.

import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { MemoryFiles } from "../../web/store/memory_files.mjs";

export const CHUNK = 4096;

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// `size` bytes that begin as a GGUF file and are different for every seed.
export function makeModel(size, seed = 1) {
  const bytes = new Uint8Array(size);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < size; ++i) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  bytes.set(new TextEncoder().encode("GGUF").subarray(0, size));
  return bytes;
}

export function fileEntry(path, bytes, chunkBytes = CHUNK) {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) chunks.push(sha256(bytes.subarray(at, at + chunkBytes)));
  return { path, size: bytes.length, sha256: sha256(bytes), chunk_size: chunkBytes, chunks };
}

// A manifest as `lbm manifest make` writes it; `files` is { path: bytes }.
export function makeManifest(files, more = {}) {
  return {
    schema: "lbm-manifest-1",
    name: "tiny",
    version: "1.0.0",
    kind: "model",
    licence: "MIT",
    source_kind: "deterministic-smoke",
    source: "noise",
    trained_quality_claim: false,
    base_sha256: null,
    tokenizer_sha256: null,
    quantization: "F32",
    tool: "tests",
    files: Object.entries(files).map(([path, bytes]) => fileEntry(path, bytes)),
    evidence: [],
    signature: null,
    ...more,
  };
}

export const jsonBytes = (value) => new TextEncoder().encode(JSON.stringify(value, null, 1));

// A key pair of minisign from a seed of one byte. sign() has the options to make wrong ones.
export class Signer {
  #private;
  #id;

  constructor(seed) {
    const prefix = Buffer.from("302e020100300506032b657004220420", "hex"); // PKCS #8 of Ed25519
    this.#private = createPrivateKey({
      key: Buffer.concat([prefix, Buffer.alloc(32, seed)]),
      format: "der",
      type: "pkcs8",
    });
    this.#id = Buffer.alloc(8, seed);
    this.raw = createPublicKey(this.#private).export({ format: "der", type: "spki" }).subarray(-32);
    this.publicKey = Buffer.concat([Buffer.from("Ed"), this.#id, this.raw]).toString("base64");
    this.publicKeyFile = `untrusted comment: minisign public key\n${this.publicKey}\n`;
    this.id = Buffer.from(this.#id).reverse().toString("hex").toUpperCase();
  }

  signRaw(bytes) {
    return sign(null, bytes, this.#private);
  }

  sign(bytes, { comment = "timestamp:1 file:manifest.json", legacy = false } = {}) {
    const message = legacy ? bytes : createHash("blake2b512").update(bytes).digest();
    const signature = this.signRaw(message);
    const global = this.signRaw(Buffer.concat([signature, Buffer.from(comment)]));
    const line = Buffer.concat([Buffer.from(legacy ? "Ed" : "ED"), this.#id, signature]).toString("base64");
    return `untrusted comment: a signature\n${line}\ntrusted comment: ${comment}\n${global.toString("base64")}\n`;
  }
}

// ---- file systems that fail ------------------------------------------------------------------------

export class Killed extends Error {}

// A session on a disk (MemoryFiles) that outlives it. Steps that change the disk are counted from 0;
// at step `at` one of these happens, and nothing of the step but what is said:
//   kill   the tab is gone: nothing of this session reaches the disk any more; a write is torn
//   quota  QuotaExceededError, this once; a write is torn
//   error  the step fails, this once
export class FaultyFiles {
  #disk;
  #fault;
  #open = new Set();
  nStep = 0;
  isDead = false;
  quota = null; // what estimate() says, where it is not what is there

  constructor(disk, fault = null) {
    this.#disk = disk;
    this.#fault = fault;
  }

  #alive() {
    if (this.isDead) throw new Killed("the tab is gone");
  }

  // Does a step, or a part of it (`torn`), or nothing.
  #step(whole, torn = () => {}) {
    this.#alive();
    if (this.nStep++ !== this.#fault?.at) return whole();
    torn();
    if (this.#fault.kind === "quota") throw new DOMException("no more room", "QuotaExceededError");
    if (this.#fault.kind === "error") throw new DOMException("the disk has a fault", "UnknownError");
    this.isDead = true;
    for (const file of this.#open) file.close();
    throw new Killed("the tab is killed");
  }

  async list() {
    this.#alive();
    return this.#disk.list();
  }
  async stat(name) {
    this.#alive();
    return this.#disk.stat(name);
  }
  async blob(name) {
    this.#alive();
    return this.#disk.blob(name);
  }
  async estimate() {
    this.#alive();
    const found = await this.#disk.estimate();
    return this.quota === null ? found : { ...found, quota: this.quota };
  }
  async lock(name, options, f) {
    this.#alive();
    return this.#disk.lock(name, options, async () => {
      this.#alive();
      return f();
    });
  }
  async remove(name) {
    return this.#step(() => this.#disk.remove(name));
  }
  async open(name) {
    const isThere = (await this.stat(name)) !== null;
    const file = await (isThere ? this.#disk.open(name) : this.#step(() => this.#disk.open(name)));
    this.#open.add(file);
    return {
      size: () => (this.#alive(), file.size()),
      read: (at, bytes) => (this.#alive(), file.read(at, bytes)),
      write: (at, bytes) =>
        this.#step(
          () => file.write(at, bytes),
          () => file.write(at, bytes.subarray(0, bytes.length >> 1)),
        ),
      truncate: (size) => this.#step(() => file.truncate(size)),
      flush: () => this.#step(() => file.flush()),
      close: () => {
        this.#open.delete(file);
        file.close();
      },
    };
  }
}

// A disk that forgets, when the power goes, some of what was not flushed.
export class PowerDisk extends MemoryFiles {
  #safe = new Map(); // name -> bytes that last

  async open(name) {
    const file = await super.open(name);
    const save = () => {
      const bytes = new Uint8Array(file.size());
      file.read(0, bytes);
      this.#safe.set(name, bytes);
    };
    return {
      size: () => file.size(),
      read: (...args) => file.read(...args),
      write: (...args) => file.write(...args),
      truncate: (size) => file.truncate(size),
      close: () => file.close(),
      flush: save,
    };
  }

  async remove(name) {
    this.#safe.delete(name);
    return super.remove(name);
  }

  // What is left: of each file what lasts, and of the rest the sectors that `keep(number)` names.
  async cut(keep) {
    const SECTOR = 512;
    for (const { name } of await this.list()) {
      const now = new Uint8Array(await (await this.blob(name)).arrayBuffer());
      const safe = this.#safe.get(name) ?? new Uint8Array(0);
      const left = new Uint8Array(Math.max(now.length, safe.length));
      left.set(safe);
      let size = safe.length;
      for (let at = 0; at < now.length; at += SECTOR) {
        if (!keep(at / SECTOR)) continue;
        const part = now.subarray(at, at + SECTOR);
        left.set(part, at);
        size = Math.max(size, at + part.length);
      }
      const file = await super.open(name);
      file.write(0, left.subarray(0, size));
      file.truncate(size);
      file.close();
    }
  }
}

// The error of a promise that must fail, with its code.
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("this should have failed");
}
