// The store itself: artifacts that come from the network or from a file, are checked, kept, and
// given out. docs/store.md says what holds after a crash at any point, and why.

import { Catalog, rollbackTarget } from "./catalog.mjs";
import { describe, findEntry } from "./entries.mjs";
import { StoreError, asStoreError } from "./errors.mjs";
import { Intake } from "./intake.mjs";
import { MAX_CHUNK_IN_MEMORY, MIN_CHUNK_BYTES } from "./manifest.mjs";
import { createProgress } from "./progress.mjs";
import { isDigest } from "./strict_json.mjs";
import { checkBytes, readDigests } from "./transfer.mjs";
import { POLICIES, Trust } from "./trust.mjs";

// StoreOptions in store.d.ts says what they are.
const DEFAULTS = {
  keys: [], policy: "warn", chunkBytes: 4 * 1024 * 1024, maxBytes: 32 * 2 ** 30, redirects: "same-origin", evict: true,
  now: Date.now, http: {},
};

export class ArtifactStore {
  #files;
  #catalog;
  #trust;
  #options;
  #intake;

  constructor(files, options = {}) {
    const { keys, http, ...rest } = { ...DEFAULTS, ...options };
    checkOptions(rest);
    this.#files = files;
    this.#options = rest;
    this.#catalog = new Catalog(files, rest.now);
    this.#trust = new Trust(keys);
    this.#intake = new Intake({ files, catalog: this.#catalog, trust: this.#trust, http });
  }

  // The store in `files`, with whatever an earlier session left put right.
  static async open(files, options) {
    const store = new ArtifactStore(files, options);
    await store.#guard("opening the store", {}, () => store.#catalog.recover());
    return store;
  }

  // ---- what is there ----------------------------------------------------------------------------

  async list() {
    return this.#guard("listing the store", {}, async () => {
      const state = await this.#catalog.read();
      return Promise.all(state.entries.map((entry) => this.#show(entry, state)));
    });
  }

  async active() {
    const all = await this.list();
    return all.find((entry) => entry.state === "active") ?? null;
  }

  async usage() {
    return this.#guard("asking for room", {}, () => this.#files.estimate());
  }

  async #show(entry, state) {
    return describe(this.#files, entry, state ?? (await this.#catalog.read()));
  }

  // Everything public runs in here: it throws StoreError and nothing else.
  async #guard(doing, { signal }, f) {
    try {
      signal?.throwIfAborted();
      return await f();
    } catch (error) {
      if (signal?.aborted && !(error instanceof StoreError)) throw new StoreError("aborted", `${doing} was stopped`);
      throw asStoreError(error, doing);
    }
  }

  async #entry(id) {
    return findEntry(await this.#catalog.read(), id);
  }

  // ---- putting in -------------------------------------------------------------------------------

  async add(source, options = {}) {
    return this.#guard("adding to the store", options, async () => {
      const call = { ...this.#options, ...options };
      checkOptions(call);
      if (call.sha256 !== undefined && !isDigest(call.sha256)) {
        throw new StoreError("bad_id", "an expected SHA-256 is 64 hexadecimal digits, small letters");
      }
      return this.#intake.add(source, call);
    });
  }

  async resume(id, options = {}) {
    return this.#guard("resuming", options, async () => {
      const entry = await this.#entry(id);
      if (entry.state === "verified") return this.#show(entry);
      return this.#intake.resume(entry, { ...this.#options, ...options });
    });
  }

  // ---- using ------------------------------------------------------------------------------------

  // Bytes that were checked. Of an artifact with several files, `path` says which.
  async file(id, options = {}) {
    return this.#guard("opening an artifact", options, async () => {
      const entry = await this.#checked(await this.#usable(id), options);
      const path = options.path ?? entry.files[0].path;
      const number = entry.files.findIndex((file) => file.path === path);
      if (number < 0) throw new StoreError("not_found", `${entry.name}: has no such file`);
      const at = entry.files.slice(0, number).reduce((sum, file) => sum + file.size, 0);
      await this.#catalog.update(entry.key, {});
      const blob = await this.#files.blob(`${entry.key}.data`);
      return new File([blob.slice(at, at + entry.files[number].size)], path);
    });
  }

  async #usable(id) {
    const entry = await this.#entry(id);
    if (entry.state === "verified") return entry;
    throw new StoreError("incomplete", `${entry.name}: is not whole yet: resume it first`);
  }

  // The entry, checked against its hashes unless that was done since its file was last written.
  async #checked(entry, options) {
    const stat = await this.#files.stat(`${entry.key}.data`);
    const { checked } = entry;
    if (stat !== null && checked?.size === stat.size && checked.modified === stat.modified) return entry;
    return this.#check(entry, options);
  }

  async verify(id, options = {}) {
    return this.#guard("verifying", options, async () => {
      const entry = await this.#check(await this.#usable(id), options);
      return this.#show(entry);
    });
  }

  async #check(entry, { signal, onProgress }) {
    return this.#files.lock(`artifact-${entry.key}`, { wait: true, signal }, async () => {
      const stat = await this.#files.stat(`${entry.key}.data`);
      const progress = createProgress(onProgress, { id: entry.id });
      try {
        const blob = await this.#files.blob(`${entry.key}.data`);
        if (blob?.size !== entry.bytes) throw new StoreError("damaged", `${entry.name}: has lost bytes`);
        const digests = await readDigests(await this.#files.blob(`${entry.key}.chunks`), entry.digestsSha256);
        await checkBytes(blob, digests, entry.files, {
          signal, onProgress: (phase, done) => progress(phase, done, entry.bytes),
        });
      } catch (error) {
        if (error.code === "damaged") error.details.offer = await this.#refuse(entry);
        throw error;
      } finally {
        progress.end();
      }
      return this.#catalog.update(entry.key, { checked: stat });
    });
  }

  // A damaged artifact is staging again: resuming it gets what is wrong with it. Returns the id of
  // what can be used instead, null where there is nothing.
  async #refuse({ key, id }) {
    let offer = null;
    await this.#catalog.change((state) => {
      const isActive = state.active === id;
      if (isActive) offer = rollbackTarget(state)?.id ?? null;
      return {
        ...state,
        entries: state.entries.map((each) => (each.key === key ? { ...each, state: "staging", checked: null } : each)),
        active: isActive ? null : state.active,
        previous: isActive ? offer : state.previous === id ? null : state.previous,
      };
    });
    return offer;
  }

  // Makes it the one that is used; the one before stays at hand.
  async activate(id, options = {}) {
    return this.#guard("activating", options, async () => {
      const entry = await this.#checked(await this.#usable(id), options);
      const state = await this.#catalog.change((old) => {
        const now = findEntry(old, id);
        if (now.state !== "verified") throw new StoreError("incomplete", `${now.name}: is not whole any more`);
        if (old.active === id) return undefined;
        const previous = old.active ?? (old.previous === id ? null : old.previous);
        return { ...old, active: id, previous };
      });
      return this.#show(entry, state);
    });
  }

  // Goes back to the version before, or to what was active before.
  async rollback(options = {}) {
    return this.#guard("going back", options, async () => {
      const target = rollbackTarget(await this.#catalog.read());
      if (target === undefined) throw new StoreError("not_found", "there is nothing to go back to");
      return this.activate(target.id, options);
    });
  }

  // Eviction never takes what is pinned.
  async pin(id, isPinned = true) {
    return this.#guard("pinning", {}, async () => {
      const entry = await this.#catalog.update((await this.#entry(id)).key, { pinned: isPinned === true });
      return this.#show(entry);
    });
  }

  // ---- taking out -------------------------------------------------------------------------------

  async remove(id) {
    return this.#guard("removing", {}, async () => {
      const { key } = await this.#entry(id);
      await this.#intake.stop(key);
      await this.#files.lock(`artifact-${key}`, { wait: false }, () => this.#catalog.drop(key));
    });
  }

  // Ends a transfer and forgets what came of it. What is verified stays.
  async cancel(id) {
    return this.#guard("cancelling", {}, async () => {
      const state = await this.#catalog.read();
      const begun = state.entries.find((entry) => entry.id === id && entry.state === "staging") ?? findEntry(state, id);
      if (begun.state !== "staging") return;
      await this.#intake.stop(begun.key);
      await this.#files.lock(`artifact-${begun.key}`, { wait: false }, () =>
        this.#catalog.drop(begun.key, (entry) => entry.state === "staging"));
    });
  }

  // ---- whom to believe --------------------------------------------------------------------------

  // Takes a new public key that a pinned one signed. Returns its id.
  async rotate(publicKey, signature) {
    return this.#guard("taking a key", {}, async () => {
      await this.#catalog.change((state) => ({
        ...state, rotations: [...state.rotations, this.#trust.rotation(publicKey, signature, state.rotations)],
      }));
    });
  }
}

function checkOptions({ policy, chunkBytes }) {
  if (!POLICIES.includes(policy)) {
    throw new StoreError("bad_source", `a policy is one of ${POLICIES.join(", ")}, and not '${policy}'`);
  }
  if (!Number.isInteger(chunkBytes) || chunkBytes < MIN_CHUNK_BYTES || chunkBytes > MAX_CHUNK_IN_MEMORY) {
    throw new StoreError("bad_source", `chunks have ${MIN_CHUNK_BYTES} to ${MAX_CHUNK_IN_MEMORY} bytes`);
  }
}
