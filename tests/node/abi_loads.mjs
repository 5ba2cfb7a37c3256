// Cases of the ABI: model files that come in chunks, that are refused, and that do not fit.

import {
  CODES, GREEDY, N_CTX, PROMPT, answerBySteps, expect, expectEqual, expectError, loadBytes,
} from "./abi_support.mjs";

const { INVALID_ARGUMENT, LIMIT, NUMERIC, OUT_OF_MEMORY, TRUNCATED } = CODES;

export function addLoadCases({ lib, wasm, modelBytes, add, loaded, stillWorks }) {
  const { LbmModule } = lib;
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
    module.beginRaw(PROMPT, GREEDY);
    expectError(() => loadBytes(module, modelBytes, { replace: true }), OUT_OF_MEMORY, "under an answer");
    expect(/while an answer is made/.test(module.message()), module.message());
    module.cancel();
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
    const { tensors } = elsewhere.description();
    const quantized = tensors.find(({ role, dtype }) => role === "layers.1.wv" && dtype.startsWith("Q"));
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

  add("a load by the low level leaves nothing of what was there", () => {
    for (const isGood of [true, false]) {
      const module = new LbmModule(wasm);
      const { exports } = module;
      loadBytes(module, modelBytes);
      module.beginRaw(PROMPT, GREEDY);
      module.step();
      const code = module.withBytes(isGood ? modelBytes : modelBytes.subarray(0, 100), (at, n) =>
        exports.lbm_load(at, n, 0, N_CTX, 32, 0));
      expectEqual(code === 0, isGood, `the load (${module.message()})`);
      expectError(() => module.step(), INVALID_ARGUMENT, "a step of an answer whose model is gone");
      expectError(() => module.reset(), INVALID_ARGUMENT, "a conversation without a model of its own");
      expectEqual(module.diagnostics().answer, null, "an answer");
      loadBytes(module, modelBytes);
      stillWorks(module);
    }
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
}
