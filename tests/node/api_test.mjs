// The functions that pages call (web/api.cpp): answers are those of lbm, and an error changes nothing.
// The API over them has tests of its own (lib_test.mjs).
//
//   api_test.mjs --lbm BUILD/lbm --module FILE.wasm [--golden DIR] [--model FILE]
//
// The model of the tests is a tiny golden one; --model adds the digests of another. The list of the ABI
// that no error may break is abi_smoke.mjs, which browsers run, too.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import * as lib from "../../web/lib/lbm_module.mjs";
import { abiSmokeCases } from "./abi_smoke.mjs";
import {
  CODES, DRAWN, GREEDY, N_CTX, N_OUTPUT, PROMPT, answerBySteps, expect, expectEqual, expectError, loadBytes,
} from "./abi_support.mjs";
import { TestReport } from "./module.mjs";

const { values: options } = parseArgs({
  options: Object.fromEntries(["lbm", "module", "golden", "model"].map((name) => [name, { type: "string" }])),
});

const { LbmModule, STEP_END, STEP_PROMPT } = lib;
const { INVALID_ARGUMENT } = CODES;
const DRAWN_FLAGS = ["--temp", "1.5", "--top-k", "50", "--top-p", "0.9", "--min-p", "0", "--seed", "12345678901"];

const report = new TestReport();
const wasm = new WebAssembly.Module(readFileSync(options.module));

function lbmRun(path, ...more) {
  const command = ["run", "-m", path, "-c", String(N_CTX), "-p", PROMPT, "-n", String(N_OUTPUT), "--json", ...more];
  return JSON.parse(execFileSync(options.lbm, command, { stdio: ["ignore", "pipe", "ignore"] }));
}

// What must go on working after every error.
function expectStillWorks(module, expected) {
  const answer = answerBySteps(lib, module, () => module.beginRaw(PROMPT, GREEDY));
  expectEqual(answer.ids.join(), expected.output_ids.join(), "tokens");
  expectEqual(answer.digest, expected.digest, "digest");
}

function compareWithLbm(name, path) {
  const module = new LbmModule(wasm);
  loadBytes(module, readFileSync(path), { hash: true });
  report.run(`${name}: the hash of the file`, () => {
    const expected = createHash("sha256").update(readFileSync(path)).digest("hex");
    expectEqual(module.diagnostics().model.sha256, expected, "hash");
  });
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
      const answer = answerBySteps(lib, module, begin);
      expectEqual(answer.ids.join(), expected.output_ids.join(), "tokens");
      expectEqual(answer.text, expected.text, "text");
      expectEqual(answer.stop, expected.stop_reason, "reason to stop");
      expectEqual(answer.digest, expected.digest, "digest");
    });
  }
}

const tiny = options.golden && join(options.golden, "llama-Q4_1.gguf");
if (!tiny || !existsSync(tiny)) {
  console.log("skipped: no golden data");
} else {
  const bytes = readFileSync(tiny);
  for (const { name, run } of abiSmokeCases({ lib, wasm, modelBytes: bytes })) report.run(name, run);
  compareWithLbm("llama-Q4_1.gguf", tiny);
  const expected = lbmRun(tiny, "--raw", "--temp", "0");
  const module = new LbmModule(wasm);
  loadBytes(module, bytes);

  report.run("a prompt longer than the context", () => {
    expectError(() => module.beginRaw("word ".repeat(N_CTX * 2), GREEDY), undefined, "too long");
    expectStillWorks(module, expected);
  });
  report.run("a file of another format is kept whole, and is the same model", () => {
    const gguf = join(options.golden, "..", "models", "llama-mha.gguf");
    const folder = mkdtempSync(join(tmpdir(), "lbm-api-"));
    try {
      const slm = join(folder, "model.slm");
      execFileSync(options.lbm, ["convert", gguf, slm], { stdio: "ignore" });
      const other = new LbmModule(wasm);
      const digests = [gguf, slm].map((path) => {
        loadBytes(other, readFileSync(path), { hash: true }, 777);
        return answerBySteps(lib, other, () => other.beginRaw(PROMPT, GREEDY)).digest;
      });
      expectEqual(digests[1], digests[0], "digest");
      const { load, model } = other.diagnostics();
      expectEqual(load.n_kept, readFileSync(slm).length, "bytes that were kept");
      expectEqual(model.sha256, createHash("sha256").update(readFileSync(slm)).digest("hex"), "hash");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
  report.run("another model takes the place of the first", () => {
    for (let i = 0; i < 3; ++i) loadBytes(module, bytes);
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
    const answer = answerBySteps(lib, module, () => module.beginRaw(prompt, { ...GREEDY, maxTokens: 1 }));
    expect(answer.n_prompt > 32 && answer.nPromptStep > 1, `${answer.n_prompt} tokens in ${answer.nPromptStep} steps`);
  });
  report.run("turns that were had before come again as they were", () => {
    const question = { role: "user", content: PROMPT };
    const first = answerBySteps(lib, module, () => module.beginChat(module.setMessages([question]), GREEDY));
    const messages = [question, { role: "assistant", content: first.text }, { role: "user", content: "four" }];
    module.reset();
    const again = answerBySteps(lib, module, () =>
      module.beginChat(module.setMessages(messages), { ...GREEDY, maxTokens: 2 }));
    expect(again.n_prompt > first.n_prompt, "the prompt has the turn before");
    expectError(() => module.setMessages([{ role: "assistant", content: "a" }]), 0, "an answer to nothing");
    expectError(() => module.setMessages([]), 0, "no message");
  });
}
if (options.model) compareWithLbm("the default model", options.model);
report.finish();
