// The page without its looks: state, and everything that a person can ask of it.

import { Answers } from "./effects/answers.mjs";
import { runBenchmark } from "./effects/benchmark.mjs";
import { Models } from "./effects/models.mjs";
import {
  newConversation,
  readConversation,
  transcriptJson,
  transcriptMarkdown,
  transcriptName,
} from "./state/conversation.mjs";
import { initialState, StateHolder } from "./state/reducer.mjs";
import { readServedModels } from "./state/served_models.mjs";
import { readSettings } from "./state/settings.mjs";

const FRAME_MS = 250; // a hidden page is given no frames

function nextFrame(callback) {
  if (typeof requestAnimationFrame !== "function") {
    setTimeout(callback, 16);
    return;
  }
  let done = false;
  const once = () => {
    if (!done) callback();
    done = true;
  };
  requestAnimationFrame(once);
  setTimeout(once, FRAME_MS);
}

export class Page {
  #holder;
  #database;
  #benchmark = null;

  constructor({
    database,
    catalog = [],
    base = globalThis.location?.href ?? "https://localhost/",
    frame = nextFrame,
    shell = null,
  }) {
    this.#database = database;
    this.base = base;
    this.catalog = catalog;
    this.nextFrame = frame;
    this.#holder = new StateHolder(initialState(newConversation(this.newId(), Date.now())));
    this.dispatch = this.#holder.dispatch;
    this.models = new Models(this, catalog);
    this.answers = new Answers(this);
    this.shell = shell;
  }

  get state() {
    return this.#holder.state;
  }
  get model() {
    return this.models.model;
  }
  subscribe(listener) {
    return this.#holder.subscribe(listener);
  }
  now = () => performance.now();
  newId = () => crypto.randomUUID();
  // 53 random bits: a seed that JSON keeps.
  drawSeed = () => {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    return (high & 0x1fffff) * 2 ** 32 + low;
  };
  log(line) {
    console.info(`lbm: ${line}`);
  }
  // `action`: what the person can do about it, for Models.follow().
  complain(text, action = null) {
    this.dispatch({ type: "notice/shown", kind: "error", text, action });
    return false;
  }
  tell(text) {
    this.dispatch({ type: "notice/shown", kind: "info", text });
  }

  // What was kept, and then the engine.
  async start(engine) {
    const kept = await this.#database.setting("settings").catch(() => null);
    this.dispatch({ type: "settings/changed", settings: readSettings(kept ?? null) });
    const all = (await this.#database.conversations().catch(() => [])).map(readConversation).filter(Boolean);
    this.dispatch({ type: "conversations/listed", conversations: all });
    try {
      await this.models.start(engine);
      await this.models.loadActive();
    } catch (error) {
      this.complain(`The engine could not be started: ${error.message}`);
    }
  }

  // What the host offers. Nothing is said where it says nothing: that is no fault.
  async readServed(fetchJson) {
    const models = await fetchJson(new URL("models.json", this.base)).then(
      (json) => readServedModels(json, this.base),
      () => [],
    );
    this.dispatch({ type: "served/known", models });
  }

  // ---- settings ------------------------------------------------------------------------------------

  change(settings) {
    this.dispatch({ type: "settings/changed", settings });
    return this.#database.keepSetting("settings", this.state.settings).catch(() => {});
  }
  // What the catalog says suits a model, where the person has not set anything else.
  offerDefaults(chat) {
    const standard = readSettings(null);
    const { settings } = this.state;
    const changed = Object.entries(chat).filter(
      ([key, value]) => settings[key] === standard[key] && value !== settings[key],
    );
    if (changed.length > 0) this.dispatch({ type: "settings/changed", settings: Object.fromEntries(changed) });
  }

  // ---- conversations -------------------------------------------------------------------------------

  async newConversation() {
    await this.answers.stop();
    const { system } = this.state.conversation;
    this.dispatch({ type: "conversation/opened", conversation: newConversation(this.newId(), Date.now(), system) });
  }
  async openConversation(id) {
    if (id === this.state.conversation.id) return;
    await this.answers.stop();
    const conversation = readConversation(await this.#database.conversation(id));
    if (conversation === null) this.complain("That conversation is not kept any more.");
    else this.dispatch({ type: "conversation/opened", conversation });
  }
  async deleteConversation(id) {
    if (id === this.state.conversation.id) await this.newConversation();
    await this.#database.deleteConversation(id);
    this.dispatch({ type: "conversation/deleted", id });
  }
  async deleteConversations() {
    await this.newConversation();
    await this.#database.deleteConversations();
    this.dispatch({ type: "conversations/listed", conversations: [] });
  }
  setSystem(system) {
    this.dispatch({ type: "conversation/system", system });
  }
  async keep() {
    const { conversation } = this.state;
    if (conversation.turns.length === 0) return;
    await this.#database
      .keepConversation(conversation)
      .catch((error) => this.tell(`This conversation is not kept: ${error.message}`));
  }
  get keeps() {
    return this.#database.keeps;
  }
  // { name, type, text } of a file: "md" or "json".
  transcript(ending) {
    const { conversation } = this.state;
    const text = ending === "json" ? transcriptJson(conversation) : transcriptMarkdown(conversation);
    return {
      name: transcriptName(conversation, ending),
      type: ending === "json" ? "application/json" : "text/markdown",
      text,
    };
  }

  // ---- the benchmark -------------------------------------------------------------------------------

  async runBenchmark() {
    const show = (benchmark) => this.dispatch({ type: "benchmark/state", benchmark });
    if (this.model === null || this.answers.running || this.#benchmark !== null) return;
    this.#benchmark = new AbortController();
    show({ state: "running", result: null, error: null, run: 0, nRun: 0 });
    try {
      const result = await runBenchmark({
        model: this.model,
        info: this.state.model.info,
        capabilities: this.state.capabilities,
        now: this.now,
        signal: this.#benchmark.signal,
        onRun: (run, nRun) => show({ run, nRun }),
      });
      show({ state: "done", result });
    } catch (error) {
      show({ state: "idle", error: error.name === "AbortError" ? null : error.message });
      await this.models.checkEngine();
    } finally {
      this.#benchmark = null;
    }
  }
  stopBenchmark() {
    this.#benchmark?.abort();
  }
}
