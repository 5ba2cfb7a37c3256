// What the cases of the ABI share (abi_smoke.mjs): expectations, loads, answers in steps, and a model
// that is evaluated elsewhere.

// Numbers of ErrorCode (core/base/error.h).
export const CODES = {
  TRUNCATED: 1,
  LIMIT: 5,
  BAD_VALUE: 16,
  NUMERIC: 17,
  INVALID_ARGUMENT: 21,
  OUT_OF_MEMORY: 22,
};
export const N_CTX = 128;
export const N_OUTPUT = 16;

export const PROMPT = "one two three one two three one two";
export const GREEDY = { temperature: 0, maxTokens: N_OUTPUT, digest: true };
export const DRAWN = {
  temperature: 1.5, topK: 50, topP: 0.9, minP: 0, seed: 12345678901n, maxTokens: N_OUTPUT, digest: true };

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}
export function expectEqual(actual, expected, what) {
  expect(actual === expected, `${what}: ${actual} instead of ${expected}`);
}
// f() must fail with an error of the module, and this code.
export function expectError(f, code, what) {
  try {
    f();
  } catch (error) {
    expect(error.name === "LbmError", `${what}: ${error.stack}`);
    expect(error.message.length > 0, `${what}: an error without words`);
    if (code !== undefined) expectEqual(error.code, code, `${what} (${error.message})`);
    return;
  }
  throw new Error(`${what}: no error`);
}

// The file in chunks of one size, without what was kept of it.
export function loadBytes(module, bytes, options = {}, chunk = 100_000) {
  module.beginLoad(bytes.length, { nCtx: N_CTX, ...options });
  for (let at = 0; at < bytes.length; at += chunk) module.writeLoad(bytes.subarray(at, at + chunk));
  module.commitLoad();
}

// Steps until the answer ends. evaluate(): what is done where the module asks for it.
export function answerBySteps(lib, module, begin, evaluate) {
  begin();
  const ids = [];
  let nPromptStep = 0;
  for (let id = module.step(); id !== lib.STEP_END; id = module.step()) {
    if (id === lib.STEP_PROMPT) ++nPromptStep;
    else if (id === lib.STEP_EVALUATE) evaluate(module.evaluation());
    else ids.push(id);
  }
  const { answer } = module.diagnostics();
  return { ids, nPromptStep, text: new TextDecoder().decode(module.textFrom(0)), ...answer };
}

// A model without weights whose tokens another instance evaluates.
export class Elsewhere {
  constructor(lib, wasm, bytes) {
    this.lib = lib;
    this.evaluator = new lib.LbmModule(wasm);
    loadBytes(this.evaluator, bytes);
    this.module = new lib.LbmModule(wasm);
    this.module.beginLoad(bytes.length, { nCtx: N_CTX, describeOnly: true });
    this.nWritten = 0;
    while (!this.module.writeLoad(bytes.subarray(this.nWritten, this.nWritten + 1000))) this.nWritten += 1000;
    this.module.commitLoad();
    this.nVocab = this.module.diagnostics().model.n_vocab;
    this.seen = []; // what was wanted
  }
  logits({ tokens, nPast }) {
    const { exports } = this.evaluator;
    return this.evaluator.withBytes(new Uint8Array(tokens.buffer), (at) => {
      this.evaluator.check(exports.lbm_evaluate(nPast, at, tokens.length));
      return new Float32Array(this.evaluator.bytes(exports.lbm_logits(), this.nVocab * 4).slice().buffer);
    });
  }
  best(logits, k) {
    const ids = Uint32Array.from(logits, (_, id) => id).sort((a, b) => logits[b] - logits[a] || a - b).slice(0, k);
    return { ids, logits: Float32Array.from(ids, (id) => logits[id]) };
  }
  answer(begin, { candidates = true } = {}) {
    return answerBySteps(this.lib, this.module, () => begin(this.module), (wanted) => {
      this.seen.push(wanted.topK);
      const logits = this.logits(wanted);
      this.module.giveEvaluation(candidates && wanted.topK !== 0 ? this.best(logits, wanted.topK) : { logits });
    });
  }
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
