// How answers and loads end where something else ends them: the caller, a callback, a source that is silent, a
// server that can not be reached. The same list with a worker and without one.
//
//   lib_endings_test.mjs --lbm BUILD/lbm --modules BUILD/web [--golden DIR] [--model FILE]

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { createModel } from "../../web/lib/lbm.mjs";
import {
  GREEDY, N_CTX, PROMPT, collect, expect, expectEqual, expectRejection, isAbort, isLbmError, modules, tiny,
} from "./lib_support.mjs";
import { TestReport } from "./module.mjs";

const report = new TestReport();
const RAW = { ...GREEDY, raw: true };
const ENDLESS = { ...RAW, maxTokens: 0, ignoreEnd: true }; // longer than a worker may be ahead
const DEADLINE_MS = 20_000;

// The promise, or an error where it is never settled.
function settled(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: never settled`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function serve(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { base: `http://127.0.0.1:${server.address().port}`, close: () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  } };
}

async function checkEndings(worker) {
  const run = (what, test) => report.runAsync(`${worker ? "worker" : "in-thread"}: ${what}`, test);
  const settings = { worker, modules, nCtx: N_CTX, threads: 1 };
  const bytes = readFileSync(tiny);
  const model = await createModel(tiny, settings);

  await run("an answer that is given up before it begins has no record, and says so", async () => {
    const left = model.generate(PROMPT, RAW);
    await left.return();
    await expectRejection(settled(left.record, "the record"), isLbmError("", /never began/), "return()");
    const thrown = model.generate(PROMPT, RAW);
    await expectRejection(thrown.throw(new Error("mine")), ({ message }) => message === "mine", "throw()");
    await expectRejection(settled(thrown.record, "the record"), ({ message }) => message === "mine", "its record");
  });
  await run("an answer has its record where a callback or the caller throws", async () => {
    const onPrompt = () => {
      throw new Error("of the callback");
    };
    const answer = model.generate("one two three ".repeat(10), { ...ENDLESS, onPrompt });
    await expectRejection(answer.next(), ({ message }) => message === "of the callback", "the answer");
    expectEqual((await settled(answer.record, "the record")).stop, "interrupted", "reason to stop");
    const other = model.generate(PROMPT, ENDLESS);
    await other.next();
    await expectRejection(other.throw(new Error("of the caller")), ({ message }) => message === "of the caller", "throw");
    expectEqual((await settled(other.record, "the record")).stop, "interrupted", "reason to stop");
    expectEqual((await collect(model.generate(PROMPT, RAW))).record.stop, "length", "the next one");
  });
  await run("a load from a source that has fallen silent can be aborted, and leaves the model", async () => {
    const silent = () => ({ size: bytes.length, chunks: (async function* () {
      yield bytes.subarray(0, 1000);
      await new Promise(() => {});
    })() });
    for (let i = 0; i < 2; ++i) {
      const abort = new AbortController();
      const load = model.load(silent(), { signal: abort.signal, onProgress: () => abort.abort() });
      await expectRejection(settled(load, "the load"), isAbort, "the load");
    }
    await model.load(bytes, { nCtx: N_CTX });
    expect((await collect(model.generate(PROMPT, RAW))).ids.length > 0, "an answer");
  });
  await run("a load whose callback throws ends with that, and the next load can begin", async () => {
    const onProgress = () => {
      throw new Error("of the callback");
    };
    await expectRejection(model.load(bytes, { onProgress }), ({ message }) => message === "of the callback", "the load");
    await model.load(bytes, { nCtx: N_CTX });
  });
  await run("a model comes from an address whose name is no proper escape", async () => {
    const server = await serve((request, response) => response.end(bytes));
    try {
      await model.load(`${server.base}/100%.gguf`, { nCtx: N_CTX });
      expectEqual(model.info.name, "100%.gguf", "name");
    } finally {
      await server.close();
    }
  });
  await run("what can not be fetched is named, with what may be the reason", async () => {
    const gone = await serve(() => {});
    await gone.close();
    const address = `${gone.base}/m.gguf`;
    const error = await expectRejection(model.load(address), isLbmError("", /connection.*does not allow/), "no server");
    expect(error.message.includes(address), error.message);
    const server = await serve((request, response) => {
      response.setHeader("Content-Type", "text/html");
      response.end("<!doctype html><title>Log in</title>");
    });
    try {
      await expectRejection(model.load(`${server.base}/m.gguf`), isLbmError("", /web page/), "a web page");
    } finally {
      await server.close();
    }
  });
  await model.free();
}

if (!tiny) console.log("skipped: no golden data and no model");
else for (const worker of [false, true]) await checkEndings(worker);

report.finish();
