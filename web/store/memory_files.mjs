// The `Files` of the store in memory: where the browser gives no file system, and for tests. What is
// in here is gone with the page.
//
// `Files` is all that the store asks of a file system (files of one flat folder):
//   list() -> [{ name, size, modified }]      stat(name) -> { size, modified }, null: none
//   blob(name) -> Blob of what is there now, null: none
//   open(name) -> file, made where it is absent; nobody else can open it until it is closed:
//     size(), read(at, bytes) -> n, write(at, bytes), truncate(n), flush(), close()
//   remove(name)                              estimate() -> { usage, quota, persisted }
//   lock(name, { wait, signal }, f)           runs f alone under this name; without `wait` it throws
//                                             StoreError busy where somebody else does
// Writes go in place and may be torn; only flush() makes them last.

import { StoreError } from "./errors.mjs";

class MemoryFile {
  #entry;
  #files;

  constructor(files, entry) {
    this.#files = files;
    this.#entry = entry;
  }

  size() {
    return this.#entry.size;
  }

  read(at, bytes) {
    const there = this.#entry.bytes.subarray(Math.min(at, this.#entry.size), this.#entry.size);
    const part = there.subarray(0, bytes.length);
    bytes.set(part);
    return part.length;
  }

  write(at, bytes) {
    const entry = this.#entry;
    const end = at + bytes.length;
    this.#files.reserve(Math.max(0, end - entry.size));
    if (end > entry.bytes.length) {
      const larger = new Uint8Array(Math.max(end, entry.bytes.length * 2));
      larger.set(entry.bytes.subarray(0, entry.size));
      entry.bytes = larger;
    }
    entry.bytes.set(bytes, at);
    entry.size = Math.max(entry.size, end);
    entry.modified = this.#files.tick();
  }

  truncate(size) {
    const entry = this.#entry;
    if (size > entry.size) this.write(entry.size, new Uint8Array(size - entry.size));
    entry.bytes.fill(0, size, entry.size);
    entry.size = size;
    entry.modified = this.#files.tick();
  }

  flush() {}

  close() {
    this.#entry.isOpen = false;
  }
}

export class MemoryFiles {
  #entries = new Map();
  #locks = new Map(); // name -> promise of the last in line
  #held = new Set();
  #time = 0;
  quota;

  constructor({ quota = 2 ** 31 } = {}) {
    this.quota = quota;
  }

  tick() {
    return ++this.#time;
  }

  #usage() {
    return [...this.#entries.values()].reduce((sum, entry) => sum + entry.size, 0);
  }

  reserve(bytes) {
    if (this.#usage() + bytes > this.quota) throw new DOMException("no more room", "QuotaExceededError");
  }

  async list() {
    return [...this.#entries].map(([name, { size, modified }]) => ({ name, size, modified }));
  }

  async stat(name) {
    const entry = this.#entries.get(name);
    return entry === undefined ? null : { size: entry.size, modified: entry.modified };
  }

  async blob(name) {
    const entry = this.#entries.get(name);
    return entry === undefined ? null : new Blob([entry.bytes.subarray(0, entry.size)]);
  }

  async open(name) {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { bytes: new Uint8Array(0), size: 0, modified: this.tick(), isOpen: false };
      this.#entries.set(name, entry);
    }
    if (entry.isOpen) throw new DOMException(`${name} is open`, "NoModificationAllowedError");
    entry.isOpen = true;
    return new MemoryFile(this, entry);
  }

  async remove(name) {
    if (this.#entries.get(name)?.isOpen) throw new DOMException(`${name} is open`, "NoModificationAllowedError");
    this.#entries.delete(name);
  }

  async estimate() {
    return { usage: this.#usage(), quota: this.quota, persisted: false };
  }

  async lock(name, { wait = true } = {}, f) {
    if (!wait && this.#held.has(name)) throw new StoreError("busy", "another tab is at work on this artifact");
    const before = this.#locks.get(name) ?? Promise.resolve();
    const run = before.then(async () => {
      this.#held.add(name);
      try {
        return await f();
      } finally {
        this.#held.delete(name);
      }
    });
    this.#locks.set(name, run.catch(() => {}));
    return run;
  }
}
