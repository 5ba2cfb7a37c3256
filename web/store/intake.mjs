// How artifacts come in: from an address, from a file, or from a manifest of either; begun, gone on
// with, and finished. What ArtifactStore (artifact_store.mjs) gives out is made here.

import { BlobOrigin } from "./blob_origin.mjs";
import { describe, isSameFile, isSameUnsigned, newEntry } from "./entries.mjs";
import { StoreError, asStoreError } from "./errors.mjs";
import { HttpOrigin } from "./http_origin.mjs";
import { artifactId, parseManifest } from "./manifest.mjs";
import { createProgress } from "./progress.mjs";
import { evictFor } from "./room.mjs";
import { sha256Hex } from "./sha256.mjs";
import { nameOf, originsBeside, parseUrl, readManifestSource } from "./sources.mjs";
import { Transfer } from "./transfer.mjs";
import { checkVersion, raiseMark } from "./trust.mjs";

const MAX_RESTARTS = 2;
// What comes to nothing may be taken up again later; after any other error, what has no byte yet is
// forgotten, and after these, all of it.
const PASSING = ["aborted", "network", "server", "stalled", "truncated", "busy", "io"];
const USELESS = ["not_a_model", "changed", "too_long"];

export class Intake {
  #files;
  #catalog;
  #trust;
  #http;
  #running = new Map(); // key -> { controller, ended }

  // `http` are options of HttpOrigin.
  constructor({ files, catalog, trust, http }) {
    this.#files = files;
    this.#catalog = catalog;
    this.#trust = trust;
    this.#http = http;
  }

  // `source`: an address, a Blob, or { manifest, signature, files }. `call`: options of the call over
  // those of the store. Returns the entry as it is shown, when it is verified.
  async add(source, call) {
    if (source instanceof Blob) return this.#addBlob(source, call);
    const isParts = typeof source === "object" && source !== null && !(source instanceof URL);
    if (isParts) return this.#addManifest(source, call);
    const url = parseUrl(source);
    const isManifest = call.kind === undefined ? url.pathname.endsWith(".json") : call.kind === "manifest";
    return isManifest ? this.#addManifest(url, call) : this.#addUrl(url, call);
  }

  #httpOf(call) {
    return { ...this.#http, redirects: call.redirects, maxBytes: call.maxBytes };
  }

  // What nobody signed: only its hash, if that, says what it must be.
  #checkUnsigned(call, name) {
    if (call.policy !== "require" || call.sha256 !== undefined) return;
    throw new StoreError("unsigned", `${name}: a signed manifest, or an expected SHA-256, is required here`);
  }

  async #addUrl(url, call) {
    this.#checkUnsigned(call, url.href);
    const state = await this.#catalog.read();
    const known = call.sha256 && state.entries.find((entry) => entry.id === call.sha256 && entry.state === "verified");
    if (known) return this.#used(known.key);
    const begun = state.entries.find((entry) => isSameUnsigned(entry, "url", url.href, call));
    if (begun) return this.resume(begun, call);
    const origin = new HttpOrigin(url, this.#httpOf(call));
    try {
      await origin.begin(0, call);
      const same = state.entries.find((entry) => entry.state === "verified" && isSameFile(entry, url.href, origin));
      if (same && call.sha256 === undefined) return await this.#used(same.key);
      return await this.#addUnsigned("url", url.href, call.name ?? nameOf(url.pathname), origin, call);
    } finally {
      await origin.close();
    }
  }

  async #addBlob(blob, call) {
    const name = call.name ?? nameOf(blob.name ?? "");
    this.#checkUnsigned(call, name);
    const source = `file:${blob.name ?? ""}`;
    const state = await this.#catalog.read();
    const origin = new BlobOrigin(blob);
    const begun = state.entries.find((entry) => isSameUnsigned(entry, "file", source, call) &&
      entry.bytes === origin.size && entry.modified === origin.modified);
    if (begun) return this.#run(begun.key, () => [origin], call);
    return this.#addUnsigned("file", source, name, origin, call);
  }

  async #addUnsigned(kind, source, name, origin, call) {
    checkLength(origin.size ?? 0, name, call);
    await this.#room(origin.size ?? 0, call);
    const file = { path: name, size: origin.size, sha256: call.sha256 ?? null, chunkBytes: call.chunkBytes };
    const entry = await this.#catalog.addStaging({
      find: ({ entries }) => entries.find((each) =>
        isSameUnsigned(each, kind, source, call) && each.bytes === origin.size &&
        each.etag === origin.etag && each.modified === origin.modified),
      make: () => ({
        ...newEntry(kind, source, name, call), id: call.sha256 ?? null, bytes: origin.size, files: [file],
        etag: origin.etag, modified: origin.modified, mustBeModel: call.anyFormat !== true,
      }),
      meta: { manifest: null, minisig: null },
    });
    return this.#run(entry.key, () => [origin], call);
  }

  async #addManifest(source, call) {
    const isUrl = source instanceof URL;
    createProgress(call.onProgress)("manifest", 0);
    const { signal, policy } = call;
    const parts = await readManifestSource(source, { signal, http: this.#httpOf(call), policy });
    const state = await this.#catalog.read();
    const signature = this.#trust.check(parts.bytes, parts.signature, {
      policy, rotations: state.rotations, now: call.now(), name: parts.name,
    });
    const manifest = parseManifest(parts.bytes, parts.name);
    const { name, version } = manifest;
    const id = artifactId(manifest.files);
    if (call.sha256 !== undefined && call.sha256 !== id) {
      throw new StoreError("bad_hash", `${name}: the manifest is of ${id}, and not of ${call.sha256}`);
    }
    checkVersion(state.marks, { name, version, id, signature }, call);
    const bytes = manifest.files.reduce((sum, file) => sum + file.size, 0);
    checkLength(bytes, name, call);
    const verified = state.entries.find((entry) => entry.id === id && entry.state === "verified");
    if (verified) return this.#vouch(verified.key, { name, version, signature });
    const begun = (each) => each.id === id && each.kind === "manifest" && each.name === name &&
      each.version === version && each.signature?.keyId === signature?.keyId;
    const old = state.entries.find(begun);
    const bytesDone = old === undefined ? 0 : (await this.#describe(old, state)).bytesDone;
    await this.#room(bytes - bytesDone, call, old?.key);
    const text = new TextDecoder().decode(parts.bytes);
    const entry = await this.#catalog.addStaging({
      find: (now) => now.entries.find(begun),
      make: () => ({
        ...newEntry("manifest", isUrl ? source.href : `file:${parts.name}`, name, call),
        id, version, bytes, signature, files: manifest.files.map(withoutChunks),
      }),
      meta: { manifest: text, minisig: parts.signature },
    });
    return this.#run(entry.key, parts.origins, call);
  }

  // A manifest for what is here already: what it says of the same bytes is kept, too. One that nobody signed
  // says nothing about what is signed: its name and version would pass for those that the signature covers.
  async #vouch(key, { name, version, signature }) {
    let entry;
    const state = await this.#catalog.change((old) => {
      const i = old.entries.findIndex((each) => each.key === key);
      if (i < 0) throw new StoreError("not_found", "this artifact has been removed meanwhile");
      const known = old.entries[i];
      const said = signature === null && known.signature !== null ? {} : { name, version, signature };
      entry = { ...known, ...said, lastUsed: this.#catalog.tick(old) };
      return { ...old, clock: entry.lastUsed, entries: old.entries.with(i, entry), marks: raiseMark(old.marks, entry) };
    });
    return this.#describe(entry, state);
  }

  async #used(key) {
    const entry = await this.#catalog.update(key, {});
    return this.#describe(entry, await this.#catalog.read());
  }

  #room(bytes, call, except = null, isFull = false) {
    return evictFor(bytes, { files: this.#files, catalog: this.#catalog, mayEvict: call.evict, except, isFull });
  }

  // Goes on with an entry that is staging.
  async resume(entry, call) {
    const { bytesDone } = await this.#describe(entry, await this.#catalog.read());
    await this.#room(Math.max(0, (entry.bytes ?? 0) - bytesDone), call, entry.key);
    const url = entry.kind === "file" || entry.source.startsWith("file:") ? null : parseUrl(entry.source);
    if (url === null) return this.#run(entry.key, () => null, call);
    if (entry.kind === "manifest") {
      return this.#run(entry.key, (files) => originsBeside(url, files, this.#httpOf(call)), call);
    }
    const known = { size: entry.bytes, etag: entry.etag, modified: entry.modified };
    const origin = new HttpOrigin(url, { ...this.#httpOf(call), known });
    const { sha256 } = entry.files[0];
    const again = { ...call, ...(sha256 !== null && { sha256 }), name: entry.name, nRestart: (call.nRestart ?? 0) + 1 };
    // Nobody could tell whether the rest belongs to what is here.
    if (!origin.canResume && sha256 === null) return this.#restart(entry, url, again);
    try {
      return await this.#run(entry.key, () => [origin], call);
    } catch (error) {
      if (error.code !== "changed" || again.nRestart > MAX_RESTARTS) throw error;
      return this.#restart(entry, url, again);
    }
  }

  async #restart(entry, url, call) {
    // Not while somebody is at work on it.
    await this.#files.lock(`artifact-${entry.key}`, { wait: false }, () => this.#catalog.drop(entry.key));
    return this.#addUrl(url, call);
  }

  // Makes the entry whole. One tab does so at a time.
  async #run(key, originsOf, call) {
    return this.#files.lock(`artifact-${key}`, { wait: false }, async () => {
      const controller = new AbortController();
      let end;
      this.#running.set(key, { controller, ended: new Promise((done) => (end = done)) });
      const signal = call.signal ? AbortSignal.any([call.signal, controller.signal]) : controller.signal;
      try {
        return await this.#transfer(key, originsOf, { ...call, signal });
      } catch (error) {
        const isAbort = signal.aborted && !(error instanceof StoreError);
        const known = isAbort ? new StoreError("aborted", "the transfer was stopped; it can be resumed")
          : asStoreError(error, "the transfer");
        await this.#forget(key, known).catch(() => {});
        throw known;
      } finally {
        this.#running.delete(key);
        end();
      }
    });
  }

  // Drops an entry that can come to nothing.
  async #forget(key, { code, details }) {
    const isUseless = USELESS.includes(code) || (code === "bad_hash" && details.chunk === undefined);
    const isEmpty = !((await this.#files.stat(`${key}.chunks`))?.size > 0);
    if (isUseless || (isEmpty && !PASSING.includes(code))) await this.#catalog.drop(key);
  }

  async #transfer(key, originsOf, call) {
    const entry = (await this.#catalog.read()).entries.find((each) => each.key === key);
    if (entry === undefined) throw new StoreError("not_found", "this artifact has been removed meanwhile");
    if (entry.state === "verified") return this.#used(key); // another tab was faster
    const plan = await this.#plan(entry, call);
    const progress = createProgress(call.onProgress, { id: entry.id });
    for (let isFirst = true; ; isFirst = false) {
      try {
        const files = await this.#fetch(entry, plan, originsOf, { ...call, progress });
        return await this.#finish(entry, files);
      } catch (error) {
        // The browser has less room than it said: once, older things may have to go.
        if (error?.name !== "QuotaExceededError" || !isFirst) throw error;
        const { bytesDone } = await this.#describe(entry, await this.#catalog.read());
        const missing = Math.max((entry.bytes ?? 0) - bytesDone, call.chunkBytes);
        await this.#room(missing, call, key, true);
      } finally {
        progress.end();
      }
    }
  }

  // The files of an entry with the hashes of their chunks, where somebody vouches for them.
  async #plan(entry, { now }) {
    const meta = await this.#catalog.meta(entry.key);
    if (meta === undefined) {
      throw new StoreError("io", `${entry.name}: what was noted about it is damaged. Remove it, and add it again`);
    }
    if (meta.manifest === null) return entry.files.map((file) => ({ ...file, chunks: null }));
    const bytes = new TextEncoder().encode(meta.manifest);
    if (entry.signature !== null) {
      const { rotations } = await this.#catalog.read();
      this.#trust.check(bytes, meta.minisig, { policy: "require", rotations, now: now(), name: entry.name });
    }
    return parseManifest(bytes, entry.name).files;
  }

  async #fetch(entry, plan, originsOf, { signal, progress }) {
    const open = [];
    try {
      for (const kind of ["data", "chunks"]) open.push(await this.#files.open(`${entry.key}.${kind}`));
      const [data, chunks] = open;
      const transfer = new Transfer({
        data, chunks, origins: originsOf(plan), mustBeModel: entry.mustBeModel, signal, onProgress: progress,
      });
      return await transfer.run(plan);
    } finally {
      for (const file of open) await file.close();
    }
  }

  // All of it is here and right: the entry is verified, in one step.
  async #finish(entry, files) {
    const digests = new Uint8Array(await (await this.#files.blob(`${entry.key}.chunks`)).arrayBuffer());
    const digestsSha256 = await sha256Hex(digests);
    const id = artifactId(files);
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    let result;
    let isTwice = false;
    const state = await this.#catalog.change((old) => {
      const others = old.entries.filter((each) => each.key !== entry.key);
      const twin = others.find((each) => each.id === id && each.state === "verified");
      isTwice = twin !== undefined;
      const lastUsed = this.#catalog.tick(old);
      result = isTwice ? { ...twin, lastUsed } : {
        ...entry, id, bytes, files: files.map(withoutChunks), state: "verified", digestsSha256, checked: null, lastUsed,
      };
      const entries = old.entries.filter((each) => each.key !== entry.key || !isTwice)
        .map((each) => (each.key === result.key ? result : each));
      return { ...old, clock: lastUsed, entries, marks: raiseMark(old.marks, { ...entry, id }) };
    });
    if (isTwice) await this.#catalog.removeFiles(entry.key);
    await this.#dropTwins(state, result);
    return this.#describe(result, state);
  }

  // What was to become the same artifact, or was damaged, is of no use any more.
  async #dropTwins(state, { id, key }) {
    const twins = state.entries.filter((each) => each.id === id && each.key !== key && each.state === "staging");
    for (const twin of twins) await this.#catalog.dropIdle(twin.key, (entry) => entry.state === "staging");
  }

  #describe(entry, state) {
    return describe(this.#files, entry, state);
  }

  // Stops a transfer of this session, and waits until it has ended.
  async stop(key) {
    const running = this.#running.get(key);
    running?.controller.abort();
    await running?.ended;
  }
}

const withoutChunks = ({ path, size, sha256, chunkBytes }) => ({ path, size, sha256, chunkBytes });

function checkLength(bytes, name, { maxBytes }) {
  if (bytes <= maxBytes) return;
  throw new StoreError("too_long", `${name}: has ${bytes} bytes; at most ${maxBytes} are taken`);
}
