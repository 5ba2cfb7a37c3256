// The C functions of a module (web/api.cpp) with JavaScript's types: bytes, strings, exceptions.
//
// Everything here is synchronous, and one object owns one instance. Pages use lbm.mjs.

export const ABI_VERSION = 2;

const FIRST_PAGES = 2048; // of 64 KiB: more than the data of any module
const MAX_PAGES = [65535, 32768, 16384]; // as much as the engine lets us have one day
const CHUNK_BYTES = 4 * 1024 * 1024;
const PARAMS_BYTES = 48;
const LOAD_PARAMS_BYTES = 32;
const LOAD_FLAGS = { replace: 1, hash: 2, describeOnly: 4, tokenizerOnly: 8 };
const MAX_BUFFER_BYTES = 128 * 1024 * 1024;
const FIRST_ERROR = -100; // lbm_step() and its like: minus an error code

export const KV_TYPES = ["f16", "f32", "q8_0"];
export const STEP_END = -1;
export const STEP_PROMPT = -2;
export const STEP_EVALUATE = -3; // of a model without weights: see evaluation()
const ALL_LOGITS = 0xffffffff;

// An error of the module, with its code (core/base/error.h); the module is as it was before. `kind` tells
// apart what JavaScript finds: see LbmError in lbm.d.ts.
export class LbmError extends Error {
  constructor(message, code = 0, kind = "") {
    super(message);
    this.name = "LbmError";
    this.code = code;
    this.kind = kind;
  }
}

const FLAGS = { digest: 1, ignoreEnd: 2, showSpecial: 4, speculate: 8, parseSpecial: 16 };

// What an answer is made with where the caller does not say otherwise; all that decides on its tokens.
export const ANSWER_DEFAULTS = Object.freeze({
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  repeatPenalty: 1,
  repeatLastN: 64,
  noRepeatNgram: 0,
  maxTokens: 0,
  ignoreEnd: false,
  parseSpecial: false,
});

// Settings of an answer to the record that api.cpp reads. Numbers are not checked here.
export function packParams(settings = {}) {
  const record = new DataView(new ArrayBuffer(PARAMS_BYTES));
  const value = (name) => settings[name] ?? ANSWER_DEFAULTS[name];
  const f32 = (at, name) => record.setFloat32(at, value(name), true);
  const u32 = (at, name) => record.setUint32(at, toU32(value(name), name), true);
  record.setUint32(0, PARAMS_BYTES, true);
  f32(4, "temperature");
  u32(8, "topK");
  f32(12, "topP");
  f32(16, "minP");
  f32(20, "repeatPenalty");
  u32(24, "repeatLastN");
  u32(28, "noRepeatNgram");
  u32(32, "maxTokens");
  let flags = 0;
  for (const [name, bit] of Object.entries(FLAGS)) flags |= settings[name] ? bit : 0;
  record.setUint32(36, flags, true);
  record.setBigUint64(40, BigInt.asUintN(64, BigInt(settings.seed ?? 0)), true);
  return new Uint8Array(record.buffer);
}

// Options of a load to the record that model_load.h reads.
function packLoadParams(options) {
  const { nCtx = 0, nBatch = 0, kv = "f16" } = options;
  const kvType = KV_TYPES.indexOf(kv);
  if (kvType < 0) throw new LbmError(`kv is one of ${KV_TYPES.join(", ")}, not ${kv}`);
  let flags = 0;
  for (const [name, bit] of Object.entries(LOAD_FLAGS)) flags |= options[name] ? bit : 0;
  const words = [LOAD_PARAMS_BYTES, toU32(nCtx, "nCtx"), toU32(nBatch, "nBatch"), kvType, flags];
  const record = new DataView(new ArrayBuffer(LOAD_PARAMS_BYTES));
  words.forEach((word, i) => record.setUint32(4 * i, word, true));
  return new Uint8Array(record.buffer);
}

function toU32(value, name) {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new LbmError(`${name} must be a whole number from 0 to 4294967295, not ${value}`);
  }
  return value;
}

// Some engines reserve a shared memory at once, and refuse 4 GiB.
function newMemory(shared) {
  for (const [i, maximum] of MAX_PAGES.entries()) {
    try {
      return new WebAssembly.Memory({ initial: FIRST_PAGES, maximum, shared });
    } catch (error) {
      if (!(error instanceof RangeError) || i + 1 === MAX_PAGES.length) throw error;
    }
  }
}

export class LbmModule {
  #memory;
  #chunk = 0; // a buffer of CHUNK_BYTES, while a file is loaded
  #text = new TextDecoder("utf-8", { ignoreBOM: true });

  // `module`: a WebAssembly.Module.
  constructor(module, { shared = false } = {}) {
    this.#memory = newMemory(shared);
    this.exports = new WebAssembly.Instance(module, { env: { memory: this.#memory } }).exports;
    const version = this.exports.lbm_abi_version?.();
    if (version !== ABI_VERSION) {
      throw new LbmError(`this module has ABI version ${version ?? "none"}, and ${ABI_VERSION} is needed`);
    }
  }

  get memory() {
    return this.#memory;
  }
  // The memory as bytes; a view that is good until the next call.
  bytes(at, size) {
    return new Uint8Array(this.#memory.buffer, at >>> 0, size);
  }
  string(at, size) {
    return size === 0 ? "" : this.#text.decode(this.bytes(at, size).slice());
  }
  #zeroEnded(at) {
    const bytes = new Uint8Array(this.#memory.buffer);
    return this.string(at, bytes.indexOf(0, at) - at);
  }
  message() {
    return this.#zeroEnded(this.exports.lbm_message() >>> 0);
  }
  // Of a module that has trapped; "" where that was no panic.
  panicMessage() {
    return this.#zeroEnded(this.exports.lbm_panic_message() >>> 0);
  }
  #fail() {
    throw new LbmError(this.message(), this.exports.lbm_error_code());
  }
  check(status) {
    if (status !== 0) this.#fail();
  }
  // Of a count or a token.
  #checkedCount(n) {
    if (n <= FIRST_ERROR) this.#fail();
    return n;
  }

  // f(address) with a buffer of so many bytes (at least 1), which is given back.
  withBuffer(size, f) {
    const capacity = Math.max(size, 1);
    const at = this.exports.lbm_buffer_new(capacity) >>> 0;
    if (at === 0) this.#fail();
    try {
      return f(at);
    } finally {
      this.exports.lbm_buffer_free(at, capacity);
    }
  }
  // f(address, size) with a copy of bytes.
  withBytes(bytes, f) {
    return this.withBuffer(bytes.length, (at) => {
      this.bytes(at, bytes.length).set(bytes);
      return f(at, bytes.length);
    });
  }
  withText(text, f) {
    return this.withBytes(new TextEncoder().encode(text), f);
  }

  // ---- models ----------------------------------------------------------------------------------

  // A file of `size` bytes will come. options: nCtx, nBatch, kv, replace, hash, describeOnly,
  // and with that tokenizerOnly.
  beginLoad(size, options = {}) {
    if (!Number.isSafeInteger(size) || size < 0) throw new LbmError(`the size of a model file is not ${size}`);
    this.#dropChunk();
    this.withBytes(packLoadParams(options), (at) =>
      this.check(this.exports.lbm_load_begin(size % 2 ** 32, Math.floor(size / 2 ** 32), at)));
  }
  // The next bytes of the file. True: commitLoad() has all it needs.
  writeLoad(bytes) {
    if (this.#chunk === 0) {
      this.#chunk = this.exports.lbm_buffer_new(CHUNK_BYTES) >>> 0;
      if (this.#chunk === 0) this.#fail();
    }
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const part = bytes.subarray(at, at + CHUNK_BYTES);
      this.bytes(this.#chunk, part.length).set(part);
      this.check(this.exports.lbm_load_write(this.#chunk, part.length));
    }
    return this.exports.lbm_load_ready() === 1;
  }
  commitLoad() {
    this.#dropChunk();
    this.check(this.exports.lbm_load_commit());
  }
  abortLoad() {
    this.#dropChunk();
    this.exports.lbm_load_abort();
  }
  #dropChunk() {
    if (this.#chunk !== 0) this.exports.lbm_buffer_free(this.#chunk, CHUNK_BYTES);
    this.#chunk = 0;
  }
  // What evaluating the loaded model elsewhere takes (web/model_description.h).
  description() {
    const at = this.exports.lbm_model_description() >>> 0;
    if (at === 0) this.#fail();
    return JSON.parse(this.string(at, this.exports.lbm_model_description_size()));
  }
  freeModel() {
    this.exports.lbm_model_free();
  }

  // ---- answers ---------------------------------------------------------------------------------

  // Makes `messages` the conversation: a system prompt, where there is one, and whole turns. Returns
  // the question that comes last.
  setMessages(messages) {
    this.check(this.exports.lbm_chat_clear());
    const rest = [...messages];
    if (rest[0]?.role === "system") {
      this.withText(rest.shift().content, (at, n) => this.check(this.exports.lbm_chat_system(at, n)));
    }
    rest.forEach(({ role }, i) => {
      const expected = i % 2 === 0 ? "user" : "assistant";
      if (role === expected) return;
      throw new LbmError(`message ${i} after the system prompt is of "${role}", not "${expected}"`);
    });
    if (rest.length % 2 === 0) throw new LbmError("the last message must be of the user");
    for (let i = 0; i + 1 < rest.length; i += 2) {
      this.withText(rest[i].content, (question, nQuestion) =>
        this.withText(rest[i + 1].content, (answer, nAnswer) =>
          this.check(this.exports.lbm_chat_turn(question, nQuestion, answer, nAnswer))));
    }
    return rest.at(-1).content;
  }
  #begin(begin, text, settings) {
    this.withBytes(packParams(settings), (params) =>
      this.withText(text, (at, n) => this.check(begin(at, n, params))));
  }
  beginChat(question, settings) {
    this.#begin(this.exports.lbm_chat_begin, question, settings);
  }
  beginRaw(prompt, settings) {
    this.#begin(this.exports.lbm_raw_begin, prompt, settings);
  }
  // A token's id, STEP_PROMPT, STEP_END or STEP_EVALUATE.
  step() {
    return this.#checkedCount(this.exports.lbm_step());
  }
  cancel() {
    this.check(this.exports.lbm_cancel());
  }
  reset() {
    this.check(this.exports.lbm_reset());
  }
  // After STEP_EVALUATE: the tokens to evaluate behind the first nPast of the context, and what of the
  // logits of the last is wanted: all where topK is 0, else the topK best (1 where none are).
  evaluation() {
    const wants = this.exports.lbm_eval_wants() >>> 0;
    const tokens = this.bytes(this.exports.lbm_eval_tokens(), this.exports.lbm_eval_size() * 4).slice();
    return {
      tokens: new Uint32Array(tokens.buffer),
      nPast: this.exports.lbm_eval_past(),
      topK: wants === ALL_LOGITS ? 0 : Math.max(wants, 1),
    };
  }
  // What came of it: { logits } of all tokens, or { ids, logits } of the best, the best first.
  giveEvaluation({ ids, logits }) {
    const wants = this.exports.lbm_eval_wants() >>> 0;
    if (wants !== 0 && ids !== undefined) {
      const at = this.exports.lbm_eval_candidates(ids.length) >>> 0;
      if (at === 0) this.#fail();
      new Uint32Array(this.#memory.buffer, at, ids.length).set(ids);
      new Float32Array(this.#memory.buffer, at + ids.length * 4, ids.length).set(logits);
    } else if (wants !== 0) {
      const nVocab = this.exports.lbm_n_vocab();
      if (logits.length !== nVocab) throw new LbmError(`${logits.length} logits, and the model has ${nVocab} tokens`);
      new Float32Array(this.#memory.buffer, this.exports.lbm_eval_logits() >>> 0, nVocab).set(logits);
    }
    this.check(this.exports.lbm_eval_done());
  }
  // The text of the answer from byte `from` on, as bytes: whole characters.
  textFrom(from) {
    return this.bytes(this.exports.lbm_text() + from, this.exports.lbm_text_size() - from).slice();
  }
  reasoningFrom(from) {
    return this.bytes(this.exports.lbm_reasoning() + from, this.exports.lbm_reasoning_size() - from).slice();
  }

  // ---- tokens ----------------------------------------------------------------------------------

  encode(text, { addSpecial = false, parseSpecial = false } = {}) {
    return this.withText(text, (at, n) => {
      const nMax = this.exports.lbm_max_ids(n) >>> 0;
      return this.withBuffer(nMax * 4, (out) => {
        const flags = (addSpecial ? 1 : 0) | (parseSpecial ? 2 : 0);
        const nId = this.#checkedCount(this.exports.lbm_encode(at, n, flags, out, nMax));
        return new Uint32Array(this.bytes(out, nId * 4).slice().buffer);
      });
    });
  }
  decode(ids, { showSpecial = false, atStart = true } = {}) {
    const words = Uint32Array.from(ids, (id) => toU32(id, "a token id"));
    return this.withBytes(new Uint8Array(words.buffer), (at) => {
      const room = words.length * this.exports.lbm_max_piece();
      return this.withBuffer(room, (out) => {
        const flags = (showSpecial ? 1 : 0) | (atStart ? 2 : 0);
        return this.string(out, this.#checkedCount(this.exports.lbm_decode(at, words.length, flags, out, room)));
      });
    });
  }

  // Texts to arrays of ids, in one call.
  encodeAll(texts, { addSpecial = false, parseSpecial = false } = {}) {
    const parts = texts.map((text) => new TextEncoder().encode(text));
    const nMax = parts.reduce((n, part) => n + (this.exports.lbm_max_ids(part.length) >>> 0), 0);
    if (nMax * 4 > MAX_BUFFER_BYTES) {
      return texts.map((text) => this.encode(text, { addSpecial, parseSpecial }));
    }
    const flags = (addSpecial ? 1 : 0) | (parseSpecial ? 2 : 0);
    return this.#batch(parts, Uint8Array, nMax * 4, (at, n, ends, nPart, out) =>
      this.exports.lbm_encode_batch(at, n, ends, nPart, flags, out, nMax), (out, from, to) =>
      new Uint32Array(this.bytes(out + 4 * from, 4 * (to - from)).slice().buffer));
  }
  decodeAll(batch, { showSpecial = false, atStart = true } = {}) {
    const parts = batch.map((ids) => Uint32Array.from(ids, (id) => toU32(id, "a token id")));
    const room = parts.reduce((n, part) => n + part.length, 0) * this.exports.lbm_max_piece();
    if (room > MAX_BUFFER_BYTES) return batch.map((ids) => this.decode(ids, { showSpecial, atStart }));
    const flags = (showSpecial ? 1 : 0) | (atStart ? 2 : 0);
    return this.#batch(parts, Uint32Array, room, (at, n, ends, nPart, out) =>
      this.exports.lbm_decode_batch(at, n, ends, nPart, flags, out, room), (out, from, to) =>
      this.string(out + from, to - from));
  }
  // call() with `parts` one after the other and their ends; read() of what it makes of each.
  #batch(parts, Type, room, call, read) {
    const ends = new Uint32Array(parts.length);
    const all = new Type(parts.reduce((n, part) => n + part.length, 0));
    let end = 0;
    parts.forEach((part, i) => {
      all.set(part, end);
      ends[i] = end += part.length;
    });
    return this.withBytes(new Uint8Array(all.buffer), (at) =>
      this.withBytes(new Uint8Array(ends.buffer), (endsAt) =>
        this.withBuffer(room, (out) => {
          this.#checkedCount(call(at, all.length, endsAt, parts.length, out));
          const newEnds = new Uint32Array(this.bytes(endsAt, parts.length * 4).slice().buffer);
          return Array.from(newEnds, (to, i) => read(out, i === 0 ? 0 : newEnds[i - 1], to));
        })));
  }
  // The numbers in another order, which is a function of the seed.
  shuffle(numbers, seed = 0) {
    const words = Uint32Array.from(numbers, (number) => toU32(number, "a number to shuffle"));
    const bits = BigInt.asUintN(64, BigInt(seed));
    return this.withBytes(new Uint8Array(words.buffer), (at) => {
      this.check(this.exports.lbm_shuffle(at, words.length, Number(bits & 0xffffffffn), Number(bits >> 32n)));
      return new Uint32Array(this.bytes(at, words.length * 4).slice().buffer);
    });
  }
  // SHA-256 of what comes in pieces: { update(bytes), digest() }, and digest() ends it.
  sha256() {
    const number = this.#checkedCount(this.exports.lbm_sha256_new());
    return {
      update: (bytes) => {
        for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
          this.withBytes(bytes.subarray(at, at + CHUNK_BYTES), (address, n) =>
            this.check(this.exports.lbm_sha256_update(number, address, n)));
        }
      },
      digest: () => this.withBuffer(32, (out) => {
        this.check(this.exports.lbm_sha256_finish(number, out));
        return this.bytes(out, 32).slice();
      }),
    };
  }

  diagnostics() {
    const at = this.exports.lbm_diagnostics();
    return JSON.parse(this.string(at, this.exports.lbm_diagnostics_size()));
  }
}
