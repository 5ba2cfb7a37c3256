// Threads of the JavaScript API: as many as were asked for, the same bits with any number, and one where
// there can not be more.
//
//   lib_threads_test.mjs --lbm BUILD/lbm --modules BUILD/web [--golden DIR] [--model FILE]

import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { createModel } from "../../web/lib/lbm.mjs";
import { autoThreads } from "../../web/lib/threads.mjs";
import {
  DRAWN, DRAWN_FLAGS, GREEDY, N_CTX, PROMPT, collect, expect, expectEqual, lbmRun, modules, options, tiny,
} from "./lib_support.mjs";
import { TestReport } from "./module.mjs";

const report = new TestReport();
const CASES = [[{ ...GREEDY, raw: true }, ["--raw", "--temp", "0"]], [{ ...DRAWN, raw: true }, ["--raw",
  ...DRAWN_FLAGS]]];

report.run("\"auto\" is at most 8 threads, and leaves one to the page where there are more than 4", () => {
  const pairs = [[1, 1], [2, 2], [4, 4], [5, 4], [8, 7], [9, 8], [64, 8]];
  for (const [nHardware, n] of pairs) expectEqual(autoThreads(nHardware), n, `of ${nHardware}`);
});

async function checkDigests(path, worker, threads) {
  const model = await createModel(path, { worker, threads, modules, nCtx: N_CTX });
  const { n_thread: nThread } = await model.diagnostics();
  expectEqual(nThread, threads, "threads");
  expectEqual(model.info.module.includes("-mt"), threads > 1, "shared memory");
  for (const [settings, flags] of CASES) {
    const answer = await collect(model.generate(PROMPT, settings));
    expectEqual(answer.digest, lbmRun(path, ...flags).digest, `digest, ${flags}`);
  }
  await model.free();
}

async function checkOneThread(what, given, words) {
  const model = await createModel(tiny, { worker: false, threads: 2, modules, nCtx: N_CTX, ...given });
  expectEqual((await model.diagnostics()).n_thread, 1, `threads, ${what}`);
  expect(words.test(model.info.notes.join()), `${what}: a note: ${model.info.notes}`);
  const answer = await collect(model.generate(PROMPT, { ...GREEDY, raw: true }));
  expectEqual(answer.digest, lbmRun(tiny, "--raw", "--temp", "0").digest, `digest, ${what}`);
  await model.free();
}

if (!tiny) {
  console.log("skipped: no golden data and no model");
} else {
  const paths = new Set([tiny, ...(options.model ? [options.model] : [])]);
  for (const path of paths) {
    for (const worker of [false, true]) {
      for (const threads of [1, 2]) {
        const where = `${basename(path)}, ${worker ? "worker" : "in-thread"}, ${threads} threads`;
        await report.runAsync(`${where}: digests are those of lbm run`, () => checkDigests(path, worker, threads));
      }
    }
  }
  await report.runAsync("threads beyond the first work: 3 of them", () => checkDigests(tiny, true, 3));

  await report.runAsync("one thread, with a note, where the module for threads is missing", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lbm-modules-"));
    for (const name of ["lbm.wasm", "lbm-relaxed.wasm"]) copyFileSync(fileURLToPath(new URL(name, modules)),
      join(folder, name));
    try {
      await checkOneThread("no -mt module", { modules: pathToFileURL(folder) }, /One thread/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
  await report.runAsync("one thread, with a note, where the module has no shared memory", () =>
    checkOneThread("a module of one's own", { module: new URL("lbm.wasm", modules) }, /no shared memory/));
  await report.runAsync("an engine that refuses a memory of 4 GiB gets along with less", async () => {
    const { Memory } = WebAssembly;
    const asked = [];
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor) {
        asked.push(descriptor.maximum);
        if (descriptor.maximum > 32768) throw new RangeError("could not allocate memory");
        super(descriptor);
      }
    };
    try {
      const model = await createModel(tiny, { worker: false, threads: 2, modules, nCtx: N_CTX });
      const answer = await collect(model.generate(PROMPT, { ...GREEDY, raw: true }));
      expectEqual(answer.digest, lbmRun(tiny, "--raw", "--temp", "0").digest, "digest");
      expect(asked.includes(65535) && asked.includes(32768), `asked for ${asked}`);
      await model.free();
    } finally {
      WebAssembly.Memory = Memory;
    }
  });
  await report.runAsync("one thread, with a note, where workers do not start", async () => {
    const threadsOfNode = process.getBuiltinModule("node:worker_threads");
    const { Worker } = threadsOfNode;
    threadsOfNode.Worker = class {
      constructor() {
        throw new Error("no more workers");
      }
    };
    try {
      await checkOneThread("no workers", {}, /1 of 2 threads did not start: no more workers/);
      const events = [];
      const model = await createModel(tiny, { modules, nCtx: N_CTX, onEvent: (event) => events.push(event) });
      expect(events.some(({ type, reason }) => type === "worker" && /no more workers/.test(reason)),
        "the event that says so");
      expect((await model.encode("one")).length > 0, "the model works on this thread");
      await model.free();
      const refusal = await createModel(tiny, { modules, worker: true }).catch((error) => error);
      expectEqual(refusal.kind, "worker", "kind of the error where a worker was demanded");
    } finally {
      threadsOfNode.Worker = Worker;
    }
  });
}
report.finish();
