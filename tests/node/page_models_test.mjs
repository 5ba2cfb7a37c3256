// What the page does with models: files, addresses, the store and what may go wrong, on a store that is made up here.

import { MemoryDatabase } from "../../web/page/src/effects/database.mjs";
import { addressFault, nameOf } from "../../web/page/src/effects/models.mjs";
import { Page } from "../../web/page/src/page.mjs";
import { inCatalog, quantizationIn } from "../../web/page/src/state/model_facts.mjs";
import { expect, expectEqual, WebReport } from "../web/report.mjs";
import { FakeStore, FILE, HASH, start } from "./page_fakes.mjs";

const report = new WebReport({ deadlineMs: 10_000 });
const run = (name, test) => report.run(name, test);

await run(
  "MVP-33, MVP-36: the console has what this browser can do, where the model runs, and its tokenizer's metrics",
  async () => {
    const { page, lines } = await start();
    expect(lines[0].includes("models run on the processor"), lines[0]);
    await page.models.loadFile(FILE, false);
    expect(lines[1].startsWith(`${FILE.name} runs on wasm`), lines[1]);
    const metrics = JSON.parse(lines[2].slice(lines[2].indexOf("{")));
    expect(
      metrics.nText > 1 && ["coverage", "entropy", "fertility"].every((name) => Number.isFinite(metrics[name])),
      lines[2],
    );
  },
);

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

await run("what the host of the page offers is listed, and nothing that leads elsewhere", async () => {
  const { page } = await start();
  const asked = [];
  await page.readServed(async (url) => {
    asked.push(url.href);
    return {
      models: [
        { name: "a.gguf", address: "models/a.gguf", bytes: 5 },
        { name: "b.gguf", address: "https://elsewhere.example/b.gguf" },
        { name: "c.gguf", address: "javascript:alert(1)" },
        { name: "", address: "models/d.gguf" },
        { name: "e.gguf", address: "models/e.gguf", bytes: -1 },
        { name: "f.gguf", address: 7 },
        null,
      ],
    };
  });
  expectEqual(asked, [new URL("models.json", page.base).href], "what was asked for");
  expectEqual(
    page.state.served,
    [{ name: "a.gguf", address: new URL("models/a.gguf", page.base).href, bytes: 5 }],
    "what is offered",
  );
  for (const json of [null, [], { models: 3 }, { models: "a" }]) {
    await page.readServed(async () => json);
    expectEqual(page.state.served, [], JSON.stringify(json));
  }
  await page.readServed(async () => {
    throw new Error("no such file");
  });
  expect(page.state.served.length === 0 && page.state.notice === null, "a host that says nothing");
});

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
  expectEqual(page.state.notice, { kind: "error", text: "the server answers 404", action: null }, "the notice");
});

await run("A3: a server that leads to another one is followed after the person has agreed", async () => {
  const { page, store } = await start();
  const other = "https://cdn.example";
  store.failNext = Object.assign(new Error("leads elsewhere"), { code: "redirect", details: { origin: other } });
  await page.models.loadAddress("https://models.example/m.gguf", { sha256: HASH });
  const { text, action } = page.state.notice;
  expect(text.includes("cdn.example") && action.label.includes("cdn.example"), text);
  expectEqual(page.state.model.state, "none", "the model before");
  store.failNext = null;
  await page.models.follow(action);
  expectEqual([store.options.redirects, store.options.sha256], [[other], HASH], "what was agreed to");
  expectEqual([page.state.model.state, page.state.notice], ["ready", null], "the model, the notice");
});

await run("A4: in the place of a damaged model the one before is offered", async () => {
  const { page, store } = await start();
  const whole = { name: "whole.gguf", state: "verified", bytes: 2, bytesDone: 2, source: "x", files: [] };
  store.entries = [
    { ...whole, id: HASH },
    { ...whole, id: "cd".repeat(32), name: "bad.gguf" },
  ];
  await page.models.refreshStore();
  store.failFile = Object.assign(new Error("bad.gguf: is damaged"), { code: "damaged", details: { offer: HASH } });
  await page.models.loadEntry("cd".repeat(32));
  expectEqual(
    [page.state.notice.text, page.state.notice.action.label],
    ["bad.gguf: is damaged", "Use whole.gguf"],
    "the offer",
  );
  store.failFile = null;
  await page.models.follow(page.state.notice.action);
  expectEqual(page.state.model.name, "whole.gguf", "the model");
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

await run("a model whose worker is gone is given up, and loads anew", async () => {
  const { page, model, made } = await start();
  const gone = Object.assign(new Error("the worker is gone"), { kind: "worker" });
  const die = () => {
    model.diagnostics = model.load = async () => Promise.reject(gone);
    model.generate = () => {
      const stream = (async function* () {
        throw gone;
      })();
      stream.record = Promise.reject(gone);
      return stream;
    };
  };
  await page.models.loadFile(FILE, false);
  die();
  await page.answers.ask("Hi");
  expectEqual([page.state.model.state, page.model, model.isFree], ["none", null, true], "after the answer that failed");
  expect(page.state.notice.text.includes(FILE.name) && page.state.notice.text.includes("again"), "nothing is said");
  for (const name of ["diagnostics", "load", "generate"]) delete model[name];
  await page.models.loadFile(FILE, false);
  expectEqual([page.state.model.state, made.length], ["ready", 2], "loaded again");
  die();
  page.models.loadFile({ name: "other.gguf", size: 5 }, false);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expectEqual(made.length, 3, "engines: one more for the next load, at once");
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

report.finish();
