// The C functions of a module (web/api.cpp) with JavaScript's types: bytes, strings, exceptions.
//
// Everything here is synchronous, and one object owns one instance. Pages use lbm.mjs.

export const ABI_VERSION = 1;

const FIRST_PAGES = 2048; // of 64 KiB: more than the data of any module
const MAX_PAGES = 65535;
const CHUNK_BYTES = 4 * 1024 * 1024;
const PARAMS_BYTES = 48;
const FIRST_ERROR = -100; // lbm_step() and its like: minus an error code

export const KV_TYPES = ["f16", "f32", "q8_0"];
export const STEP_END = -1;
export const STEP_PROMPT = -2;

// An error of the module, with its code (core/base/error.h); the module is as it was before.
export class LbmError extends Error {
  constructor(message, code = 0) {
    super(message);
    this.name = "LbmError";
    this.code = code;
  }
}

const FLAGS = { digest: 1, ignoreEnd: 2, showSpecial: 4, speculate: 8, parseSpecial: 16 };

// Settings of an answer to the record that api.cpp reads. Numbers are not checked here.
export function packParams(settings = {}) {
  const record = new DataView(new ArrayBuffer(PARAMS_BYTES));
  const f32 = (at, name, otherwise) => record.setFloat32(at, settings[name] ?? otherwise, true);
  const u32 = (at, name, otherwise) => record.setUint32(at, toU32(settings[name] ?? otherwise, name), true);
  record.setUint32(0, PARAMS_BYTES, true);
  f32(4, "temperature", 0.8);
  u32(8, "topK", 40);
  f32(12, "topP", 0.95);
  f32(16, "minP", 0.05);
  f32(20, "repeatPenalty", 1);
  u32(24, "repeatLastN", 64);
  u32(28, "noRepeatNgram", 0);
  u32(32, "maxTokens", 0);
  let flags = 0;
  for (const [name, bit] of Object.entries(FLAGS)) flags |= settings[name] ? bit : 0;
  record.setUint32(36, flags, true);
  record.setBigUint64(40, BigInt.asUintN(64, BigInt(settings.seed ?? 0)), true);
  return new Uint8Array(record.buffer);
}

function toU32(value, name) {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new LbmError(`${name} must be a whole number from 0 to 4294967295, not ${value}`);
  }
  return value;
}

export class LbmModule {
  #memory;
  #text = new TextDecoder();

  // `module`: a WebAssembly.Module.
  constructor(module, { shared = false } = {}) {
    this.#memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MAX_PAGES, shared });
    this.exports = new WebAssembly.Instance(module, { env: { memory: this.#memory } }).exports;
    const version = this.exports.lbm_abi_version?.();
    if (version !== ABI_VERSION) {
      throw new LbmError(`this module has ABI version ${version ?? "none"}, and ${ABI_VERSION} is needed`);
    }
  }

  // The memory as bytes; a view that is good until the next call.
  bytes(at, size) {
    return new Uint8Array(this.#memory.buffer, at >>> 0, size);
  }
  string(at, size) {
    return size === 0 ? "" : this.#text.decode(this.bytes(at, size).slice());
  }
  message() {
    const at = this.exports.lbm_message() >>> 0;
    const bytes = new Uint8Array(this.#memory.buffer);
    return this.string(at, bytes.indexOf(0, at) - at);
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

  beginLoad(size, { replace = false } = {}) {
    this.check(this.exports.lbm_load_begin(toU32(size, "the size of a model file"), replace ? 1 : 0));
  }
  writeLoad(bytes) {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      this.withBytes(bytes.subarray(at, at + CHUNK_BYTES), (address, n) =>
        this.check(this.exports.lbm_load_write(address, n)));
    }
  }
  commitLoad({ nCtx = 0, nBatch = 0, kv = "f16", hash = false } = {}) {
    const kvType = KV_TYPES.indexOf(kv);
    if (kvType < 0) throw new LbmError(`kv is one of ${KV_TYPES.join(", ")}, not ${kv}`);
    this.check(this.exports.lbm_load_commit(toU32(nCtx, "nCtx"), toU32(nBatch, "nBatch"), kvType, hash ? 1 : 0));
  }
  abortLoad() {
    this.exports.lbm_load_abort();
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
  // A token's id, STEP_PROMPT or STEP_END.
  step() {
    return this.#checkedCount(this.exports.lbm_step());
  }
  cancel() {
    this.check(this.exports.lbm_cancel());
  }
  reset() {
    this.check(this.exports.lbm_reset());
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

  diagnostics() {
    const at = this.exports.lbm_diagnostics();
    return JSON.parse(this.string(at, this.exports.lbm_diagnostics_size()));
  }
}
