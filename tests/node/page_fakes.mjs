// A model, a store and a page on them, for tests of what the page does.

import { MemoryDatabase } from "../../web/page/src/effects/database.mjs";
import { nameOf } from "../../web/page/src/effects/models.mjs";
import { Page } from "../../web/page/src/page.mjs";

export const HASH = "ab".repeat(32);

// Speaks the words of its script, one a token; "!" throws, "~" waits until it is aborted.
export class FakeModel {
  calls = [];
  script = ["Hel", "lo", "."];
  isFree = false;
  loads = [];
  failLoads = [];

  generate(input, options) {
    this.calls.push({ input: structuredClone(input), options });
    const self = this;
    async function* tokens() {
      options.onPrompt?.({ n_prompt: 7, n_prompt_done: 7 });
      for (const [id, text] of self.script.entries()) {
        if (text === "!") throw Object.assign(new Error("context: 9 tokens beyond 4096"), { code: 23 });
        if (text === "~") await new Promise((resolve) => options.signal.addEventListener("abort", resolve));
        options.signal.throwIfAborted();
        yield { id, text, reasoning: "" };
      }
      return { stop: "eog", n_evaluated: 7 };
    }
    const stream = tokens();
    stream.record = Promise.resolve({ run_id: "run", seed: options.seed, output: [0, 1, 2], n_out: 3 });
    return stream;
  }
  async load(source, options) {
    this.loads.push({ source, options });
    const failure = this.failLoads.shift();
    if (failure) throw failure;
  }
  async replay() {
    return { equal: true, nEqual: 3, firstDivergence: null, differs: [] };
  }
  async diagnostics() {
    return {
      n_thread: 2,
      kernels: "fake",
      backend: "wasm",
      model: {
        n_ctx: 4096,
        n_ctx_train: 8192,
        n_past: 20,
        sha256: HASH,
        weight_bytes: 1,
        kv_bytes: 1,
        n_vocab: 10,
        n_layer: 1,
        has_template: true,
        template_note: "",
        tokenizer: "gpt2",
        pretokenizer: "x",
      },
    };
  }
  async free() {
    this.isFree = true;
  }
}

export class FakeStore {
  entries = [];
  log = [];
  failNext = null;
  failFile = null;
  options = null;

  async list() {
    return structuredClone(this.entries);
  }
  async usage() {
    return { usage: 1, quota: 2, persisted: false };
  }
  async add(source, { signal, onProgress, ...options }) {
    this.options = options;
    this.log.push(["add", typeof source === "string" ? source : source.name]);
    onProgress({ phase: "download", done: 1, total: 2, bytesPerSecond: null });
    if (this.failNext === "wait")
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(Object.assign(new Error("stopped"), { code: "aborted" }))),
      );
    else if (this.failNext) throw this.failNext;
    const entry = {
      id: HASH,
      name: nameOf(source.name ?? source),
      state: "verified",
      bytes: 2,
      bytesDone: 2,
      signature: null,
      source: String(source),
      files: [{ path: "x", size: 2, sha256: HASH }],
    };
    this.entries = [entry];
    return entry;
  }
  async file(id) {
    if (this.failFile) throw this.failFile;
    this.log.push(["file", id]);
    return { name: "stored", size: 2 };
  }
  async activate(id) {
    this.log.push(["activate", id]);
    this.entries = this.entries.map((entry) => ({ ...entry, state: entry.id === id ? "active" : entry.state }));
  }
  async remove(id) {
    this.entries = this.entries.filter((entry) => entry.id !== id);
  }
}

export async function start({
  store = new FakeStore(),
  database = new MemoryDatabase(),
  catalog = [],
  failure = null,
} = {}) {
  const model = new FakeModel();
  const made = [];
  const page = new Page({ database, catalog, base: "https://host.example/folder/", frame: (f) => setTimeout(f, 0) });
  const lines = []; // of the console
  page.log = (line) => lines.push(line);
  await page.start({
    openEngine: async () => ({
      modules: "https://host.example/engine/",
      capabilities: () => ({ notes: [] }),
      capabilityLines: () => ["WebGPU no", "No WebGPU: models run on the processor."],
      tokenizerMetrics: async (tokenizer, texts) => ({ nText: texts.length, coverage: 1, entropy: 5.5, fertility: 2 }),
      createModel: async (source, options) => {
        made.push({ source, options });
        if (failure) throw failure;
        return model;
      },
    }),
    openArtifacts: async () => {
      if (store === null) throw new Error("no files here");
      return store;
    },
  });
  return { page, model, store, made, database, lines };
}
export const FILE = { name: "tiny.Q8_0.gguf", size: 5 };
export const last = (page) => page.state.conversation.turns.at(-1).answer;
