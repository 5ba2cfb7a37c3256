// The JavaScript API in Chromium: the answers of lbm, from every module, with and without cross-
// origin isolation, under the content security policy of the page.

import { basename } from "node:path";

import { Browser } from "./browser.mjs";
import { WebReport, expect, expectEqual, expectUnblocked } from "./report.mjs";
import { hostedAnswer, hostedIds, readOptions, servePage, tinyModel } from "./setup.mjs";

const QUESTION = "What is the capital of France?";
const WORDS = "one two three one two three one two";
const N_CTX = 256;

const options = readOptions();
const report = new WebReport({ deadlineMs: 120_000 });
const tiny = tinyModel(options);
const server = await servePage(options, { files: { "/tiny.gguf": tiny, ...(options.model ? { "/model.gguf": options.model } : {}) } });

// [module, threads]: every module that is built, with one thread and two.
const VARIANTS = [["lbm.wasm", 1], ["lbm-relaxed.wasm", 1], ["lbm-mt.wasm", 1], ["lbm-mt.wasm", 2],
                  ["lbm-relaxed-mt.wasm", 1], ["lbm-relaxed-mt.wasm", 2]];
const GREEDY = { temperature: 0, digest: true };
const DRAWN = { temperature: 1.3, topK: 40, topP: 0.9, minP: 0, seed: 77, digest: true };

const [expectedWords, expectedDrawn, expectedChat] = await Promise.all([
  hostedAnswer(options, tiny, WORDS, ["--raw", "-c", N_CTX, "-n", 16, "--temp", 0]),
  hostedAnswer(options, tiny, WORDS, ["--raw", "-c", N_CTX, "-n", 16, "--temp", 1.3, "--top-k", 40, "--top-p", 0.9,
                                      "--min-p", 0, "--seed", 77]),
  options.model && hostedAnswer(options, options.model, QUESTION, ["--chat", "-c", N_CTX, "-n", 40, "--temp", 0]),
]);

function expectAnswer(actual, expected, what) {
  expectEqual(actual.ids.join(), expected.output_ids.join(), `${what}: tokens`);
  expectEqual(actual.text, expected.text, `${what}: text`);
  expectEqual(actual.digest ?? actual.record?.digest, expected.digest, `${what}: digest`);
}

const call = (page, name, argument) =>
  page.evaluate(async ([name, argument]) => (await import("/tests/web/client.mjs"))[name](argument), [name, argument]);

async function withPage(isolated, test) {
  server.setIsolated(isolated);
  const browser = await Browser.launch();
  try {
    const page = await browser.open(server.url("/blank.html"));
    await test(page, browser);
    await report.run(`${isolated ? "isolated" : "not isolated"}: no error on the console`, async () =>
      expectEqual(browser.problems.join("\n"), "", "console"));
  } finally {
    await browser.close();
  }
}

const raw = { raw: true, parseSpecial: true, maxTokens: 16 };
const wordInputs = [[WORDS, { ...GREEDY, ...raw }], [WORDS, { ...DRAWN, ...raw }]];

await withPage(true, async (page, browser) => {
  await report.run("MVP-33: capabilities() in an isolated page", async () => {
    const found = await call(page, "whatThereIs");
    expectEqual(found.crossOriginIsolated, true, "crossOriginIsolated");
    expectEqual(found.relaxedSimd, true, "relaxed SIMD");
    expectEqual(found.sharedMemory, true, "shared memory");
  });
  for (const [module, threads] of VARIANTS) {
    const load = { module: server.url(`/${module}`), threads, nCtx: N_CTX, backend: "wasm" };
    await report.run(`MVP-30, G-1, B-1: ${module}, ${threads} threads: answers are those of lbm`, async () => {
      const workers = [];
      page.on("worker", (worker) => workers.push(worker.url()));
      const { answers, diagnostics } = await call(page, "answerAll", { source: server.url("/tiny.gguf"), load, inputs: wordInputs });
      expect(workers.some((url) => url.endsWith("/lib/worker.mjs")), `a worker runs the model: ${workers}`);
      expectAnswer(answers[0], expectedWords, "greedy");
      expectAnswer(answers[1], expectedDrawn, "drawn");
      expectEqual(diagnostics.n_thread, threads, "threads that work");
    });
  }
  await report.run("MVP-2: what the engine has is chosen without being asked", async () => {
    const { answers } = await call(page, "answerAll", { source: server.url("/tiny.gguf"), load: { nCtx: N_CTX }, inputs: wordInputs });
    expectAnswer(answers[0], expectedWords, "greedy");
  });
  await report.run("MVP-6, MVP-9: the tokenizer alone, in WebAssembly, has the ids of lbm", async () => {
    const model = options.model ?? tiny;
    const texts = ["one two", "", "Zürich, 東京 and 🦜", "  spaces\n\tand tabs  ", "x".repeat(300)];
    const found = await call(page, "encodeAll", { source: server.url(options.model ? "/model.gguf" : "/tiny.gguf"), texts });
    expectEqual(found.ids, hostedIds(options, model, texts), "ids");
    expectEqual(found.texts, texts, "texts of the ids");
    expect(/^[0-9a-f]{64}$/.test(found.version), `its version is a SHA-256: ${found.version}`);
  });
  await report.run("B-2, B-5: an abort ends the answer, and the next one is as a fresh one", async () => {
    // A model whose tokens take longer than a message, where there is one.
    const [source, input, more] = options.model ? ["/model.gguf", QUESTION, {}] : ["/tiny.gguf", WORDS, raw];
    const found = await call(page, "answerAborted", { source: server.url(source), load: { nCtx: N_CTX }, input, nTokens: 3,
                                                      settings: { ...DRAWN, ...more, maxTokens: 60, ignoreEnd: true } });
    expectEqual(found.error, "AbortError", "what the iterator throws");
    expectEqual(found.ids.length, 3, "tokens that came");
    report.note(`B-2: of 60 tokens ${found.nOutput} were made, 3 of them before the abort was sent`);
    expect(found.nOutput < 60, "the answer was made to its end");
    expectEqual(found.again.ids.length, 60, "tokens of the next answer");
    expectEqual(found.again.digest, found.fresh.digest, "digest of the next answer");
  });
  if (options.model) {
    for (const [module, threads] of VARIANTS) {
      const load = { module: server.url(`/${module}`), threads, nCtx: N_CTX, backend: "wasm" };
      await report.run(`G-2: ${basename(options.model)} in ${module}, ${threads} threads: the digest of lbm`, async () => {
        const inputs = [[QUESTION, { ...GREEDY, maxTokens: 40 }]];
        const { answers: [answer], loadMs } = await call(page, "answerAll", { source: server.url("/model.gguf"), load, inputs });
        expectAnswer(answer, expectedChat, "chat");
        expectUnblocked(report, `G-2: ${module}, ${threads} threads, loaded in ${Math.round(loadMs)} ms`, answer.gaps);
      });
    }
    report.note(`memory of the renderer after these loads: ${Math.round((await browser.residentBytes()) / 1e6)} MB`);
  } else {
    report.skip("the default model: none was given");
  }
});

await withPage(false, async (page) => {
  await report.run("MVP-2: without isolation there is one thread and the same answer", async () => {
    const { answers, capabilities } = await call(page, "answerAll",
      { source: server.url("/tiny.gguf"), load: { nCtx: N_CTX }, inputs: wordInputs });
    expectEqual(capabilities.crossOriginIsolated, false, "crossOriginIsolated");
    expect(capabilities.notes.some((note) => /isolated/.test(note)), `a note says so: ${capabilities.notes}`);
    expectAnswer(answers[0], expectedWords, "greedy");
    expectAnswer(answers[1], expectedDrawn, "drawn");
  });
});

await server.close();
report.finish();
