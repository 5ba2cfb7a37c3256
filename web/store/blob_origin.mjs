// A file that the user gave, read by ranges. The form of HttpOrigin.

import { StoreError } from "./errors.mjs";

export class BlobOrigin {
  #blob;
  etag = null;
  canResume = true;
  isHere = true; // so that it can be compared with what an earlier run took

  constructor(blob) {
    this.#blob = blob;
    this.name = blob.name ?? "file";
    this.size = blob.size;
    this.modified = blob.lastModified === undefined ? null : String(blob.lastModified);
  }

  async begin() {}

  async fill(at, bytes, { signal, onBytes = () => {} }) {
    signal?.throwIfAborted();
    let part;
    try {
      part = new Uint8Array(await this.#blob.slice(at, at + bytes.length).arrayBuffer());
    } catch (error) {
      throw new StoreError("source_gone", `${this.name}: can not be read any more (${error.message}). Choose it again`);
    }
    bytes.set(part);
    onBytes(part.length);
    return part.length;
  }

  async close() {}
}
