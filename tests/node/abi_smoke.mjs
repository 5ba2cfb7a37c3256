// The list that no error may break, and what the functions of a module promise (web/api.cpp), as cases
// that run wherever there is JavaScript: api_test.mjs runs them in Node, tests/web in a browser.
//
//   for (const { name, run } of abiSmokeCases({ lib, wasm, modelBytes })) run();
//
// `lib`: what web/lib/lbm_module.mjs exports. `wasm`: a WebAssembly.Module for one thread. `modelBytes`:
// a small GGUF file. run() throws what is wrong; cases are independent, and in order.

import { addEvaluationCases } from "./abi_evaluation.mjs";
import { addLoadCases } from "./abi_loads.mjs";
import {
  CODES, GREEDY, N_OUTPUT, PROMPT, answerBySteps, expect, expectEqual, expectError, loadBytes,
} from "./abi_support.mjs";
import { addTokenCases } from "./abi_tokens.mjs";

const { BAD_VALUE, INVALID_ARGUMENT } = CODES;
const MAX_BUFFER = 128 * 1024 * 1024;

export function abiSmokeCases({ lib, wasm, modelBytes }) {
  const { LbmModule, packParams } = lib;
  const cases = [];
  const add = (name, run) => cases.push({ name, run });

  // One module for the cases in which nothing may change it, and what it has to go on answering.
  let shared = null;
  const loaded = () => {
    if (shared === null) {
      const module = new LbmModule(wasm);
      loadBytes(module, modelBytes);
      shared = { module, expected: answerBySteps(lib, module, () => module.beginRaw(PROMPT, GREEDY)) };
      expectEqual(shared.expected.ids.length, N_OUTPUT, "tokens of the first answer");
    }
    return shared;
  };
  const stillWorks = (module) => {
    const answer = answerBySteps(lib, module, () => module.beginRaw(PROMPT, GREEDY));
    expectEqual(answer.ids.join(), loaded().expected.ids.join(), "tokens after the error");
    expectEqual(answer.digest, loaded().expected.digest, "digest after the error");
  };

  add("smoke: a buffer is known by its address and its capacity", () => {
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

  add("smoke: without a model everything is refused", () => {
    const module = new LbmModule(wasm);
    expectError(() => module.beginRaw(PROMPT, GREEDY), INVALID_ARGUMENT, "raw");
    expectError(() => module.setMessages([{ role: "user", content: PROMPT }]), INVALID_ARGUMENT, "chat");
    expectError(() => module.step(), INVALID_ARGUMENT, "step");
    expectError(() => module.reset(), INVALID_ARGUMENT, "reset");
    expectError(() => module.encode("a"), INVALID_ARGUMENT, "encode");
    expectError(() => module.decode([1]), INVALID_ARGUMENT, "decode");
    expectError(() => module.encodeAll(["a"]), INVALID_ARGUMENT, "encode a batch");
    expectError(() => module.decodeAll([[1]]), INVALID_ARGUMENT, "decode a batch");
    expectError(() => module.description(), INVALID_ARGUMENT, "a description");
    expectError(() => module.commitLoad(), INVALID_ARGUMENT, "a commit");
    expectError(() => module.writeLoad(new Uint8Array(1)), INVALID_ARGUMENT, "a chunk");
    expectEqual(module.exports.lbm_eval_done(), INVALID_ARGUMENT, "an evaluation");
    expectEqual(module.diagnostics().model, null, "the model");
  });

  add("smoke: text that is not UTF-8", () => {
    const { module } = loaded();
    const { exports } = module;
    module.withBytes(packParams(GREEDY), (params) =>
      module.withBytes(new Uint8Array([0x61, 0xff, 0x62]), (at, n) => {
        expectEqual(exports.lbm_raw_begin(at, n, params), BAD_VALUE, "a prompt");
        expectEqual(exports.lbm_chat_begin(at, n, params), BAD_VALUE, "a question");
        expectEqual(exports.lbm_chat_system(at, n), BAD_VALUE, "a system prompt");
        expectEqual(exports.lbm_chat_turn(at, 1, at, n), BAD_VALUE, "an answer from before");
        module.withBuffer(400, (out) =>
          expectEqual(exports.lbm_encode(at, n, 0, out, 100), -100 - BAD_VALUE, "a text to encode"));
      }));
    stillWorks(module);
  });

  add("smoke: address 0, and addresses outside of buffers", () => {
    const { module } = loaded();
    const { exports } = module;
    module.withBytes(packParams(GREEDY), (params) =>
      module.withBytes(new Uint8Array(40), (at) => {
        const begin = exports.lbm_raw_begin;
        expectEqual(begin(0, 10, params), INVALID_ARGUMENT, "a prompt at 0");
        expectEqual(begin(0, 0, params), INVALID_ARGUMENT, "no prompt at 0");
        expectEqual(begin(at, 10, 0), INVALID_ARGUMENT, "settings at 0");
        expectEqual(begin(64, 10, params), INVALID_ARGUMENT, "a prompt in the module's own data");
        expectEqual(exports.lbm_load_begin(1000, 0, 0), INVALID_ARGUMENT, "options of a load at 0");
        expectEqual(exports.lbm_load_write(0, 1), INVALID_ARGUMENT, "a chunk at 0");
        expectEqual(exports.lbm_shuffle(0, 3, 0, 0), INVALID_ARGUMENT, "numbers at 0");
        expectEqual(exports.lbm_shuffle(at + 2, 3, 0, 0), INVALID_ARGUMENT, "numbers at half a word");
        expectEqual(exports.lbm_encode_batch(at, 10, 0, 1, 0, at, 10), -100 - INVALID_ARGUMENT, "ends at 0");
      }));
    stillWorks(module);
  });

  add("smoke: lengths beyond a buffer", () => {
    const { module } = loaded();
    const { exports } = module;
    module.withBytes(packParams(GREEDY), (params) =>
      module.withBytes(new Uint8Array(10).fill(0x61), (at) => {
        expectEqual(exports.lbm_raw_begin(at, 11, params), INVALID_ARGUMENT, "one more");
        expectEqual(exports.lbm_raw_begin(at, 0xffffffff, params), INVALID_ARGUMENT, "all of memory");
        expectEqual(exports.lbm_raw_begin(at + 5, 6, params), INVALID_ARGUMENT, "from the middle");
        expectEqual(exports.lbm_raw_begin(at, 10, params + 4), INVALID_ARGUMENT, "settings that end outside");
        expectEqual(exports.lbm_load_begin(1000, 0, at), INVALID_ARGUMENT, "options that end outside");
      }));
    stillWorks(module);
  });

  add("smoke: settings out of range", () => {
    const { module } = loaded();
    const nVocab = module.diagnostics().model.n_vocab;
    const wrong = [
      { temperature: NaN }, { temperature: -0.5 }, { temperature: Infinity }, { topP: 0 }, { topP: 1.5 }, { topP: NaN },
      { topK: nVocab + 1 }, { minP: -1 }, { minP: NaN }, { repeatPenalty: 0 }, { repeatPenalty: NaN },
      { repeatLastN: 100000 }, { noRepeatNgram: 1000 },
    ];
    for (const setting of wrong) {
      expectError(() => module.beginRaw(PROMPT, setting), BAD_VALUE, JSON.stringify(setting));
      stillWorks(module);
    }
  });

  add("smoke: options of a load out of range", () => {
    const { module } = loaded();
    const params = (index, value) => {
      const words = new Uint32Array([32, 0, 0, 0, 0, 0, 0, 0]);
      words[index] = value;
      return new Uint8Array(words.buffer);
    };
    for (const [index, value] of [[0, 28], [2, 513], [3, 99], [4, 16], [4, 8], [5, 1], [7, 1]]) {
      module.withBytes(params(index, value), (at) =>
        expectEqual(module.exports.lbm_load_begin(1000, 0, at), INVALID_ARGUMENT, `word ${index} is ${value}`));
    }
    expectError(() => module.beginLoad(0), INVALID_ARGUMENT, "no bytes");
    expectError(() => loadBytes(module, modelBytes, { nCtx: 1e6 }), INVALID_ARGUMENT, "a context that no model has");
    stillWorks(module);
  });

  add("smoke: a step gives a token, and the end comes again", () => {
    const { module, expected } = loaded();
    module.beginRaw(PROMPT, GREEDY);
    let id;
    while ((id = module.step()) === lib.STEP_PROMPT);
    expectEqual(id, expected.ids[0], "the first token");
    for (let i = 1; i < N_OUTPUT; ++i) expectEqual(module.step(), expected.ids[i], `token ${i}`);
    expectEqual(module.step(), lib.STEP_END, "the end");
    expectEqual(module.step(), lib.STEP_END, "the end again");
  });

  add("smoke: after free() everything is refused, and another model can come", () => {
    const module = new LbmModule(wasm);
    loadBytes(module, modelBytes);
    module.beginRaw(PROMPT, GREEDY);
    module.freeModel();
    expectError(() => module.beginRaw(PROMPT, GREEDY), INVALID_ARGUMENT, "an answer");
    expectError(() => module.step(), INVALID_ARGUMENT, "a step");
    expectError(() => module.encode("a"), INVALID_ARGUMENT, "a text");
    module.freeModel();
    loadBytes(module, modelBytes);
    stillWorks(module);
  });

  const context = { lib, wasm, modelBytes, add, loaded, stillWorks };
  addLoadCases(context);
  addEvaluationCases(context);
  addTokenCases(context);
  return cases;
}
