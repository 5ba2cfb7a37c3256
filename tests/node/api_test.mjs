// The functions that pages call (web/api.cpp) and the API over them (web/lbm.mjs): answers are those
// of lbm, and an error changes nothing.
//
//   api_test.mjs --lbm BUILD/lbm --module FILE.wasm [--golden DIR] [--model FILE]
//
// The model of the tests is a tiny golden one; --model adds the digests of another. Cases whose name
// begins with "smoke" are the list of the ABI that no error may break.

import { execFileSync } from "node:child_process";
import { existsSync, openAsBlob, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { LbmModule, STEP_END, STEP_PROMPT, packParams } from "../../web/lib/lbm_module.mjs";
import { LbmError, capabilities, createModel, loadTokenizer } from "../../web/lib/lbm.mjs";
import { TestReport } from "./module.mjs";

const { values: options } = parseArgs({
  options: Object.fromEntries(["lbm", "module", "golden", "model"].map((name) => [name, { type: "string" }])),
});

const N_CTX = 128;
const N_OUTPUT = 16;
const PROMPT = "one two three one two three one two";
const INVALID_ARGUMENT = 21; // ErrorCode
const BAD_VALUE = 16;
const OUT_OF_MEMORY = 22;
const MAX_BUFFER = 128 * 1024 * 1024;

const report = new TestReport();
const wasm = new WebAssembly.Module(readFileSync(options.module));

function expect(condition, what) {
  if (!condition) throw new Error(what);
}
function expectEqual(actual, expected, what) {
  expect(actual === expected, `${what}: ${actual} instead of ${expected}`);
}
function expectError(f, code, what) {
  try {
    f();
  } catch (error) {
    expect(error instanceof LbmError, `${what}: ${error.stack}`);
    expect(error.message.length > 0, `${what}: an error without words`);
    if (code !== undefined) expectEqual(error.code, code, `${what} (${error.message})`);
    return;
  }
  throw new Error(`${what}: no error`);
}
async function expectRejection(promise, test, what) {
  const error = await promise.then(() => null, (reason) => reason);
  expect(error !== null && test(error), `${what}: ${error}`);
}

function lbmRun(path, ...more) {
  const command = ["run", "-m", path, "-c", String(N_CTX), "-p", PROMPT, "-n", String(N_OUTPUT), "--json", ...more];
  return JSON.parse(execFileSync(options.lbm, command, { stdio: ["ignore", "pipe", "ignore"] }));
}

function loadFile(module, path) {
  const file = readFileSync(path);
  module.beginLoad(file.length);
  for (let at = 0; at < file.length; at += 100_000) module.writeLoad(file.subarray(at, at + 100_000));
  module.commitLoad({ nCtx: N_CTX });
}
// Steps until the answer ends.
function answerBySteps(module, begin) {
  begin();
  const ids = [];
  let nPromptStep = 0;
  for (let id = module.step(); id !== STEP_END; id = module.step()) {
    if (id === STEP_PROMPT) ++nPromptStep;
    else ids.push(id);
  }
  const { answer } = module.diagnostics();
  return { ids, nPromptStep, text: new TextDecoder().decode(module.textFrom(0)), ...answer };
}
async function collect(answer) {
  const tokens = [];
  for (;;) {
    const { done, value } = await answer.next();
    if (done) return { ids: tokens.map(({ id }) => id).filter((id) => id !== null),
                       text: tokens.map(({ text }) => text).join(""), ...value };
    tokens.push(value);
  }
}

const GREEDY = { temperature: 0, maxTokens: N_OUTPUT, digest: true };
const DRAWN = { temperature: 1.5, topK: 50, topP: 0.9, minP: 0, seed: 12345678901n, maxTokens: N_OUTPUT, digest: true };
const DRAWN_FLAGS = ["--temp", "1.5", "--top-k", "50", "--top-p", "0.9", "--min-p", "0", "--seed", "12345678901"];

// What must go on working after every error.
function expectStillWorks(module, expected) {
  const answer = answerBySteps(module, () => module.beginRaw(PROMPT, GREEDY));
  expectEqual(answer.ids.join(), expected.output_ids.join(), "tokens after the error");
  expectEqual(answer.digest, expected.digest, "digest after the error");
}

function compareWithLbm(name, path) {
  const module = new LbmModule(wasm);
  loadFile(module, path);
  const cases = [
    ["raw, greedy", () => module.beginRaw(PROMPT, { ...GREEDY, parseSpecial: true }), ["--raw", "--temp", "0"]],
    ["raw, greedy, guessing", () => module.beginRaw(PROMPT, { ...GREEDY, speculate: true }), ["--raw", "--temp", "0"]],
    ["raw, drawn", () => module.beginRaw(PROMPT, DRAWN), ["--raw", ...DRAWN_FLAGS]],
    ["chat, greedy", () => module.beginChat(module.setMessages([{ role: "user", content: PROMPT }]), GREEDY),
      ["--chat", "--temp", "0"]],
  ];
  for (const [what, begin, flags] of cases) {
    report.run(`${name}: an answer in steps is that of lbm run: ${what}`, () => {
      const expected = lbmRun(path, ...flags);
      const answer = answerBySteps(module, begin);
      expectEqual(answer.ids.join(), expected.output_ids.join(), "tokens");
      expectEqual(answer.text, expected.text, "text");
      expectEqual(answer.stop, expected.stop_reason, "reason to stop");
      expectEqual(answer.digest, expected.digest, "digest");
    });
  }
}

// ---- without a model ------------------------------------------------------------------------------

report.run("capabilities() tells what this engine has", () => {
  const found = capabilities();
  expect(found.simd && found.sharedMemory && found.module.endsWith(".wasm"), JSON.stringify(found));
});

report.run("smoke: a buffer is known by its address and its capacity", () => {
  const { exports } = new LbmModule(wasm);
  expectEqual(exports.lbm_buffer_new(0), 0, "0 bytes");
  expectEqual(exports.lbm_buffer_new(MAX_BUFFER + 1), 0, "one byte more than 128 MiB");
  const at = exports.lbm_buffer_new(1000);
  expect(at !== 0, "a buffer");
  expectEqual(exports.lbm_buffer_free(at, 999), INVALID_ARGUMENT, "another capacity");
  expectEqual(exports.lbm_buffer_free(at + 1, 1000), INVALID_ARGUMENT, "another address");
  expectEqual(exports.lbm_buffer_free(0, 1000), INVALID_ARGUMENT, "address 0");
  expectEqual(exports.lbm_buffer_free(at, 1000), 0, "the buffer");
  expectEqual(exports.lbm_buffer_free(at, 1000), INVALID_ARGUMENT, "the same once more");
});

report.run("smoke: without a model everything is refused", () => {
  const module = new LbmModule(wasm);
  expectError(() => module.beginRaw(PROMPT, GREEDY), INVALID_ARGUMENT, "raw");
  expectError(() => module.setMessages([{ role: "user", content: PROMPT }]), INVALID_ARGUMENT, "chat");
  expectError(() => module.step(), INVALID_ARGUMENT, "step");
  expectError(() => module.reset(), INVALID_ARGUMENT, "reset");
  expectError(() => module.encode("a"), INVALID_ARGUMENT, "encode");
  expectError(() => module.decode([1]), INVALID_ARGUMENT, "decode");
  expectEqual(module.diagnostics().model, null, "the model");
});

// ---- with one -------------------------------------------------------------------------------------

const tiny = options.golden && join(options.golden, "llama-Q4_1.gguf");
if (!tiny || !existsSync(tiny)) {
  console.log("skipped: no golden data");
} else {
  compareWithLbm("llama-Q4_1.gguf", tiny);
  const expected = lbmRun(tiny, "--raw", "--temp", "0");
  const module = new LbmModule(wasm);
  loadFile(module, tiny);
  const exports = module.exports;
  const params = packParams(GREEDY);
  const begin = (at, n, paramsAt) => exports.lbm_raw_begin(at, n, paramsAt);

  report.run("smoke: text that is not UTF-8", () => {
    module.withBytes(params, (paramsAt) =>
      module.withBytes(new Uint8Array([0x61, 0xff, 0x62]), (at, n) => {
        expectEqual(begin(at, n, paramsAt), BAD_VALUE, "a prompt");
        expectEqual(exports.lbm_chat_begin(at, n, paramsAt), BAD_VALUE, "a question");
        expectEqual(exports.lbm_chat_system(at, n), BAD_VALUE, "a system prompt");
      }));
    expectStillWorks(module, expected);
  });
  report.run("smoke: address 0, and addresses outside of buffers", () => {
    module.withBytes(params, (paramsAt) =>
      module.withBytes(new Uint8Array(10), (at) => {
        expectEqual(begin(0, 10, paramsAt), INVALID_ARGUMENT, "a prompt at 0");
        expectEqual(begin(0, 0, paramsAt), INVALID_ARGUMENT, "no prompt at 0");
        expectEqual(begin(at, 10, 0), INVALID_ARGUMENT, "settings at 0");
        expectEqual(begin(64, 10, paramsAt), INVALID_ARGUMENT, "a prompt in the module's own data");
        expectEqual(exports.lbm_load_write(0, 1), INVALID_ARGUMENT, "a chunk at 0");
      }));
    expectStillWorks(module, expected);
  });
  report.run("smoke: lengths beyond a buffer", () => {
    module.withBytes(params, (paramsAt) =>
      module.withBytes(new Uint8Array(10).fill(0x61), (at) => {
        expectEqual(begin(at, 11, paramsAt), INVALID_ARGUMENT, "one more");
        expectEqual(begin(at, 0xffffffff, paramsAt), INVALID_ARGUMENT, "all of memory");
        expectEqual(begin(at + 5, 6, paramsAt), INVALID_ARGUMENT, "from the middle");
        expectEqual(begin(at, 10, paramsAt + 4), INVALID_ARGUMENT, "settings that end outside");
      }));
    expectStillWorks(module, expected);
  });
  report.run("smoke: settings out of range", () => {
    const nVocab = module.diagnostics().model.n_vocab;
    const wrong = [
      { temperature: NaN }, { temperature: -0.5 }, { temperature: Infinity }, { topP: 0 }, { topP: 1.5 }, { topP: NaN },
      { topK: nVocab + 1 }, { minP: -1 }, { minP: NaN }, { repeatPenalty: 0 }, { repeatPenalty: NaN },
      { repeatLastN: 100000 }, { noRepeatNgram: 1000 },
    ];
    for (const setting of wrong) {
      expectError(() => module.beginRaw(PROMPT, setting), BAD_VALUE, JSON.stringify(setting));
      expectStillWorks(module, expected);
    }
  });
  report.run("a prompt longer than the context", () => {
    expectError(() => module.beginRaw("word ".repeat(N_CTX * 2), GREEDY), undefined, "too long");
    expectStillWorks(module, expected);
  });
  report.run("a broken file leaves the model that is loaded", () => {
    const file = readFileSync(tiny);
    for (const broken of [new Uint8Array(100), file.subarray(0, 20000)]) {
      module.beginLoad(broken.length);
      module.writeLoad(broken);
      expectError(() => module.commitLoad(), undefined, "a broken file");
      expectEqual(module.diagnostics().gave_up_model, false, "gave_up_model");
      expectStillWorks(module, expected);
    }
    module.beginLoad(file.length);
    module.writeLoad(file.subarray(0, 1000));
    expectError(() => module.commitLoad(), undefined, "a part of a file");
    expectError(() => module.writeLoad(file), undefined, "more than was said");
    module.abortLoad();
    expectStillWorks(module, expected);
  });
  report.run("a file that does not fit beside the model is refused, unless the model may go", () => {
    const other = new LbmModule(wasm);
    loadFile(other, tiny);
    expectError(() => other.beginLoad(0xfff00000), OUT_OF_MEMORY, "a file of 4 GiB");
    expectStillWorks(other, expected);
    expectError(() => other.beginLoad(0xfff00000, { replace: true }), OUT_OF_MEMORY, "the same, instead");
    expectEqual(other.diagnostics().gave_up_model, true, "gave_up_model");
    loadFile(other, tiny);
    expectStillWorks(other, expected);
  });
  report.run("another model takes the place of the first", () => {
    for (let i = 0; i < 3; ++i) loadFile(module, tiny);
    expectStillWorks(module, expected);
    expectEqual(module.diagnostics().n_buffer, 0, "buffers that were not given back");
  });
  report.run("an answer that is cancelled ends, and the next one is whole", () => {
    module.beginRaw(PROMPT, GREEDY);
    expectError(() => module.beginRaw(PROMPT, GREEDY), INVALID_ARGUMENT, "a second answer");
    expectError(() => module.setMessages([{ role: "user", content: "a" }]), INVALID_ARGUMENT, "a conversation");
    while (module.step() === STEP_PROMPT);
    module.cancel();
    expectEqual(module.step(), STEP_END, "a step");
    expectEqual(module.diagnostics().answer.stop, "interrupted", "reason to stop");
    expectStillWorks(module, expected);
    module.reset();
    expectEqual(module.diagnostics().model.n_past, 0, "tokens after a reset");
    expectStillWorks(module, expected);
  });
  report.run("a long prompt comes in pieces", () => {
    const prompt = "one two three ".repeat(10);
    const answer = answerBySteps(module, () => module.beginRaw(prompt, { ...GREEDY, maxTokens: 1 }));
    expect(answer.n_prompt > 32 && answer.nPromptStep > 1, `${answer.n_prompt} tokens in ${answer.nPromptStep} steps`);
  });
  report.run("turns that were had before come again as they were", () => {
    const question = { role: "user", content: PROMPT };
    const first = answerBySteps(module, () => module.beginChat(module.setMessages([question]), GREEDY));
    const messages = [question, { role: "assistant", content: first.text }, { role: "user", content: "four" }];
    module.reset();
    const again = answerBySteps(module, () =>
      module.beginChat(module.setMessages(messages), { ...GREEDY, maxTokens: 2 }));
    expect(again.n_prompt > first.n_prompt, "the prompt has the turn before");
    expectError(() => module.setMessages([{ role: "assistant", content: "a" }]), 0, "an answer to nothing");
    expectError(() => module.setMessages([]), 0, "no message");
  });
  report.run("smoke: after free() everything is refused, and another model can come", () => {
    module.beginRaw(PROMPT, GREEDY);
    module.freeModel();
    expectError(() => module.beginRaw(PROMPT, GREEDY), INVALID_ARGUMENT, "an answer");
    expectError(() => module.step(), INVALID_ARGUMENT, "a step");
    module.freeModel();
    loadFile(module, tiny);
    expectStillWorks(module, expected);
  });

  // ---- lbm.mjs: awaited here, judged in the cases -----------------------------------------------
  const model = await createModel(await openAsBlob(tiny), { module: wasm, nCtx: N_CTX });
  const whole = await collect(model.generate(PROMPT, { ...GREEDY, raw: true }));
  report.run("generate() gives the answer of lbm run, token by token", () => {
    expectEqual(whole.ids.join(), expected.output_ids.join(), "tokens");
    expectEqual(whole.text, expected.text, "text");
    expectEqual(whole.digest, expected.digest, "digest");
  });
  const abort = new AbortController();
  let nBefore = 0;
  await expectRejection((async () => {
    for await (const { id } of model.generate(PROMPT, { ...GREEDY, raw: true, signal: abort.signal })) {
      expect(id !== null, "a token");
      if (++nBefore === 3) abort.abort();
    }
  })(), (error) => error.name === "AbortError", "an aborted answer");
  for await (const { id } of model.generate(PROMPT, { ...GREEDY, raw: true })) if (id !== null) break;
  const after = await collect(model.generate(PROMPT, { ...GREEDY, raw: true }));
  report.run("generate() ends when it is aborted, or left", () => {
    expectEqual(nBefore, 3, "tokens before the end");
    expectEqual(after.digest, expected.digest, "digest of the next answer");
  });
  await expectRejection(model.load(new Uint8Array(1000)), (error) => error instanceof LbmError, "a broken file");
  const kept = await collect(model.generate(PROMPT, { ...GREEDY, raw: true }));
  await expectRejection(createModel(readFileSync(tiny), { module: wasm, signal: AbortSignal.abort() }),
    (error) => error.name === "AbortError", "an aborted load");
  report.run("load() that fails leaves the model", () => expectEqual(kept.digest, expected.digest, "digest"));

  const tokenizer = await loadTokenizer(readFileSync(tiny), { module: wasm });
  report.run("encode() and decode(), one by one and in batches", () => {
    const ids = tokenizer.encode(PROMPT, { addSpecial: true, parseSpecial: true });
    expectEqual(ids.join(), expected.prompt_ids.join(), "ids");
    expectEqual(tokenizer.decode(tokenizer.encode(PROMPT)), PROMPT, "text");
    const texts = ["one two", "", "three"];
    expectEqual(JSON.stringify(tokenizer.decode(tokenizer.encode(texts))), JSON.stringify(texts), "texts");
    expectError(() => tokenizer.decode([-1]), 0, "an id below 0");
  });
  model.free();
  report.run("free() leaves nothing to ask", () => expectError(() => model.encode("a"), INVALID_ARGUMENT, "encode"));
}
if (options.model) compareWithLbm("the default model", options.model);
report.finish();
