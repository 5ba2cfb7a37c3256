// The `Files` of the store (memory_files.mjs says what that is) in the origin private file system.
// Runs in a worker: files are opened there alone for writing in place.

import { StoreError } from "./errors.mjs";

// The browser closes the files of a worker that was killed a moment later.
const OPEN_TRIES = 20;
const OPEN_WAIT_MS = 50;

class OpfsFile {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  size() {
    return this.#handle.getSize();
  }

  read(at, bytes) {
    return this.#handle.read(bytes, { at });
  }

  write(at, bytes) {
    for (let done = 0; done < bytes.length;) {
      const n = this.#handle.write(done === 0 ? bytes : bytes.subarray(done), { at: at + done });
      if (!(n > 0)) throw new DOMException("the browser wrote nothing", "QuotaExceededError");
      done += n;
    }
  }

  truncate(size) {
    this.#handle.truncate(size);
  }

  flush() {
    this.#handle.flush();
  }

  close() {
    this.#handle.close();
  }
}

export class OpfsFiles {
  #folder;
  #prefix;

  constructor(folder, prefix) {
    this.#folder = folder;
    this.#prefix = prefix;
  }

  // `name` is the folder in the file system of this origin. Throws StoreError unsupported.
  static async open(name) {
    const storage = globalThis.navigator?.storage;
    if (typeof storage?.getDirectory !== "function" || typeof globalThis.navigator.locks?.request !== "function") {
      const why = "it is old, or the page did not come over https";
      throw new StoreError("unsupported", `this browser keeps no files for a page: ${why}`);
    }
    try {
      const root = await storage.getDirectory();
      return new OpfsFiles(await root.getDirectoryHandle(name, { create: true }), `${name}/`);
    } catch (error) {
      throw new StoreError("unsupported", `this browser keeps no files for a page (private window?): ${error.message}`);
    }
  }

  async #handle(name) {
    try {
      return await this.#folder.getFileHandle(name);
    } catch (error) {
      if (error.name === "NotFoundError") return null;
      throw error;
    }
  }

  async list() {
    const found = [];
    for await (const [name, handle] of this.#folder.entries()) {
      if (handle.kind !== "file") continue;
      const file = await handle.getFile().catch(() => null); // removed in this moment
      if (file !== null) found.push({ name, size: file.size, modified: file.lastModified });
    }
    return found;
  }

  async stat(name) {
    const file = await this.blob(name);
    return file === null ? null : { size: file.size, modified: file.lastModified };
  }

  async blob(name) {
    return (await (await this.#handle(name))?.getFile()) ?? null;
  }

  async open(name) {
    const handle = await this.#folder.getFileHandle(name, { create: true });
    for (let i = 1; ; ++i) {
      try {
        return new OpfsFile(await handle.createSyncAccessHandle());
      } catch (error) {
        if (error.name !== "NoModificationAllowedError" || i === OPEN_TRIES) throw error;
      }
      await new Promise((done) => setTimeout(done, OPEN_WAIT_MS));
    }
  }

  async remove(name) {
    for (let i = 1; ; ++i) {
      try {
        return await this.#folder.removeEntry(name);
      } catch (error) {
        if (error.name === "NotFoundError") return;
        if (error.name !== "NoModificationAllowedError" || i === OPEN_TRIES) throw error;
      }
      await new Promise((done) => setTimeout(done, OPEN_WAIT_MS));
    }
  }

  async estimate() {
    const { storage } = globalThis.navigator;
    const { usage = 0, quota = 0 } = await storage.estimate();
    return { usage, quota, persisted: (await storage.persisted?.()) ?? false };
  }

  async lock(name, { wait = true, signal } = {}, f) {
    const options = wait ? { signal } : { ifAvailable: true };
    return globalThis.navigator.locks.request(this.#prefix + name, options, (lock) => {
      if (lock === null) throw new StoreError("busy", "another tab is at work on this artifact");
      return f();
    });
  }
}
