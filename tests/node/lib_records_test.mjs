// Records of runs and what they are for: naming a run, checking it, making it again; and manifests.
//
//   lib_records_test.mjs --lbm BUILD/lbm --modules BUILD/web [--golden DIR] [--model FILE]

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

import { canonicalJson, checkRecord, createModel, loadTokenizer, replay } from "../../web/lib/lbm.mjs";
import { GgufMetadata } from "../../web/lib/gguf_metadata.mjs";
import { beginRecord, endRecord } from "../../web/lib/records.mjs";
import { Sha256, sha256Hex } from "../../web/lib/sha256.mjs";
import {
  DRAWN, GREEDY, N_CTX, PROMPT, collect, expect, expectEqual, expectRejection, isLbmError, modules, otherTiny, tiny,
} from "./lib_support.mjs";
import { TestReport } from "./module.mjs";

const report = new TestReport();
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const isHash = (text) => /^[0-9a-f]{64}$/.test(text);

report.run("SHA-256 in pieces is that of OpenSSL", () => {
  for (const n of [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000, 100000]) {
    const bytes = randomBytes(n);
    expectEqual(sha256Hex(bytes), sha256(bytes), `${n} bytes`);
    const pieces = new Sha256();
    for (let at = 0; at < n; at += 37) pieces.update(bytes.subarray(at, at + 37));
    expectEqual(pieces.hex(), sha256(bytes), `${n} bytes in pieces`);
  }
});

report.run("canonical JSON: sorted keys, no space, integers alone", () => {
  expectEqual(canonicalJson({ b: [1, "x\n", null, true], a: { d: -2, c: "" } }),
    '{"a":{"c":"","d":-2},"b":[1,"x\\n",null,true]}', "text");
  for (const wrong of [0.5, NaN, 2 ** 53, undefined, 1n, () => 0, new Map()]) {
    try {
      canonicalJson({ wrong });
    } catch (error) {
      expect(isLbmError()(error), error.stack);
      continue;
    }
    throw new Error(`${String(wrong)} is in a record`);
  }
});

const FACTS = {
  abiVersion: 1, kernels: "k", kernelHash: "k", modelHash: "m", tokenizerHash: "t", configHash: "c",
  kv: "f16", nCtx: 64, backend: "wasm",
};
const headOf = (facts, settings = {}, input = { kind: "raw", text: "a" }) =>
  beginRecord({ ...FACTS, ...facts }, input, settings);

report.run("MVP-12, MVP-13: the run id covers configuration, weights, tokenizer, input, seed and settings", () => {
  const { run_id: id } = headOf({});
  expectEqual(headOf({}).run_id, id, "the same run");
  expect(/^[0-9a-f]{32}$/.test(id), "128 bits");
  const others = [
    headOf({ modelHash: "n" }), headOf({ tokenizerHash: "n" }), headOf({ configHash: "n" }),
    headOf({ kernelHash: "n" }), headOf({ nCtx: 65 }), headOf({ kv: "f32" }), headOf({ backend: "webgpu" }),
    headOf({}, { seed: 1 }), headOf({}, { temperature: 0.81 }), headOf({}, { topK: 41 }),
    headOf({}, { maxTokens: 1 }), headOf({}, { ignoreEnd: true }), headOf({}, {}, { kind: "raw", text: "b" }),
    headOf({}, {}, { kind: "chat", messages: [{ role: "user", content: "a" }] }),
  ];
  expectEqual(new Set([id, ...others.map(({ run_id }) => run_id)]).size, others.length + 1, "different run ids");
});

report.run("a record that was altered anywhere is known by its proof", () => {
  const record = endRecord(headOf({}), { n_in: 1, n_out: 2, output: [5, 6], stop: "length", timings: { total_us: 7 } });
  expectEqual(checkRecord(record).join(), "", "problems of the record itself");
  expectEqual(checkRecord(JSON.parse(JSON.stringify(record))).join(), "", "problems after a journey as JSON");
  const paths = [];
  const walk = (value, path) => {
    if (value === null || typeof value !== "object") paths.push(path);
    else for (const key of Object.keys(value)) walk(value[key], [...path, key]);
  };
  walk(record, []);
  expect(paths.length > 30, `${paths.length} places`);
  for (const path of paths) {
    const altered = JSON.parse(JSON.stringify(record));
    const holder = path.slice(0, -1).reduce((at, key) => at[key], altered);
    const value = holder[path.at(-1)];
    holder[path.at(-1)] = typeof value === "number" ? value + 1 : typeof value === "boolean" ? !value : `${value}1`;
    expect(checkRecord(altered).length > 0, `${path.join(".")} can be altered`);
  }
  expect(checkRecord({}).length > 0 && checkRecord({ ...record, extra: 1 }).length > 0, "nothing, and more");
});

// What a GGUF file has in its head, by another way: each entry's bytes, with the walk of the test.
function hashesByHand(file) {
  const hashes = { tokenizer: createHash("sha256"), config: createHash("sha256") };
  const sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
  const u64 = (at) => Number(file.readBigUInt64LE(at));
  const endOf = (type, at) => {
    if (type === 8) return at + 8 + u64(at);
    if (type !== 9) return at + sizes[type];
    let end = at + 12;
    for (let i = 0, n = u64(at + 4); i < n; ++i) end = endOf(file.readUInt32LE(at), end);
    return end;
  };
  let at = 24;
  for (let i = 0, n = u64(16); i < n; ++i) {
    const keyEnd = at + 8 + u64(at);
    const key = file.toString("utf8", at + 8, keyEnd);
    const end = endOf(file.readUInt32LE(keyEnd), keyEnd + 4);
    hashes[key.startsWith("tokenizer.") ? "tokenizer" : "config"].update(file.subarray(at, end));
    at = end;
  }
  return { tokenizer: hashes.tokenizer.digest("hex"), config: hashes.config.digest("hex"), end: at };
}

async function checkWithModel() {
  const file = readFileSync(tiny);
  const byHand = hashesByHand(file);
  report.run("hashes of tokenizer and configuration do not depend on how the file comes", () => {
    for (const n of [1, 7, 1000, file.length]) {
      const metadata = new GgufMetadata();
      for (let at = 0; !metadata.done && at < file.length; at += n) metadata.add(file.subarray(at, at + n));
      expectEqual(metadata.result.tokenizerHash, byHand.tokenizer, `tokenizer, ${n} bytes at a time`);
      expectEqual(metadata.result.configHash, byHand.config, `configuration, ${n} bytes at a time`);
    }
    for (const broken of [new Uint8Array(100), file.subarray(0, byHand.end - 1)]) {
      const metadata = new GgufMetadata();
      metadata.add(broken);
      expectEqual(metadata.result, null, "what a broken head says");
    }
  });

  const settings = { modules, nCtx: N_CTX, threads: 1 };
  const model = await createModel(tiny, settings);
  const drawn = await collect(model.generate(PROMPT, { ...DRAWN, raw: true }));
  report.run("MVP-12, MVP-13, MVP-14: a record has hashes, seed, settings, tokens and times", () => {
    const { record } = drawn;
    expectEqual(checkRecord(record).join(), "", "problems");
    expectEqual(record.model_hash, sha256(file), "SHA-256 of the weights");
    expectEqual(record.tokenizer_hash, byHand.tokenizer, "SHA-256 of the tokenizer");
    expectEqual(record.config_hash, byHand.config, "SHA-256 of the configuration");
    expectEqual(record.kernel_hash, sha256(readFileSync(new URL(model.info.module, modules))), "SHA-256 of the module");
    expectEqual(record.seed, (12345678901).toString(16).padStart(16, "0"), "seed");
    expectEqual(record.sampling.temperature, "1.5", "temperature");
    expectEqual(record.sampling.repeat_last_n, 64, "a setting that was not given");
    expectEqual(record.output.join(), drawn.ids.join(), "tokens");
    expectEqual(record.stop, drawn.stop, "reason to stop");
    expectEqual(record.digest, drawn.digest, "digest");
    expect(record.n_in > 0 && Number.isInteger(record.timings.first_token_us), "figures");
  });
  await report.runAsync("MVP-4, MVP-14: a replay on the same backend gives the same tokens", async () => {
    const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "\u00fc?" }];
    const chat = (await collect(model.generate(messages, DRAWN))).record;
    const fresh = await createModel(tiny, { ...settings, worker: false });
    for (const record of [drawn.record, chat, JSON.parse(JSON.stringify(drawn.record))]) {
      for (const again of [await model.replay(record), await replay(fresh, record)]) {
        expectEqual(again.firstDivergence, null, "first divergence");
        expect(again.equal && again.differs.length === 0, JSON.stringify(again.differs));
        expectEqual(again.record.run_id, record.run_id, "run id");
        expectEqual(again.record.output_hash, record.output_hash, "hash of the tokens");
      }
    }
    await fresh.free();
  });
  await report.runAsync("MVP-14: an answer that was stopped is made again up to there", async () => {
    const abort = new AbortController();
    const answer = model.generate(PROMPT, { ...DRAWN, raw: true, maxTokens: 0, ignoreEnd: true, signal: abort.signal });
    let n = 0;
    await (async () => {
      for await (const { id } of answer) if (id !== null && ++n === 5) abort.abort();
    })().catch(() => {});
    const record = await answer.record;
    expectEqual(record.stop, "interrupted", "reason to stop");
    const again = await model.replay(record);
    expect(again.equal && again.nEqual === record.n_out && record.n_out >= 5, JSON.stringify(again.firstDivergence));
  });
  await report.runAsync("MVP-15: a replay that drifts reports the first divergence, and what differs", async () => {
    const drifting = await createModel(tiny, { ...settings, kv: "q8_0", nCtx: N_CTX / 2 });
    const again = await drifting.replay(drawn.record);
    expect(again.differs.includes("governance_hash"), `differs: ${again.differs}`);
    await drifting.free();
    if (!otherTiny) return;
    const other = await createModel(otherTiny, settings);
    const elsewhere = await other.replay((await collect(model.generate(PROMPT, { ...GREEDY, raw: true }))).record);
    const sameTokenizer = other.tokenizer.version === model.tokenizer.version;
    await other.free();
    expect(elsewhere.differs.includes("model_hash"), `differs: ${elsewhere.differs}`);
    expectEqual(elsewhere.differs.includes("tokenizer_hash"), !sameTokenizer, "whether the tokenizer is another one");
    const { firstDivergence, nEqual, equal } = elsewhere;
    expect(equal || (firstDivergence.at === nEqual && firstDivergence.expected !== firstDivergence.actual),
      JSON.stringify(elsewhere));
  });
  await report.runAsync("MVP-15: tokens that differ are found where they differ", async () => {
    const { record } = drawn;
    const { proof, run_id: id, output_hash: hash, ...rest } = record;
    const output = rest.output.with(3, rest.output[3] + 1);
    const other = endRecord({ ...headPart(record), run_id: id }, { ...outcomePart(rest), output });
    const again = await model.replay(other);
    expect(!again.equal && hash !== other.output_hash && proof !== other.proof, "another record");
    const found = { at: 3, expected: output[3], actual: record.output[3] };
    expectEqual(JSON.stringify(again.firstDivergence), JSON.stringify(found), "divergence");
  });
  await report.runAsync("a record that was altered is not made again", async () => {
    const altered = { ...drawn.record, sampling: { ...drawn.record.sampling, temperature: "0.1" } };
    await expectRejection(model.replay(altered), isLbmError("record"), "an altered record");
    await expectRejection(model.replay({}), isLbmError("record"), "no record");
  });
  await report.runAsync("MVP-32: the manifest has version and hash of tokenizer, configuration and weights",
    async () => {
    const manifest = JSON.parse(JSON.stringify(model.describeManifest()));
    expectEqual(manifest.weights.sha256, sha256(file), "weights");
    expectEqual(manifest.files[0].size, file.length, "size");
    for (const part of ["tokenizer", "config", "weights"]) {
      expect(isHash(manifest[part].sha256) && manifest[part].version !== "",
        `${part}: ${JSON.stringify(manifest[part])}`);
    }
    expectEqual(manifest.tokenizer.sha256, (await loadTokenizerVersion()), "version of the tokenizer alone");
  });
  await report.runAsync("MVP-31: telemetry is optional, and tells times and memory", async () => {
    const events = [];
    const told = await createModel(tiny, { ...settings, onEvent: (event) => events.push(event) });
    await collect(told.generate(PROMPT, { ...GREEDY, raw: true }));
    await told.free();
    const byType = Object.fromEntries(events.map((event) => [event.type, event]));
    expect(byType.load.us > 0 && byType.load.bytes === file.length, "load");
    expect(byType.memory.moduleBytes > 0, "memory");
    expect(byType.answer.record.timings.total_us > 0, "answer");
    const said = [];
    const { error: log } = console;
    console.error = (error) => said.push(error.message);
    try {
      const onEvent = () => {
        throw new Error("a listener that fails");
      };
      const failing = await createModel(tiny, { ...settings, onEvent });
      await collect(failing.generate(PROMPT, { ...GREEDY, raw: true }));
      await failing.free();
    } finally {
      console.error = log;
    }
    expect(said.length > 2 && said.every((message) => message === "a listener that fails"),
      "a listener that fails is told of");
  });
  await report.runAsync("MVP-11: shuffle() draws from the seed alone", async () => {
    const items = Array.from({ length: 100 }, (_, i) => `item ${i}`);
    const first = await model.shuffle(items, 7);
    expectEqual((await model.shuffle(items, 7)).join(), first.join(), "the same seed");
    expect((await model.shuffle(items, 8)).join() !== first.join(), "another seed");
    expectEqual(first.toSorted().join(), items.toSorted().join(), "the same items");
    expectEqual((await model.shuffle([], 1)).length, 0, "nothing");
  });
  await model.free();

  async function loadTokenizerVersion() {
    const tokenizer = await loadTokenizer(tiny, settings);
    const { version } = tokenizer;
    await tokenizer.free();
    return version;
  }
}
const OUTCOME = ["n_in", "n_evaluated", "n_out", "output", "stop", "digest", "error", "notes", "timings"];
function outcomePart(record) {
  return Object.fromEntries(OUTCOME.map((key) => [key, record[key]]));
}
function headPart(record) {
  const others = [...OUTCOME, "proof", "run_id", "output_hash"];
  return Object.fromEntries(Object.entries(record).filter(([key]) => !others.includes(key)));
}

if (!tiny) console.log("skipped: no golden data and no model");
else await checkWithModel();
report.finish();
