// The list that no error may break, and what the functions of a module promise (web/api.cpp), as cases
// that run wherever there is JavaScript: api_test.mjs runs them in Node, tests/web in a browser.
//
//   for (const { name, run } of abiSmokeCases({ lib, wasm, modelBytes })) run();
//
// `lib`: what web/lib/lbm_module.mjs exports. `wasm`: a WebAssembly.Module for one thread. `modelBytes`:
// a small GGUF file. run() throws what is wrong; cases are independent, and in order.

const INVALID_ARGUMENT = 21; // ErrorCode
const TRUNCATED = 1;
const BAD_MAGIC = 2;
const LIMIT = 5;
const BAD_VALUE = 16;
const NUMERIC = 17;
const OUT_OF_MEMORY = 22;
const MISSING = 14;
const MAX_BUFFER = 128 * 1024 * 1024;
const N_CTX = 128;
const N_OUTPUT = 16;

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
class Elsewhere {
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

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

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

  // ---- smoke: errors ------------------------------------------------------------------------------

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

  // ---- loads --------------------------------------------------------------------------------------

  add("a file in chunks of any size is the same model, and is never kept", () => {
    const { expected } = loaded();
    let sha256 = null;
    for (const chunk of [1, 7, 4096, 65_537, modelBytes.length]) {
      const module = new LbmModule(wasm);
      loadBytes(module, modelBytes, { hash: true }, chunk);
      const answer = answerBySteps(lib, module, () => module.beginRaw(PROMPT, GREEDY));
      expectEqual(answer.digest, expected.digest, `digest with chunks of ${chunk}`);
      const { load, model, n_buffer: nBuffer } = module.diagnostics();
      expectEqual(load.n_byte, modelBytes.length, "bytes that came");
      expect(load.n_kept <= 65536 + 64 && load.n_kept < modelBytes.length, `${load.n_kept} bytes were kept`);
      expectEqual(nBuffer, 0, "buffers that were not given back");
      expectEqual(model.sha256, (sha256 ??= model.sha256), `hash with chunks of ${chunk}`);
      expect(!/^0*$/.test(model.sha256), "a hash");
    }
  });

  add("a file that is wrong is refused at the chunk that shows it, and the model stays", () => {
    const { module } = loaded();
    const write = (bytes, size, chunk) => {
      module.beginLoad(size);
      for (let at = 0; at < bytes.length; at += chunk) module.writeLoad(bytes.subarray(at, at + chunk));
    };
    const zip = new Uint8Array(1000);
    zip.set([0x50, 0x4b, 3, 4]);
    expectError(() => write(zip.subarray(0, 40), 1e9, 40), undefined, "a zip archive, by its first bytes");
    expectError(() => module.writeLoad(zip), INVALID_ARGUMENT, "more of a file that was refused");
    const version = new Uint8Array(modelBytes.subarray(0, 100)); // a copy
    version[4] = 9;
    expectError(() => write(version, 1e9, 100), undefined, "a version that nobody knows, by 100 bytes of 1 GB");
    expectError(() => write(modelBytes, 100_000, 100), TRUNCATED, "tensors beyond the end");
    write(modelBytes, modelBytes.length, 100_000);
    expectError(() => module.writeLoad(zip), LIMIT, "more bytes than the load began with");
    write(modelBytes.subarray(0, 60_000), modelBytes.length, 1000);
    expectError(() => module.commitLoad(), TRUNCATED, "a part of a file");
    module.abortLoad();
    expectError(() => module.beginLoad(2 ** 33), OUT_OF_MEMORY, "8 GiB");
    expectEqual(module.diagnostics().gave_up_model, false, "gave_up_model");
    stillWorks(module);
  });

  add("the model goes on answering while another one comes", () => {
    const { module } = loaded();
    module.beginLoad(modelBytes.length, { nCtx: N_CTX });
    module.writeLoad(modelBytes.subarray(0, 300_000));
    stillWorks(module);
    module.writeLoad(modelBytes.subarray(300_000));
    module.beginRaw(PROMPT, GREEDY);
    expectError(() => module.commitLoad(), INVALID_ARGUMENT, "a commit under an answer");
    module.cancel();
    module.commitLoad();
    stillWorks(module);
  });

  add("a model that does not fit beside the loaded one needs the leave to take its place", () => {
    const module = new LbmModule(wasm);
    loadBytes(module, modelBytes);
    // What is left is enough for a chunk and the tables of a second model, and not for all of it.
    const spare = module.exports.lbm_allocate(9 * 2 ** 20) >>> 0;
    const large = [];
    for (let size = 2 ** 31; size >= 2 ** 20; size /= 2) {
      for (let at; (at = module.exports.lbm_allocate(size) >>> 0) !== 0; ) large.push([at, size]);
    }
    module.exports.lbm_release(spare, 9 * 2 ** 20);
    expectError(() => loadBytes(module, modelBytes), OUT_OF_MEMORY, "a second model");
    expect(module.message().includes("give that one up"), module.message());
    stillWorks(module);
    expectEqual(module.diagnostics().gave_up_model, false, "gave_up_model");
    loadBytes(module, modelBytes, { replace: true });
    stillWorks(module);
    large.forEach(([at, size]) => module.exports.lbm_release(at, size));
    loadBytes(module, modelBytes);
    stillWorks(module);
  });

  add("tensors of a bad scale are refused, with their name", () => {
    const { module } = loaded();
    const elsewhere = new LbmModule(wasm);
    elsewhere.beginLoad(modelBytes.length, { describeOnly: true });
    elsewhere.writeLoad(modelBytes);
    elsewhere.commitLoad();
    const quantized = elsewhere.description().tensors.find(({ role, dtype }) => role === "layers.1.wv" && dtype.startsWith("Q"));
    if (quantized === undefined) return;
    const bad = new Uint8Array(modelBytes);
    bad.set([0xff, 0x7f], quantized.offset); // a NaN of 16 bits, where a block has its scale
    try {
      loadBytes(module, bad, {}, 777);
    } catch (error) {
      expectEqual(error.code, NUMERIC, error.message);
      expect(error.message.includes(quantized.name), error.message);
      module.abortLoad();
      return stillWorks(module);
    }
    throw new Error("no error");
  });

  add("a tokenizer needs no model", () => {
    // The same file with an architecture that nobody has.
    const bytes = new Uint8Array(modelBytes);
    const key = "general.architecture";
    const text = (at, n) => new TextDecoder().decode(bytes.subarray(at, at + n));
    let at = 24;
    while (text(at, key.length) !== key) ++at;
    bytes[at + key.length + 12] = "x".charCodeAt(0); // behind the type and the length of the value
    const module = new LbmModule(wasm);
    const options = { describeOnly: true, tokenizerOnly: true };
    expectError(() => loadBytes(module, bytes), undefined, "the model");
    loadBytes(module, bytes, options);
    expectEqual(module.encode(PROMPT).join(), loaded().module.encode(PROMPT).join(), "ids");
    expectEqual(module.decode(module.encode(PROMPT)), PROMPT, "text");
    expectError(() => module.beginRaw(PROMPT, GREEDY), undefined, "an answer");
    expectError(() => module.description(), undefined, "a description");
    loadBytes(module, modelBytes);
    stillWorks(module);
  });

  add("G-1: a thousand files with changed bytes are refused or loaded, and nothing breaks", () => {
    const { module } = loaded();
    const other = new LbmModule(wasm);
    let state = 12345;
    const draw = (n) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % n;
    let nRefused = 0;
    for (let i = 0; i < 1000; ++i) {
      // Most of them in the header: 14 KiB of the 570.
      const bytes = new Uint8Array(modelBytes);
      for (let n = 1 + draw(3); n > 0; --n) bytes[draw(4) === 0 ? draw(bytes.length) : draw(14_000)] = draw(256);
      const size = draw(8) === 0 ? draw(bytes.length) + 1 : bytes.length;
      try {
        loadBytes(other, bytes.subarray(0, size), {}, 1 + draw(100_000));
      } catch (error) {
        expect(error.name === "LbmError" && error.message.length > 0, `file ${i}: ${error.stack}`);
        other.abortLoad();
        ++nRefused;
      }
    }
    expect(nRefused > 100, `${nRefused} were refused`);
    loadBytes(other, modelBytes);
    stillWorks(other);
    stillWorks(module);
  });

  // ---- evaluation elsewhere -----------------------------------------------------------------------

  add("a model without weights answers as one with them, by logits from elsewhere", () => {
    const elsewhere = new Elsewhere(lib, wasm, modelBytes);
    expect(elsewhere.nWritten < modelBytes.length / 2, `${elsewhere.nWritten} bytes of the file were needed`);
    const { external, weight_bytes: nWeightByte } = elsewhere.module.diagnostics().model;
    expect(external && nWeightByte === 0, "no weights");
    const { module } = loaded();
    const chat = (to) => to.beginChat(to.setMessages([
      { role: "user", content: "one" }, { role: "assistant", content: "two" }, { role: "user", content: PROMPT },
    ]), { ...DRAWN, seed: 7n });
    const settings = [
      GREEDY, DRAWN, { ...GREEDY, repeatPenalty: 1.3 }, { ...DRAWN, noRepeatNgram: 2 }, { ...DRAWN, topK: 0 },
      { ...GREEDY, digest: false }, { ...DRAWN, digest: false }, { ...DRAWN, digest: false, repeatPenalty: 1.2 },
      { ...GREEDY, speculate: true },
    ];
    const begins = [...settings.map((setting) => (to) => to.beginRaw(PROMPT, setting)), chat];
    begins.forEach((begin, i) => {
      module.reset();
      elsewhere.module.reset();
      const expected = answerBySteps(lib, module, () => begin(module));
      const answer = elsewhere.answer(begin);
      for (const what of ["text", "stop", "digest"]) expectEqual(answer[what], expected[what], `${what} of case ${i}`);
      expectEqual(answer.ids.join(), expected.ids.join(), `tokens of case ${i}`);
    });
    expect(elsewhere.seen.includes(0) && elsewhere.seen.includes(1) && elsewhere.seen.includes(50),
      `wanted: ${[...new Set(elsewhere.seen)]}`);
  });

  add("what is given from elsewhere is checked", () => {
    const { module, ...elsewhere } = new Elsewhere(lib, wasm, modelBytes);
    const settings = { ...GREEDY, digest: false };
    const { exports } = module;
    expectEqual(exports.lbm_eval_done(), INVALID_ARGUMENT, "nothing was asked for");
    module.beginRaw(PROMPT, settings);
    expectEqual(module.step(), lib.STEP_EVALUATE, "a step");
    expectEqual(module.step(), lib.STEP_EVALUATE, "the same step");
    const { tokens, nPast, topK } = module.evaluation();
    expect(tokens.length > 1 && nPast === 0 && topK === 1, `${tokens.length} tokens after ${nPast}, top ${topK}`);
    expectEqual(exports.lbm_eval_candidates(0), 0, "no candidates");
    expectEqual(exports.lbm_eval_candidates(100_000), 0, "more candidates than there is room for");
    const give = (ids, logits) => () => module.giveEvaluation({ ids, logits });
    expectError(give([elsewhere.nVocab], [1]), INVALID_ARGUMENT, "a candidate beyond the vocabulary");
    expectError(give([3, 3], [1, 1]), INVALID_ARGUMENT, "a candidate twice");
    expectError(give([3], [NaN]), NUMERIC, "a logit that is no number");
    expectError(give([3], [Infinity]), NUMERIC, "a logit without end");
    expectError(() => module.giveEvaluation({ logits: new Float32Array(3) }), 0, "three logits");
    module.giveEvaluation({ ids: [3, 5], logits: [1, 2] });
    expectEqual(module.step(), lib.STEP_PROMPT, "the prompt");
    expectEqual(module.step(), 5, "the best candidate");
    module.cancel();
    expectEqual(module.diagnostics().answer.stop, "interrupted", "reason to stop");
    module.beginRaw(PROMPT, GREEDY);
    expectEqual(module.step(), lib.STEP_EVALUATE, "a step");
    expectEqual(exports.lbm_eval_candidates(8), 0, "candidates where a digest needs all logits");
    module.giveEvaluation({ logits: new Float32Array(elsewhere.nVocab).fill(NaN) });
    expectEqual(module.step(), lib.STEP_PROMPT, "the prompt");
    expectError(() => module.step(), NUMERIC, "logits that are no numbers");
    // A model with weights asks for nothing.
    expectEqual(loaded().module.exports.lbm_eval_logits(), 0, "room for logits");
  });

  add("a description has each tensor once, within the file", () => {
    const { module } = loaded();
    const { tensors, ...model } = module.description();
    expectEqual(model.n_vocab, module.diagnostics().model.n_vocab, "n_vocab");
    expectEqual(model.layers.length, model.n_layer, "layers");
    expectEqual(new Set(tensors.map(({ role }) => role)).size, tensors.length, "roles");
    let end = 0;
    for (const { role, offset, bytes } of tensors) {
      expect(offset >= end && offset + bytes <= modelBytes.length, `${role}: ${offset} + ${bytes} after ${end}`);
      end = offset + bytes;
    }
    for (const role of ["embedding", "output_norm.weight", "layers.0.wq", "layers.0.ffn.down", "layers.1.wo"]) {
      expect(tensors.some((tensor) => tensor.role === role), role);
    }
  });

  // ---- tokens and tools -----------------------------------------------------------------------------

  add("MVP-8: a batch is encoded and decoded as its texts one by one, in one call", () => {
    const { module } = loaded();
    const texts = ["one two", "", "three \u{1F600} four", "one", ""];
    const ids = module.encodeAll(texts, { addSpecial: true });
    texts.forEach((text, i) => expectEqual(ids[i].join(), module.encode(text, { addSpecial: true }).join(), text));
    const plain = module.encodeAll(texts);
    expectEqual(JSON.stringify(module.decodeAll(plain)), JSON.stringify(plain.map((one) => module.decode(one))), "texts");
    expectEqual(module.encodeAll([]).length, 0, "no texts");
    const words = new Uint8Array(new Uint32Array([5, 3]).buffer);
    module.withBytes(words, (ends) => module.withBytes(new Uint8Array(8), (text) => module.withBuffer(400, (out) => {
      const code = module.exports.lbm_encode_batch(text, 8, ends, 2, 0, out, 100);
      expectEqual(code, -100 - INVALID_ARGUMENT, "ends that do not ascend");
    })));
    stillWorks(module);
  });

  add("MVP-11: a shuffle is a function of its seed, by the generator of the core", () => {
    const module = new LbmModule(wasm);
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    const order = module.shuffle(numbers, 42n).join();
    expectEqual(module.shuffle(numbers, 42n).join(), order, "the same seed");
    expect(module.shuffle(numbers, 43n).join() !== order, "another seed");
    expect(module.shuffle(numbers, 42n + (1n << 32n)).join() !== order, "a seed of more than 32 bits");
    expectEqual([...module.shuffle(numbers, 1n)].sort((a, b) => a - b).join(), numbers.join(), "the numbers");
    expectEqual(module.shuffle([], 1n).length, 0, "no numbers");
    // Each number comes first about as often as any other: 600 shuffles of 6.
    const first = new Array(6).fill(0);
    for (let seed = 0; seed < 600; ++seed) ++first[module.shuffle([0, 1, 2, 3, 4, 5], BigInt(seed))[0]];
    expect(first.every((n) => n > 60 && n < 140), first.join());
  });

  add("SHA-256 of several things at once, in pieces", () => {
    const module = new LbmModule(wasm);
    const text = (s) => new TextEncoder().encode(s);
    const a = module.sha256();
    const b = module.sha256();
    a.update(text("a"));
    b.update(text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"));
    a.update(text("bc"));
    // FIPS 180-4, the examples of one and of two blocks.
    expectEqual(hex(a.digest()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc");
    expectEqual(hex(b.digest()), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", "two blocks");
    expectError(() => a.digest(), INVALID_ARGUMENT, "a hash that has ended");
    expectError(() => a.update(text("x")), INVALID_ARGUMENT, "more of it");
    const open = Array.from({ length: 8 }, () => module.sha256());
    expectError(() => module.sha256(), LIMIT, "a ninth");
    open.forEach((hash) => hash.digest());
    module.sha256().digest();
  });

  return cases;
}

export const ERROR_CODES = { INVALID_ARGUMENT, BAD_MAGIC, BAD_VALUE, OUT_OF_MEMORY, MISSING };
