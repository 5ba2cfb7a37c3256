// What the page does for a person, on a model, a store and a database that are made up here.

import { Page } from "../../web/page/src/page.mjs";
import { MemoryDatabase } from "../../web/page/src/effects/database.mjs";
import { measure } from "../../web/page/src/effects/answers.mjs";
import { addressFault, nameOf } from "../../web/page/src/effects/models.mjs";
import { inCatalog, quantizationIn } from "../../web/page/src/state/model_facts.mjs";
import { expect, expectEqual, WebReport } from "../web/report.mjs";

const report = new WebReport({ deadlineMs: 10_000 });
const run = (name, test) => report.run(name, test);
const HASH = "ab".repeat(32);

// Speaks the words of its script, one a token; "!" throws, "~" waits until it is aborted.
class FakeModel {
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

class FakeStore {
  entries = [];
  log = [];
  failNext = null;

  async list() {
    return structuredClone(this.entries);
  }
  async usage() {
    return { usage: 1, quota: 2, persisted: false };
  }
  async add(source, { signal, onProgress }) {
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

async function start({ store = new FakeStore(), database = new MemoryDatabase(), catalog = [], failure = null } = {}) {
  const model = new FakeModel();
  const made = [];
  const page = new Page({ database, catalog, base: "https://host.example/folder/", frame: (f) => setTimeout(f, 0) });
  page.log = () => {};
  await page.start({
    openEngine: async () => ({
      modules: "https://host.example/engine/",
      capabilities: () => ({ notes: [] }),
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
  return { page, model, store, made, database };
}
const FILE = { name: "tiny.Q8_0.gguf", size: 5 };
const last = (page) => page.state.conversation.turns.at(-1).answer;

await run("MVP-35: a question is answered, measured, recorded and kept", async () => {
  const { page, model, database } = await start();
  await page.models.loadFile(FILE, false);
  expectEqual(
    [page.state.model.state, page.state.model.info.quantization, page.state.context.total],
    ["ready", "Q8_0", 4096],
    "the model",
  );
  await page.change({ temp: 0, seed: 5 });
  await page.answers.ask("Hi");
  const answer = last(page);
  expectEqual(
    [answer.text, answer.state, answer.stop, answer.nToken, answer.record.run_id],
    ["Hello.", "done", "eog", 3, "run"],
    "the answer",
  );
  expectEqual(
    [model.calls[0].options.seed, model.calls[0].options.temperature, page.state.context.used],
    [5, 0, 20],
    "settings and context",
  );
  expect(answer.stats.secondsToFirst !== null && answer.stats.nPrompt === 7, "no figures");
  expectEqual((await database.conversation(page.state.conversation.id)).turns[0].answer.text, "Hello.", "what is kept");
  await page.answers.ask("More?");
  expectEqual(
    model.calls[1].input.map(({ role, content }) => `${role}: ${content}`),
    ["user: Hi", "assistant: Hello.", "user: More?"],
    "messages",
  );
});

await run("B-2: an answer that is stopped keeps what was said, and the next one is made", async () => {
  const { page, model } = await start();
  await page.models.loadFile(FILE, false);
  model.script = ["Half", "~", "never"];
  const asked = page.answers.ask("Hi");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expectEqual([last(page).text, last(page).state, page.answers.running], ["Half", "running", true], "while it runs");
  await page.answers.stop();
  await asked;
  expectEqual(
    [last(page).text, last(page).state, last(page).stop, page.state.answering],
    ["Half", "stopped", "interrupted", null],
    "stopped",
  );
  model.script = ["whole"];
  await page.answers.ask("Again");
  expectEqual(last(page).text, "whole", "the next one");
});

await run("an answer that fails says why and what helps", async () => {
  const { page, model } = await start();
  await page.models.loadFile(FILE, false);
  model.script = ["a", "!"];
  await page.answers.ask("Hi");
  expectEqual([last(page).state, last(page).text], ["failed", "a"], "the answer");
  expect(last(page).error.includes("larger context"), last(page).error);
});

await run("regenerate takes the next seed; edit takes the place of the question and of what came after", async () => {
  const { page, model } = await start();
  await page.models.loadFile(FILE, false);
  await page.answers.ask("One");
  await page.answers.ask("Two");
  await page.answers.again(page.state.conversation.turns[1].id);
  expectEqual(
    [page.state.conversation.turns.length, model.calls.at(-1).options.seed, model.calls.at(-1).input.length],
    [2, 1, 3],
    "again",
  );
  await page.answers.again(page.state.conversation.turns[1].id);
  expectEqual(model.calls.at(-1).options.seed, 2, "the seed after that");
  await page.answers.edit(page.state.conversation.turns[0].id, "Other");
  expectEqual(
    page.state.conversation.turns.map(({ question }) => question),
    ["Other"],
    "edited",
  );
});

await run("MVP-14: an answer is made again from its record", async () => {
  const { page } = await start();
  await page.models.loadFile(FILE, false);
  await page.answers.ask("Hi");
  await page.answers.replay(page.state.conversation.turns[0].id);
  expect(page.state.notice.text.includes("all 3 tokens are the same"), page.state.notice.text);
  expectEqual(page.state.answering, null, "nothing is running");
});

await run("one answer at a time, none without a model, none to nothing", async () => {
  const { page, model } = await start();
  await page.answers.ask("Hi");
  expect(page.state.notice.text.includes("Load a model"), "no word of it");
  await page.models.loadFile(FILE, false);
  await page.answers.ask("  \n ");
  expectEqual(model.calls.length, 0, "questions asked");
  await Promise.all([page.answers.ask("A"), page.answers.ask("B")]);
  expectEqual(model.calls.length, 1, "questions asked at once");
});

await run("another conversation ends the answer first, and each keeps its own", async () => {
  const { page, model, database } = await start();
  await page.models.loadFile(FILE, false);
  model.script = ["x", "~"];
  const first = page.state.conversation.id;
  page.answers.ask("First");
  await new Promise((resolve) => setTimeout(resolve, 10));
  await page.newConversation();
  expectEqual(
    [page.state.conversation.turns.length, (await database.conversation(first)).turns[0].answer.state],
    [0, "stopped"],
    "after leaving",
  );
  await page.openConversation(first);
  expectEqual(last(page).text, "x", "after coming back");
  await page.deleteConversation(first);
  expectEqual(
    [page.state.conversations.length, await database.conversation(first), page.state.conversation.id === first],
    [0, undefined, false],
    "deleted",
  );
});

await run(
  "C-3: an address goes into the store, from there into the engine, and is loaded at the next start",
  async () => {
    const { page, store, made, database } = await start();
    await page.models.loadAddress("https://models.example/m.gguf");
    expectEqual(
      store.log,
      [
        ["add", "https://models.example/m.gguf"],
        ["file", HASH],
        ["activate", HASH],
      ],
      "steps",
    );
    expectEqual(
      [page.state.model.name, page.state.model.info.sha256, made[0].options.sha256],
      ["m.gguf", HASH, HASH],
      "the model",
    );
    const again = await start({ store, database });
    expectEqual(again.page.state.model.state, "ready", "at the next start");
  },
);

await run("an interrupted download can be resumed; an error of the store is told", async () => {
  const { page, store } = await start();
  store.failNext = "wait";
  const transfer = page.models.loadAddress("https://models.example/m.gguf");
  await new Promise((resolve) => setTimeout(resolve, 5));
  expectEqual(
    page.state.transfers.map(({ name, done, total }) => [name, done, total]),
    [["m.gguf", 1, 2]],
    "transfers",
  );
  page.models.cancelTransfer("m.gguf");
  await transfer;
  expect(page.state.transfers.length === 0 && page.state.notice.text.includes("Resume"), page.state.notice.text);
  store.failNext = new Error("the server answers 404");
  await page.models.loadAddress("https://models.example/m.gguf");
  expectEqual(page.state.notice, { kind: "error", text: "the server answers 404" }, "the notice");
});

await run("C-7: a model that does not load leaves the one before, and the store's active one", async () => {
  const { page, model, store } = await start();
  await page.models.loadFile(FILE, false);
  model.failLoads = [new Error("bad magic [bad_magic]")];
  store.entries = [{ id: HASH, name: "bad.gguf", state: "verified", bytes: 2, bytesDone: 2, source: "x", files: [] }];
  await page.models.refreshStore();
  await page.models.loadEntry(HASH);
  expectEqual([page.state.model.state, page.state.model.name], ["ready", FILE.name], "the model");
  expect(
    page.state.model.error.includes("bad magic") && page.state.model.error.includes("still loaded"),
    page.state.model.error,
  );
  expect(!store.log.some(([what]) => what === "activate"), "it was activated");
});

await run("a model that does not fit beside the one before takes its place, after saying so", async () => {
  const { page, model } = await start();
  await page.models.loadFile(FILE, false);
  model.failLoads = [Object.assign(new Error("needs more"), { code: 22 })];
  await page.models.loadFile({ name: "big.gguf", size: 9 }, false);
  expectEqual(
    model.loads.map(({ options }) => options.replace ?? false),
    [false, true],
    "loads",
  );
  expect(page.state.model.name === "big.gguf", "not loaded");
});

await run("MVP-2: without a store models are loaded, and nothing is kept", async () => {
  const { page, made } = await start({ store: null });
  expectEqual([page.state.store.state, page.state.store.error], ["absent", "no files here"], "the store");
  await page.models.loadAddress("./model.gguf");
  expectEqual([page.state.model.state, made[0].source], ["ready", "https://host.example/folder/model.gguf"], "loaded");
});

await run("an engine that does not start is told", async () => {
  const page = new Page({ database: new MemoryDatabase() });
  await page.start({
    openEngine: async () => Promise.reject(new Error("no module")),
    openArtifacts: async () => new FakeStore(),
  });
  expect(page.state.notice.kind === "error" && page.state.notice.text.includes("no module"), "not told");
});

await run("H5: addresses are https, or of the page's own server", () => {
  const base = "http://127.0.0.1:8080/";
  for (const text of ["https://a.b/c.gguf", "m.gguf", "/m.gguf", "http://127.0.0.1:8080/m.gguf"])
    expectEqual(addressFault(text, base), null, text);
  for (const text of [
    "http://a.b/c",
    "ftp://a.b/c",
    "javascript:alert(1)",
    "data:,x",
    "https://u:p@a.b/c",
    "https://",
    "file:///x",
    "//a.b/c",
  ]) {
    expect(addressFault(text, base) !== null, `${text} is taken`);
  }
  expectEqual(
    [nameOf("https://a.b/c/d%20e.gguf?x#y"), nameOf("https://a.b/%zz"), nameOf("x")],
    ["d e.gguf", "%zz", "x"],
    "names",
  );
});

await run("the catalog is matched by bytes first, and by name where no hash is known", () => {
  const catalog = [
    { file: "a.gguf", sha256: HASH, title: "A" },
    { file: "b.gguf", sha256: null, title: "B" },
  ];
  expectEqual(inCatalog(catalog, { sha256: HASH, name: "other.gguf" })?.title, "A", "by bytes");
  expectEqual(inCatalog(catalog, { sha256: "cd".repeat(32), name: "a.gguf" }), null, "other bytes under the name");
  expectEqual(inCatalog(catalog, { sha256: HASH.replace("a", "c"), name: "b.gguf" })?.title, "B", "by name");
  expectEqual(
    ["x.Q4_1.gguf", "y-q8_0.gguf", "z-IQ4_XS.gguf", "w-Q4_K_M.gguf", "v.f16.gguf", "plain.gguf"].map(quantizationIn),
    ["Q4_1", "Q8_0", "IQ4_XS", "Q4_K_M", "F16", null],
    "quantizations",
  );
});

await run("defaults of the catalog are taken where nothing else was set", async () => {
  const { page } = await start({
    catalog: [{ file: FILE.name, sha256: null, title: "T", chat: { temp: 0.2, top_p: 0.9 } }],
  });
  await page.change({ top_p: 0.5 });
  await page.models.loadFile(FILE, false);
  expectEqual([page.state.settings.temp, page.state.settings.top_p], [0.2, 0.5], "settings");
});

await run("figures of an answer", () => {
  const stats = measure({ began: 1000, first: 2000, ended: 6000, nToken: 9, nEvaluated: 50 });
  expectEqual(
    [stats.secondsToFirst, stats.promptPerSecond, stats.tokensPerSecond, stats.seconds],
    [1, 50, 2, 5],
    "figures",
  );
  const none = measure({ began: 1000, first: null, ended: 1100, nToken: 0, nEvaluated: 0 });
  expectEqual(
    [none.secondsToFirst, none.promptPerSecond, none.tokensPerSecond],
    [null, null, null],
    "figures of nothing",
  );
});

report.finish();
