// A file on a web server, read by ranges. What comes must be what was asked for, to the byte; every
// way in which servers and proxies fall short of that is an error of its own (docs/store.md).

import { StoreError } from "./errors.mjs";
import { PassingError, changed, readHead } from "./http_head.mjs";

function wait(ms, signal) {
  return new Promise((done, stop) => {
    const end = () => {
      clearTimeout(timer);
      stop(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      done();
    }, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}

export class HttpOrigin {
  #url;
  #options;
  #reader = null; // of the response that is being read
  #at = 0; // what its next byte is
  #end = null; // where it ends; null: not known
  #rest = null; // what was read of it and not yet taken
  #stall; // of the response
  size = null; // of the whole file, where a server said so
  etag = null;
  modified = null;
  nRequest = 0;

  // `known` is what an earlier session learnt: { size, etag, modified }. With `isPinned` the bytes
  // are known by their hash, so that it does not matter whether the server calls them the same.
  constructor(url, { redirects = "same-origin", retries = 5, backoffMs = 250, stallMs = 30_000, maxBytes = Infinity,
                     known = null, isPinned = false, accept = null, fetch = globalThis.fetch } = {}) {
    this.#url = String(url);
    this.#options = { redirects, retries, backoffMs, stallMs, maxBytes, isPinned, accept, fetch };
    if (known) Object.assign(this, { size: known.size, etag: known.etag, modified: known.modified });
  }

  get name() {
    return this.#url;
  }

  // Whether a later session can tell that it is still the same file.
  get canResume() {
    return this.#options.isPinned || this.etag !== null || this.modified !== null;
  }

  // Opens at `at`, so that size, etag and modified are known. Throws as fill() does.
  async begin(at, { signal }) {
    await this.#retry(signal, () => this.#reader ?? this.#open(at, null, signal));
  }

  // Fills `bytes` with what lies at `at`; less only where the file ends, if it was not known where.
  // The request goes to `end` at most (null: to the end of the file); onBytes(n) hears what came.
  async fill(at, bytes, { end = null, signal, onBytes = () => {} }) {
    let n = 0;
    while (n < bytes.length) {
      if (this.size !== null && at + n >= this.size) break;
      const part = await this.#retry(signal, async () => {
        if (this.#reader === null || this.#at !== at + n) await this.#open(at + n, end, signal);
        return this.#read(bytes.length - n, signal);
      });
      if (part === null) break;
      bytes.set(part, n);
      n += part.length;
      onBytes(part.length);
    }
    return n;
  }

  // Ends the response that is being read.
  async close() {
    const reader = this.#reader;
    this.#reader = this.#rest = null;
    this.#stall?.stop();
    await reader?.cancel().catch(() => {});
  }

  // Calls f until it succeeds; what may pass is tried again, later and later.
  async #retry(signal, f) {
    for (let i = 0; ; ++i) {
      try {
        signal?.throwIfAborted();
        return await f();
      } catch (error) {
        await this.close();
        signal?.throwIfAborted();
        if (!(error instanceof PassingError) || i >= this.#options.retries) throw error;
        await wait(Math.max(error.afterMs, this.#options.backoffMs * 2 ** i), signal);
      }
    }
  }

  async #open(at, end, signal) {
    await this.close();
    ++this.nRequest;
    // A range is asked for always: what is sent for one is not compressed.
    const headers = { Range: `bytes=${at}-${end === null ? "" : end - 1}` };
    if (this.#options.accept) headers.Accept = this.#options.accept;
    const stall = this.#stall = stallGuard(this.#options.stallMs, signal);
    let response;
    try {
      const { fetch } = this.#options;
      response = await stall.watch(() => fetch(this.#url, {
        headers, signal: stall.signal, redirect: "follow", mode: "cors", credentials: "omit", cache: "no-store",
        referrerPolicy: "no-referrer",
      }));
    } catch (error) {
      throw this.#broken(error, signal);
    }
    try {
      this.#check(response, at, end);
    } catch (error) {
      stall.stop();
      await response.body?.cancel().catch(() => {});
      throw error;
    }
    this.#reader = response.body?.getReader() ?? new Blob([]).stream().getReader();
    this.#at = at;
  }

  #broken(error, signal) {
    signal?.throwIfAborted();
    const url = this.#url;
    const seconds = this.#options.stallMs / 1000;
    if (this.#stall?.isLate) return new PassingError("stalled", `${url}: nothing came for ${seconds} s`);
    const why = "the connection failed, or the server does not allow this page to read it";
    return new PassingError("network", `${url}: ${why} (${error.message})`);
  }

  // Everything that a response can say about itself. Sets #end, and size, etag and modified.
  #check(response, at, end) {
    const { redirects, maxBytes } = this.#options;
    const { total, etag, modified } = readHead(response, { url: this.#url, at, end, size: this.size, redirects });
    this.#sameFile(total, etag, modified);
    if (total !== null && total > maxBytes) {
      throw new StoreError("too_long", `${this.#url}: has ${total} bytes; at most ${maxBytes} are taken`);
    }
    const isAll = response.status === 200 || end === null || this.size === null;
    this.#end = isAll ? this.size : Math.min(end, this.size);
  }

  // The same bytes as those that came before, as far as a server tells.
  #sameFile(total, etag, modified) {
    if (this.size !== null && total !== null && total !== this.size) {
      const what = `${total} bytes instead of ${this.size}`;
      if (this.#options.isPinned) throw new StoreError("wrong_size", `${this.#url}: has ${what}`);
      throw changed(this.#url, what);
    }
    if (!this.#options.isPinned) {
      if (this.etag !== null && etag !== null) {
        if (etag !== this.etag) throw changed(this.#url, "another ETag");
      } else if (this.modified !== null && modified !== null && modified !== this.modified) {
        throw changed(this.#url, "another date");
      }
    }
    this.size ??= total;
    this.etag ??= etag;
    this.modified ??= modified;
  }

  // The next bytes, at most `limit`; null where the file ends.
  async #read(limit, signal) {
    if (this.#rest === null) {
      let piece;
      try {
        piece = await this.#stall.watch(() => this.#reader.read());
      } catch (error) {
        throw this.#broken(error, signal);
      }
      if (piece.done) {
        if (this.#end !== null && this.#at < this.#end) {
          throw new PassingError("truncated", `${this.#url}: ended at byte ${this.#at} of ${this.#end}`);
        }
        if (this.#end === null) this.size = this.#at;
        await this.close();
        return null;
      }
      this.#rest = piece.value;
    }
    const bound = this.#end ?? this.#options.maxBytes;
    if (this.#at + this.#rest.length > bound) {
      throw this.#endless(bound);
    }
    const part = this.#rest.subarray(0, limit);
    this.#rest = part.length < this.#rest.length ? this.#rest.subarray(part.length) : null;
    this.#at += part.length;
    if (this.#at === this.#end) await this.#expectEnd();
    return part;
  }

  // All has come: a body that goes on is another file than the one that was announced.
  async #expectEnd() {
    const reader = this.#reader;
    if (this.#rest !== null || reader === null) return;
    const piece = await this.#stall.watch(() => reader.read()).catch(() => ({ done: true }));
    const end = this.#end;
    await this.close();
    if (!piece.done && piece.value.length > 0) throw this.#endless(end);
  }

  #endless(bytes) {
    return new StoreError("too_long", `${this.#url}: more comes than ${bytes} bytes`);
  }
}

// A signal that is raised where what is watched takes longer than `ms`, or with `outer`.
function stallGuard(ms, outer) {
  const controller = new AbortController();
  const guard = { isLate: false, signal: controller.signal };
  let timer;
  const end = () => controller.abort(outer.reason);
  outer?.addEventListener("abort", end, { once: true });
  guard.watch = async (f) => {
    timer = setTimeout(() => {
      guard.isLate = true;
      controller.abort();
    }, ms);
    try {
      return await f();
    } finally {
      clearTimeout(timer);
    }
  };
  guard.stop = () => {
    clearTimeout(timer);
    outer?.removeEventListener("abort", end);
  };
  return guard;
}
