// What is in the store, as one value that changes in one step.
//
// Files of the folder (docs/store.md):
//   index.0, index.1    the catalog, in two slots
//   KEY.meta            what is needed to go on with an artifact: written once, before the catalog
//                       names it
//   KEY.data            its bytes; KEY.chunks the SHA-256 of each chunk
// KEY is 64 hexadecimal digits that the store makes itself. No name or id from outside becomes part
// of a path.

import { compareVersions } from "./manifest.mjs";
import { TwoSlots, readRecord, writeRecord } from "./records.mjs";
import { StoreError } from "./errors.mjs";
import { sha256Text } from "./sha256.mjs";

const SCHEMA = "lbm-store-1";
const FILE_NAME = /^([0-9a-f]{64})\.(meta|data|chunks)$/;
const EMPTY = { schema: SCHEMA, seq: 0, clock: 0, active: null, previous: null, entries: [], marks: {}, rotations: [] };

export class Catalog {
  #files;
  #slots;
  #now;

  // `now` is the clock, in ms.
  constructor(files, now = Date.now) {
    this.#files = files;
    this.#now = now;
    this.#slots = new TwoSlots(files, "index");
  }

  // What is there now. Other tabs may change it at any time.
  async read() {
    return this.#locked(async () => (await this.#slots.read()).value ?? EMPTY);
  }

  // Puts f(state) in the place of state, alone among all tabs. f returns a new state, or undefined
  // where nothing is to change; what it throws changes nothing. Returns the new state.
  async change(f) {
    return this.#locked(async () => {
      const state = (await this.#slots.read()).value ?? EMPTY;
      return this.#write(state, await f(state));
    });
  }

  #locked(f) {
    return this.#files.lock("index", { wait: true }, f);
  }

  async #write(state, next) {
    if (next === undefined || next === state) return state;
    const value = { ...next, seq: state.seq + 1 };
    await this.#slots.write(value);
    return value;
  }

  // Adds a staging entry with its meta. Where `find` knows an entry of the state for it, that one
  // is returned instead.
  async addStaging({ find, make, meta }) {
    let entry;
    await this.change(async (state) => {
      entry = find(state);
      if (entry !== undefined) return undefined;
      entry = { ...make(state), key: await this.#newKey(state) };
      if (entry.id === null) entry.id = entry.key; // until its hash is known
      entry.lastUsed = this.tick(state);
      await writeRecord(this.#files, `${entry.key}.meta`, { ...meta, entry });
      return { ...state, clock: entry.lastUsed, entries: [...state.entries, entry] };
    });
    return entry;
  }

  // The time for `lastUsed`: later than every one before, also where the clock was put back.
  tick(state) {
    return Math.max(this.#now(), state.clock + 1);
  }

  async #newKey(state) {
    const names = new Set((await this.#files.list()).map((file) => file.name));
    for (let salt = 0; ; ++salt) {
      const key = sha256Text(`lbm-store ${state.seq} ${salt}`);
      const isTaken = state.entries.some((entry) => entry.key === key) ||
        ["meta", "data", "chunks"].some((kind) => names.has(`${key}.${kind}`));
      if (!isTaken) return key;
    }
  }

  meta(key) {
    return readRecord(this.#files, `${key}.meta`);
  }

  // Puts `change` over the entry with this key, which is used now.
  async update(key, change) {
    let entry;
    await this.change((state) => {
      const i = state.entries.findIndex((each) => each.key === key);
      if (i < 0) throw new StoreError("not_found", "this artifact has been removed meanwhile");
      entry = { ...state.entries[i], ...change, lastUsed: this.tick(state) };
      return withoutDangling({ ...state, clock: entry.lastUsed, entries: state.entries.with(i, entry) });
    });
    return entry;
  }

  // Takes an entry out of the catalog, and then its files away. False where it is not there, or where
  // mayDrop(entry, state) does not allow it at that moment.
  async drop(key, mayDrop = () => true) {
    let isGone = false;
    await this.change((state) => {
      const entry = state.entries.find((each) => each.key === key);
      isGone = entry !== undefined && mayDrop(entry, state);
      if (!isGone) return undefined;
      return withoutDangling({ ...state, entries: state.entries.filter((each) => each !== entry) });
    });
    if (isGone) await this.removeFiles(key);
    return isGone;
  }

  // The same for an entry that no tab is at work on; false where one is.
  async dropIdle(key, mayDrop) {
    try {
      return await this.#files.lock(`artifact-${key}`, { wait: false }, () => this.drop(key, mayDrop));
    } catch (error) {
      if (error.code !== "busy") throw error;
      return false;
    }
  }

  async removeFiles(key) {
    for (const kind of ["data", "chunks", "meta"]) await this.#files.remove(`${key}.${kind}`);
  }

  // What a session finds when it begins: whatever the last one was doing when it ended, afterwards
  // every entry is whole, or staging and to be resumed, and no file is there for nothing.
  async recover() {
    return this.#locked(async () => {
      const { value, isDamaged } = await this.#slots.read();
      const state = value ?? EMPTY;
      const list = await this.#files.list();
      const sizes = new Map(list.map((file) => [file.name, file.size]));
      const entries = [];
      for (const entry of state.entries) {
        const found = await this.#recoverEntry(entry, sizes);
        if (found !== null) entries.push(found);
      }
      const known = new Set(entries.map((entry) => entry.key));
      const keys = list.map((file) => FILE_NAME.exec(file.name)?.[1]);
      const strangers = new Set(keys.filter((key) => key !== undefined && !known.has(key)));
      // A catalog that was lost is made again of the metas; otherwise they are left over of entries
      // that are removed, or were never begun.
      const lost = isDamaged || value === undefined ? await this.#adopt(strangers) : [];
      for (const { key } of lost) strangers.delete(key);
      const isSame = lost.length === 0 && entries.length === state.entries.length &&
        entries.every((entry, i) => entry === state.entries[i]);
      const right = withoutDangling({ ...state, entries: [...entries, ...lost] });
      const next = isSame ? state : await this.#write(state, right);
      for (const key of strangers) await this.removeFiles(key);
      return next;
    });
  }

  // The entry as it is, or as staging where its data are missing; null where it can not be resumed.
  async #recoverEntry(entry, sizes) {
    if (entry.state === "verified") {
      if (sizes.get(`${entry.key}.data`) === entry.bytes) return entry;
      entry = { ...entry, state: "staging", checked: null };
    }
    return (await this.meta(entry.key)) === undefined ? null : entry;
  }

  async #adopt(keys) {
    const entries = [];
    for (const key of keys) {
      const meta = await this.meta(key);
      if (meta?.entry?.key === key) entries.push(meta.entry);
    }
    return entries;
  }
}

// `state` whose pointers name only entries that can be used.
export function withoutDangling(state) {
  const isThere = (id) => state.entries.some((entry) => entry.id === id && entry.state === "verified");
  return {
    ...state,
    active: isThere(state.active) ? state.active : null,
    previous: isThere(state.previous) ? state.previous : null,
  };
}

// What `active` falls back to: the newest other version of the same name, else what was active
// before it. Undefined where there is nothing.
export function rollbackTarget(state) {
  const usable = state.entries.filter((entry) => entry.state === "verified" && entry.id !== state.active);
  const active = state.entries.find((entry) => entry.id === state.active);
  const versions = usable.filter((entry) => active && entry.name === active.name && entry.version && active.version);
  versions.sort((a, b) => compareVersions(b.version, a.version) || b.lastUsed - a.lastUsed);
  return versions[0] ?? usable.find((entry) => entry.id === state.previous);
}
