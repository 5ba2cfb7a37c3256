// Models: from a file, from an address, or from the store of this browser, into the engine.

import { modelFacts } from "../state/model_facts.mjs";
import { loadOptions } from "../state/settings.mjs";

const OUT_OF_MEMORY = 22; // ErrorCode::kOutOfMemory, core/base/error.h

// Texts by which the tokenizer of a model is measured.
const SAMPLES = [
  "The quick brown fox jumps over the lazy dog.",
  "Zw\u00f6lf Boxk\u00e4mpfer jagen Viktor quer \u00fcber den gro\u00dfen Sylter Deich.",
  "for (let i = 0; i < n; ++i) sum += values[i] ** 2;",
  "1234567890 + 0.5 = ?",
];

const isAbort = (error) => error.name === "AbortError" || error.code === "aborted";

// The last part of an address or path, as a name.
export function nameOf(address) {
  const path = String(address).split(/[?#]/, 1)[0];
  const name = path.slice(path.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(name) || path;
  } catch {
    return name || path;
  }
}

// What an address must be to be asked for: a sentence, or null where it is fine.
export function addressFault(text, base) {
  let url;
  try {
    url = new URL(text, base);
  } catch {
    return "That is no address. One begins with https://";
  }
  const own = new URL(base);
  if (url.origin === own.origin) return null;
  if (url.protocol !== "https:") return "A model of another server needs an https address.";
  return url.username || url.password ? "An address with a name and a password in it is not asked for." : null;
}

export class Models {
  #page;
  #engine = null;
  #started; // settled when start() has ended: who is faster than that waits
  #endStart;
  #store = null;
  #model = null;
  #loadedWith = null;
  #abort = null;
  #transfers = new Map(); // name -> AbortController
  #catalog;

  constructor(page, catalog = []) {
    this.#page = page;
    this.#catalog = catalog;
    this.#started = new Promise((resolve) => (this.#endStart = resolve));
  }

  get model() {
    return this.#model;
  }

  async start(parts) {
    try {
      await this.#start(parts);
    } finally {
      this.#endStart();
    }
  }

  async #start({ openEngine, openArtifacts }) {
    this.#engine = await openEngine();
    const capabilities = await this.#engine.capabilities();
    this.#page.dispatch({ type: "capabilities/known", capabilities });
    this.#page.log((this.#engine.capabilityLines?.(capabilities) ?? capabilities.notes).join("\n"));
    try {
      this.#store = await openArtifacts();
      await this.refreshStore();
    } catch (error) {
      this.#page.dispatch({ type: "store/state", store: { state: "absent", error: error.message } });
    }
  }

  // Loads the model that was in use when the page was left.
  async loadActive() {
    const active = this.#page.state.store.entries.find(({ state }) => state === "active");
    if (active !== undefined && this.#page.state.model.state === "none") await this.loadEntry(active.id);
  }

  async refreshStore() {
    if (this.#store === null) return;
    const [entries, usage] = await Promise.all([this.#store.list(), this.#store.usage().catch(() => null)]);
    const active = entries.find(({ state }) => state === "active")?.id ?? null;
    this.#page.dispatch({ type: "store/state", store: { state: "ready", entries, active, usage, error: null } });
  }

  // ---- into the engine -----------------------------------------------------------------------------

  // A file of this device. `keep`: a copy goes into the store, for the next time.
  async loadFile(file, keep) {
    const loaded = await this.#load(file, { name: file.name, bytes: file.size, origin: "a file of this device" });
    if (loaded && keep && this.#store !== null) {
      await this.#transfer(
        file.name,
        (options) => this.#store.add(file, options),
        async (entry) => {
          await this.#store.activate(entry.id);
          await this.refreshStore();
        },
      );
    }
    return loaded;
  }

  // A model at an address: into the store, and from there into the engine.
  // `agreed`: { redirects } of origins that the person has agreed to, { sha256 } of the catalog.
  async loadAddress(text, agreed = {}) {
    const fault = addressFault(text, this.#page.base);
    if (fault !== null) return this.#page.complain(fault);
    const url = new URL(text, this.#page.base).href;
    await this.#started;
    if (this.#store === null) return this.#load(url, { name: nameOf(url), bytes: null, origin: url });
    return this.#transfer(
      nameOf(url),
      (options) => this.#store.add(url, { ...agreed, ...options }),
      (entry) => this.loadEntry(entry.id),
      (origins) => ({ type: "address", url, agreed: { ...agreed, redirects: origins } }),
      agreed.redirects,
    );
  }

  // The rest of what was interrupted.
  resume(entry, agreed = {}) {
    return this.#transfer(
      entry.name,
      (options) => this.#store.resume(entry.id, { ...agreed, ...options }),
      (whole) => this.loadEntry(whole.id),
      (origins) => ({ type: "resume", entry, agreed: { redirects: origins } }),
      agreed.redirects,
    );
  }

  // What a notice offers.
  follow(action) {
    this.#page.dispatch({ type: "notice/closed" });
    if (action.type === "address") return this.loadAddress(action.url, action.agreed);
    if (action.type === "resume") return this.resume(action.entry, action.agreed);
    return this.loadEntry(action.id);
  }

  async loadEntry(id) {
    const entry = this.#page.state.store.entries.find((one) => one.id === id);
    if (entry === undefined) return this.#page.complain("That model is not in the store any more.");
    try {
      const file = await this.#store.file(id);
      const about = { name: entry.name, bytes: entry.bytes, origin: entry.source ?? "the store of this browser" };
      const loaded = await this.#load(file, about, entry);
      if (loaded) await this.#store.activate(id);
      await this.refreshStore();
      return loaded;
    } catch (error) {
      await this.refreshStore().catch(() => {});
      const offer = error.code === "damaged" ? error.details?.offer : null;
      const other = this.#page.state.store.entries.find((one) => one.id === offer);
      return this.#page.complain(error.message, other && { type: "use", id: other.id, label: `Use ${other.name}` });
    }
  }

  // True where the model is there.
  async #load(source, about, entry = null) {
    if (this.#page.state.answering !== null) return this.#page.complain("Stop the answer first.");
    if (this.#page.state.model.state === "loading") return this.#page.complain("Another model is being loaded.");
    const { dispatch } = this.#page;
    dispatch({ type: "model/loading", name: about.name });
    this.#abort = new AbortController();
    const sha256 = entry?.files?.[0]?.sha256;
    const options = {
      ...loadOptions(this.#page.state.settings),
      ...(sha256 ? { sha256 } : { hash: true }),
      name: about.name,
      log: false,
      signal: this.#abort.signal,
      onProgress: (progress) =>
        dispatch({ type: "model/progress", progress: { phase: "load", ...progress }, now: this.#page.now() }),
    };
    try {
      const began = this.#page.now();
      await this.#loadWith(source, options);
      const loadMs = this.#page.now() - began;
      const facts = await this.#facts(about, entry, loadMs);
      if (facts.chat !== null) this.#page.offerDefaults(facts.chat);
      dispatch({ type: "model/ready", name: about.name, info: facts });
      this.#page.log([`${about.name} runs on ${facts.backend}.`, ...facts.reasons].join("\n"));
      await this.#measureTokenizer();
      return true;
    } catch (error) {
      const kept = await this.#stillThere();
      const text = isAbort(error) ? "Loading was stopped." : error.message;
      dispatch({
        type: "model/failed",
        error: kept ? `${text} ${this.#page.state.model.info.name} is still loaded.` : text,
        kept,
      });
      return false;
    } finally {
      this.#abort = null;
    }
  }

  async #facts(about, entry, loadMs) {
    const diagnostics = await this.#model.diagnostics();
    return modelFacts({ about, entry, info: this.#model.info ?? null, diagnostics, catalog: this.#catalog, loadMs });
  }

  // Coverage, entropy and fertility, for the console.
  async #measureTokenizer() {
    try {
      const metrics = await this.#engine.tokenizerMetrics?.(this.#model.tokenizer, SAMPLES);
      if (metrics) this.#page.log(`tokenizer ${JSON.stringify(metrics)}`);
    } catch (error) {
      this.#page.log(`the tokenizer could not be measured: ${error.message}`);
    }
  }

  // A model in the place of another one stays on the same threads; other ones need another engine.
  async #loadWith(source, options) {
    await this.#started;
    if (this.#engine === null) throw new Error("The engine could not be started; load the page again.");
    const machine = JSON.stringify([options.threads, options.backend]);
    if (machine === this.#loadedWith && (await this.#ask()) !== null) {
      try {
        await this.#model.load(source, options);
        return;
      } catch (error) {
        if (error.code !== OUT_OF_MEMORY || this.#page.state.model.info === null) throw error;
        this.#page.tell(`The new model does not fit beside ${this.#page.state.model.info.name}, which is given up.`);
        await this.#model.load(source, { ...options, replace: true });
        return;
      }
    }
    const next = await this.#engine.createModel(source, { ...options, modules: this.#engine.modules });
    await this.#model?.free();
    this.#model = next;
    this.#loadedWith = machine;
  }

  // What the model says of itself; null where there is none. One whose module or worker has failed is given up.
  async #ask() {
    try {
      return (await this.#model?.diagnostics()) ?? null;
    } catch {
      await this.#model.free().catch(() => {});
      this.#model = null;
      return null;
    }
  }
  async #stillThere() {
    return this.#page.state.model.info !== null && Boolean((await this.#ask())?.model);
  }
  // After something failed: a model that went with its engine can only be loaded anew.
  async checkEngine() {
    const { state, info } = this.#page.state.model;
    if (state !== "ready" || (await this.#stillThere())) return;
    const error = `The engine has failed, and ${info.name} with it. Load the model again.`;
    this.#page.dispatch({ type: "model/failed", error, kept: false });
    this.#page.complain(error);
  }

  cancelLoad() {
    this.#abort?.abort();
  }

  // ---- the store -----------------------------------------------------------------------------------

  // `again(origins)`: the action that tries once more, where the server leads to one that nobody has agreed to.
  async #transfer(name, begin, then, again = null, origins = []) {
    if (this.#transfers.has(name)) return this.#page.complain(`${name} is already on its way.`);
    const abort = new AbortController();
    const { dispatch } = this.#page;
    this.#transfers.set(name, abort);
    const show = (progress) => dispatch({ type: "transfer/progress", name, progress, now: this.#page.now() });
    show({ phase: "start", done: 0, total: 0 });
    let entry = null;
    try {
      entry = await begin({ signal: abort.signal, onProgress: show });
    } catch (error) {
      if (isAbort(error)) this.#page.tell(`${name} was interrupted. What has come is kept; Resume fetches the rest.`);
      else if (error.code === "redirect" && again !== null) this.#askToFollow(name, error, again, origins);
      else this.#page.complain(error.message);
    } finally {
      this.#transfers.delete(name);
      dispatch({ type: "transfer/ended", name });
      await this.refreshStore().catch(() => {});
    }
    if (entry === null || entry === undefined) return false;
    return then(typeof entry === "string" ? { id: entry } : entry);
  }

  #askToFollow(name, error, again, origins) {
    const { origin } = error.details;
    const { host } = new URL(origin);
    const text = `${name} comes from another server than the one you named: ${host}.`;
    this.#page.complain(text, { ...again([...origins, origin]), label: `Fetch it from ${host}` });
  }

  cancelTransfer(name) {
    this.#transfers.get(name)?.abort();
  }

  async remove(id) {
    try {
      await this.#store.remove(id);
    } catch (error) {
      this.#page.complain(error.message);
    }
    await this.refreshStore();
  }

  // Reads every byte of it again.
  async verify(entry) {
    try {
      await this.#store.verify(entry.id);
      this.#page.tell(`${entry.name}: the bytes have the SHA-256 they were kept with (${entry.id.slice(0, 16)}...).`);
    } catch (error) {
      this.#page.complain(error.message);
    }
    await this.refreshStore();
  }
}
