// Evaluation elsewhere than in the module, as WebGPU does it: the same answers, and what happens where it is
// refused, drifts or is lost. The backend is fake_gpu_backend.mjs; the real one has tests of its own.
//
//   lib_backend_test.mjs --lbm BUILD/lbm --modules BUILD/web [--golden DIR] [--model FILE]

import { checkRecord, createModel, gpuCapabilities, replay } from "../../web/lib/lbm.mjs";
import {
  DRAWN, DRAWN_FLAGS, GREEDY, N_CTX, N_OUTPUT, PROMPT, collect, expect, expectEqual, expectRejection, isAbort,
    isLbmError,
  lbmRun, modules, tiny,
} from "./lib_support.mjs";
import { TestReport } from "./module.mjs";

const report = new TestReport();
const RAW = { ...GREEDY, raw: true };

function fake(query = {}) {
  const url = new URL("fake_gpu_backend.mjs", import.meta.url);
  url.search = new URLSearchParams({ modules, ...query });
  return url;
}

async function checkBackend(worker) {
  const run = (what, test) => report.runAsync(`${worker ? "worker" : "in-thread"}: ${what}`, test);
  const settings = { worker, modules, nCtx: N_CTX, threads: 1 };
  const open = (query, more) => createModel(tiny, { ...settings, gpuBackend: fake(query), ...more });
  const expected = lbmRun(tiny, "--raw", "--temp", "0");

  await run("MVP-2: with a GPU answers are made there, and are those of lbm run", async () => {
    const steps = [];
    const model = await open({}, { onProgress: ({ phase }) => steps.push(phase) });
    expectEqual(model.info.backend, "webgpu", "backend");
    expect(steps.includes("gpu") && steps.includes("load"), `progress: ${steps}`);
    const { digest: asked, ...plain } = GREEDY;
    const cases = [
      [PROMPT, RAW, ["--raw", "--temp", "0"]],
      [PROMPT, { ...plain, raw: true }, ["--raw", "--temp", "0"]],
      [PROMPT, { ...DRAWN, raw: true }, ["--raw", ...DRAWN_FLAGS]],
      [PROMPT, { ...DRAWN, raw: true, digest: false }, ["--raw", ...DRAWN_FLAGS]],
      [PROMPT, { ...DRAWN, raw: true, repeatPenalty: 1.3 }, ["--raw", ...DRAWN_FLAGS, "--repeat-penalty", "1.3"]],
      [[{ role: "user", content: PROMPT }], GREEDY, ["--chat", "--temp", "0"]],
    ];
    for (const [input, how, flags] of cases) {
      const hosted = lbmRun(tiny, ...flags);
      const answer = await collect(model.generate(input, how));
      expectEqual(answer.ids.join(), hosted.output_ids.join(), `tokens, ${flags}`);
      expectEqual(answer.text, hosted.text, `text, ${flags}`);
      if (how.digest) expectEqual(answer.digest, hosted.digest, `digest, ${flags}`);
    }
    expect(asked, "a digest was asked for");
    await model.free();
  });
  await run("MVP-12: a model on the GPU has the hash of its file, and its records say where it ran", async () => {
    const [there, here] = [await open(), await createModel(tiny, { ...settings, backend: "wasm" })];
    expectEqual(there.info.modelHash, here.info.modelHash, "hash of the weights");
    const { record } = await collect(there.generate(PROMPT, RAW));
    expectEqual(checkRecord(record).join(), "", "problems");
    expectEqual(`${record.backend} ${record.numerics}`, "webgpu G", "backend and class of numerics");
    const again = await replay(here, record);
    expect(again.equal && again.differs.join() === "backend", JSON.stringify(again));
    await Promise.all([there.free(), here.free()]);
  });
  await run("MVP-15: a backend that drifts is a first divergence, no error", async () => {
    const drifting = await open({ noise: 3 });
    const { record } = await collect(drifting.generate(PROMPT, RAW));
    expect(record.output.join() !== expected.output_ids.join(), "it drifts");
    const here = await createModel(tiny, { ...settings, backend: "wasm" });
    const again = await replay(here, record);
    expect(!again.equal, "a difference");
    const { at, expected: was, actual } = again.firstDivergence;
    expect(record.output[at] === was && was !== actual && at === again.nEqual, JSON.stringify(again.firstDivergence));
    await Promise.all([drifting.free(), here.free()]);
  });
  await run("MVP-2: where the GPU refuses, the same answer is made by WebAssembly, with the reason", async () => {
    const events = [];
    const model = await open({ refuse: "this GPU has no arithmetic" }, { onEvent: (event) => events.push(event) });
    expectEqual(model.info.backend, "wasm", "backend");
    expect(model.info.reasons.some((reason) => reason.includes("no arithmetic")), `reasons: ${model.info.reasons}`);
    expect(events.some(({ type, reasons }) => type === "load" && reasons.join().includes("no arithmetic")),
      "the event");
    expectEqual((await collect(model.generate(PROMPT, RAW))).digest, expected.digest, "digest");
    await model.free();
    const demanded = { ...settings, backend: "webgpu" };
    await expectRejection(open({ refuse: "no arithmetic" }, demanded), isLbmError("webgpu", /no arithmetic/), "refused");
    await expectRejection(createModel(tiny, demanded), isLbmError("webgpu", /no WebGPU/), "no GPU");
    const broken = new URL("lib_support_that_is_not_there.mjs", import.meta.url);
    const other = await createModel(tiny, { ...settings, gpuBackend: broken });
    expectEqual(other.info.backend, "wasm", "backend, where its code is missing");
    await other.free();
  });
  await run("a source that can be read once is enough for the GPU, and for what comes after a refusal", async () => {
    const { openAsBlob } = process.getBuiltinModule("node:fs");
    for (const query of [{}, { refuse: "no" }]) {
      const blob = await openAsBlob(tiny);
      const source = { size: blob.size, chunks: blob.stream() };
      const model = await createModel(source, { ...settings, gpuBackend: fake(query) });
      expectEqual((await collect(model.generate(PROMPT, RAW))).digest, expected.digest, "digest");
      await model.free();
    }
  });
  await run("B-2: nothing is evaluated after the step in which an answer was stopped", async () => {
    const name = `gate of ${worker ? "a worker" : "this thread"}`;
    const gate = new BroadcastChannel(name);
    const abort = new AbortController();
    let nAsked = 0;
    gate.onmessage = ({ data }) => {
      if (data !== "asked") return;
      ++nAsked;
      gate.postMessage("go");
    };
    try {
      const model = await open({ gate: name });
      const answer = model.generate(PROMPT, { ...RAW, maxTokens: 0, ignoreEnd: true, signal: abort.signal });
      let nBefore = 0;
      await expectRejection((async () => {
        for await (const { id } of answer) {
          if (id === null || nAsked < 5 || abort.signal.aborted) continue;
          nBefore = nAsked; // at most one more has been asked for, and not told yet
          abort.abort();
        }
      })(), isAbort, "the answer");
      const record = await answer.record;
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(nAsked <= nBefore + 2, `${nAsked - nBefore} evaluations after the stop`);
      expect(record.n_out <= nBefore + 2, `${record.n_out} tokens of ${nBefore} evaluations`);
      await model.free();
    } finally {
      gate.close();
    }
  });
  await run("B-2, B-5: an answer on the GPU can be stopped, and the next one is whole", async () => {
    const model = await open();
    const abort = new AbortController();
    let n = 0;
    await expectRejection((async () => {
      for await (const { id } of model.generate(PROMPT, { ...RAW, signal: abort.signal })) {
        if (id !== null && ++n === 3) abort.abort();
      }
    })(), isAbort, "the answer");
    expectEqual((await collect(model.generate(PROMPT, RAW))).digest, expected.digest, "digest");
    await model.free();
  });
  await run("a GPU that is lost is an error of its own, and the next answer is made by WebAssembly", async () => {
    const events = [];
    const model = await open({ loseAfter: 5 }, { onEvent: (event) => events.push(event) });
    const answer = model.generate(PROMPT, { ...RAW, maxTokens: N_OUTPUT });
    const ids = [];
    await expectRejection((async () => {
      for await (const { id } of answer) if (id !== null) ids.push(id);
    })(), isLbmError("gpu-lost"), "the answer");
    const record = await answer.record;
    expectEqual(record.stop, "error", "reason to stop");
    expectEqual(record.output.join(), expected.output_ids.slice(0, record.n_out).join(), "tokens so far");
    expect(record.n_out >= ids.length && events.some(({ type }) => type === "gpu-lost"), "the event");
    const next = await collect(model.generate(PROMPT, RAW));
    expectEqual(next.digest, expected.digest, "digest of the next answer");
    expectEqual(`${next.record.backend} ${next.record.notes.length}`, "wasm 1", "the record says so");
    expect(/lost/.test(next.record.notes[0]) && /lost/.test(model.info.reasons[0]), `notes: ${next.record.notes}`);
    await model.free();
  });
}

// What a worker has in the making when it ends is lost, and said to be.
async function checkWorkerThatEnds() {
  const settings = { worker: true, modules, nCtx: N_CTX, threads: 1 };
  const model = await createModel(tiny, { ...settings, gpuBackend: fake({ endAfter: 4 }) });
  const answer = model.generate(PROMPT, RAW);
  await answer.next();
  const rest = (async () => {
    for await (const token of answer) expect(token, "a token on its way");
  })();
  await expectRejection(rest, isLbmError("worker", /worker is gone.*exit code 3/), "the answer");
  await expectRejection(answer.record, isLbmError("worker"), "its record");
  for (const ask of [() => model.encode("a"), () => model.load(tiny), () => model.reset(),
    () => model.generate("a").next()]) {
    await expectRejection(ask(), isLbmError("worker"), String(ask));
  }
  await model.free();
  const again = await createModel(tiny, settings);
  expectEqual((await collect(again.generate(PROMPT, RAW))).digest, lbmRun(tiny, "--raw", "--temp", "0").digest,
    "digest of a new model");
  await again.free();
}

if (!tiny) {
  console.log("skipped: no golden data and no model");
} else {
  for (const worker of [false, true]) await checkBackend(worker);
  await report.runAsync("a worker that ends rejects what is pending, with the reason; a new model is as good as any",
    checkWorkerThatEnds);
}
await report.runAsync("MVP-33: without a GPU there is a sentence that says so", async () => {
  const found = await gpuCapabilities();
  expect(!found.available && /WebGPU/.test(found.notes[0]), JSON.stringify(found));
  const missing = await gpuCapabilities({ gpuBackend: new URL("none.mjs", import.meta.url) });
  expect(!missing.available && /can not be loaded/.test(missing.notes[0]), JSON.stringify(missing));
});
report.finish();
