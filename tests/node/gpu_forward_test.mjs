// The forward pass of web/gpu as a whole, from embedding to logits, against the core's reference logits
// and against the core itself (CSS-1, CSS-8, MVP-2, MVP-4). WebGPU is the tolerance class: nothing here
// asks for equal bits; the largest difference is printed.
//
//   node tests/node/gpu_forward_test.mjs [--modules BUILD/web] [--golden DIR] [--all]

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createGpuBackend, gpuCapabilities } from "../../web/gpu/backend.mjs";
import { describeAside } from "../../web/lib/gpu_path.mjs";
import { AsyncReport, check, golden as GOLDEN, openGpu, options as given } from "./gpu_device.mjs";
import { describeGguf, openGguf } from "./gguf_reader.mjs";
import { ranking } from "./gpu_reference.mjs";
import { Lbm } from "./module.mjs";

// Relative to the mean square of the reference's logits. f32 everywhere comes to 1e-12; what a wrong
// epsilon or factor moves them by is above 1e-7.
const MOST_NMSE = 1e-9;
const MOST_NMSE_F16_CACHE = 1e-4;
const SURE_MARGIN = 1.0;

const { gpu, why } = await openGpu();
if (!gpu || !existsSync(GOLDEN)) {
  console.log(`skipped: ${why || "the golden models are not here"}`);
  console.log("0 passed, 0 failed");
  process.exit(0);
}
const adapter = await gpu.requestAdapter();
const features = ["subgroups", "shader-f16"].filter((name) => adapter.features.has(name));
const device = await adapter.requestDevice({ requiredFeatures: features });
const report = new AsyncReport();
const modulePath = given.modules && join(given.modules, "lbm.wasm");
const wasm = modulePath && existsSync(modulePath) ? new WebAssembly.Module(readFileSync(modulePath)) : null;
if (!wasm) console.log("skipped: what the core says of a model (--modules names no lbm.wasm)");

const N_CTX = 256;
// What the core says of a model; where there is no core, what the tests' own reader makes of the file.
async function describe(gguf) {
  if (!wasm) return describeGguf(gguf, N_CTX);
  return (await describeAside({ wasm, shared: false }, gguf, { nCtx: N_CTX })).description;
}

function openGolden(path) {
  const gguf = openGguf(new URL(`${path}.gguf`, GOLDEN));
  const expected = JSON.parse(readFileSync(new URL(`${path}.json`, GOLDEN)));
  const logits = new Float32Array(readFileSync(new URL(`${path}.logits.f32`, GOLDEN)).buffer.slice(0));
  return { gguf, expected, logits, nVocab: expected.n_vocab };
}
const backendOf = async ({ gguf }, options = {}) => createGpuBackend({
  gpu, device, description: await describe(gguf), read: gguf.read, kv: "f32", ...options,
});

// What the logits of all positions differ by.
class Difference {
  max = 0;
  #square = 0;
  #all = 0;
  add(got, expected) {
    for (let i = 0; i < got.length; ++i) {
      const d = got[i] - expected[i];
      this.max = Math.max(this.max, Math.abs(d));
      this.#square += d * d;
      this.#all += expected[i] * expected[i];
    }
  }
  get nmse() {
    return this.#square / this.#all;
  }
  toString() {
    return `max |dlogit| ${this.max.toExponential(1)}, NMSE ${this.nmse.toExponential(1)}`;
  }
}
const row = ({ logits, nVocab }, i) => logits.subarray(i * nVocab, (i + 1) * nVocab);

async function compareGolden(path, options = {}, mostNmse = MOST_NMSE) {
  const golden = openGolden(path);
  const backend = await backendOf(golden, options);
  const { tokens, greedy } = golden.expected;
  const difference = new Difference();
  // A batch, then token by token: the two lists of dispatches.
  const half = tokens.length / 2;
  difference.add((await backend.evaluate(tokens.slice(0, half), 0)).logits, row(golden, half - 1));
  for (let i = half; i < tokens.length; ++i) {
    difference.add((await backend.evaluate([tokens[i]], i)).logits, row(golden, i));
  }
  // And the same in one batch, which must come to the same place.
  difference.add((await backend.evaluate(tokens, 0)).logits, row(golden, tokens.length - 1));
  check(difference.nmse <= mostNmse, String(difference));
  const nGreedy = await compareGreedy(backend, golden.expected);
  backend.destroy();
  golden.gguf.close();
  return `${difference}, ${nGreedy} of ${greedy.length} greedy tokens`;
}

// Greedy tokens equal the reference's wherever its margin says they must, and up to the first that differs.
async function compareGreedy(backend, { tokens, greedy, greedy_margins: margins }) {
  let next = ranking((await backend.evaluate(tokens, 0)).logits)[0];
  for (let i = 0; i < greedy.length; ++i) {
    if (next !== greedy[i]) {
      check(margins[i] <= SURE_MARGIN, `greedy token ${i} is ${next}, not ${greedy[i]} (margin ${margins[i]})`);
      return i;
    }
    const { ids } = await backend.evaluate([next], tokens.length + i, { topK: 1 });
    next = ids[0];
  }
  return greedy.length;
}

// Together they have every operation. The rest are variations of these: --all.
const MODELS = ["llama-mha", "llama-gqa-tied", "llama-bias", "qwen2", "qwen3", "gemma2", "gemma3", "olmo2-swa"];
const MORE_MODELS = [
  "llama-mqa-linear", "llama-yarn", "llama3-ropefreqs", "granite", "smollm3", "phi3", "phi3-longrope",
];
// The types of weights alone: gpu_kernels_test.mjs.
const QUANTIZED = ["llama-Q4_K_M", "qwen3moe-Q4_K_M"];
const MORE_QUANTIZED = [
  "llama-Q4_0", "llama-Q4_1", "llama-Q5_0", "llama-Q5_1", "llama-Q8_0", "llama-Q5_K_M", "llama-Q6_K",
  "llama16-F16", "llama16-BF16",
];
for (const name of [...MODELS, ...(given.all ? MORE_MODELS : [])]) {
  await report.run(`CSS-1 MVP-4 ${name}`, () => compareGolden(`models/${name}`));
}
for (const name of ["llama-moe", "qwen3moe", ...(given.all ? ["olmoe"] : [])]) {
  await report.run(`CSS-8 ${name}`, () => compareGolden(`models/${name}`));
}
for (const name of [...QUANTIZED, ...(given.all ? MORE_QUANTIZED : [])]) {
  await report.run(`CSS-1 ${name}`, () => compareGolden(`quantized/${name}`));
}
await report.run("CSS-1 llama-mha with the cache in f16", () =>
  compareGolden("models/llama-mha", { kv: "f16" }, MOST_NMSE_F16_CACHE));
if (given.all && device.features.has("subgroups") && gpu.wgslLanguageFeatures.has("subgroup_id")) {
  await report.run("CSS-1 llama-Q4_K_M with subgroups", () =>
    compareGolden("quantized/llama-Q4_K_M", { variants: { subgroups: true } }));
}

// ---- the core ----------------------------------------------------------------------------------

if (wasm) {
  await report.run("CSS-1 what the core says of a model is what its file says", async () => {
    for (const name of [...MODELS, ...MORE_MODELS, "llama-moe", "qwen3moe", "olmoe"]) {
      const { gguf } = openGolden(`models/${name}`);
      const [core, file] = [await describe(gguf), describeGguf(gguf, N_CTX)];
      for (const [key, value] of Object.entries(file)) {
        const [a, b] = [core[key], value].map(canonical);
        check(a === b, `${name}: ${key} is ${a}, and in the file ${b}`);
      }
      gguf.close();
    }
  });

  await report.run("CSS-1 MVP-4 the core's own logits, f32 and int8 activations", async () => {
    const notes = [];
    for (const [path, most] of [["models/qwen3", MOST_NMSE], ["quantized/llama-Q4_K_M", 0.02]]) {
      const golden = openGolden(path);
      const core = await Lbm.start(modulePath);
      core.load(readFileSync(new URL(`${path}.gguf`, GOLDEN)), { table: core.tables()[0], n_ctx: N_CTX, kv: "f32" });
      const backend = await backendOf(golden);
      const difference = new Difference();
      golden.expected.tokens.slice(0, 12).forEach((token, i) => core.evaluate(i, [token]));
      const { logits } = await backend.evaluate(golden.expected.tokens.slice(0, 12), 0);
      difference.add(logits, new Float32Array(core.memory.buffer, core.exports.lbm_logits(), golden.nVocab));
      check(difference.nmse <= most, `${path}: ${difference}`);
      notes.push(`${path}: ${difference}`);
      backend.destroy();
      golden.gguf.close();
    }
    return notes.join("; ");
  });
}

if (wasm && gpu.wgslLanguageFeatures.has("packed_4x8_integer_dot_product")) {
  // Rounded by the same rule, activations are the core's but for some at the border between two integers.
  await report.run("CSS-1 with packed dot products the logits are the core's", async () => {
    const path = "quantized/llama-Q4_K_M";
    const golden = openGolden(path);
    const core = await Lbm.start(modulePath);
    core.load(readFileSync(new URL(`${path}.gguf`, GOLDEN)), { table: core.tables()[0], n_ctx: N_CTX, kv: "f32" });
    const found = [];
    for (const packedDot of [true, false]) {
      const backend = await backendOf(golden, { variants: { packedDot } });
      check(backend.info.variant.packedDot === packedDot, "the variant was not taken");
      const difference = new Difference();
      for (let i = 0; i < 8; ++i) {
        core.evaluate(i, [golden.expected.tokens[i]]);
        const { logits } = await backend.evaluate([golden.expected.tokens[i]], i);
        difference.add(logits, new Float32Array(core.memory.buffer, core.exports.lbm_logits(), golden.nVocab));
      }
      found.push(difference);
      backend.destroy();
    }
    golden.gguf.close();
    check(found[0].nmse < 1e-6 && found[0].nmse < found[1].nmse / 100, found.join("; "));
    return found.join("; f32: ");
  });
}

// A value as text that tells neither the last bits of f32 nor the order of tensors.
function canonical(value) {
  if (typeof value === "number") return value.toPrecision(6);
  if (Array.isArray(value)) return `[${value.map(canonical).sort().join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${key}:${canonical(value[key])}`).join()}}`;
}

// ---- behaviour ---------------------------------------------------------------------------------

const golden = openGolden("models/qwen2");
const { tokens } = golden.expected;

await report.run("MVP-4 the same tokens in other batches come to the same logits", async () => {
  const difference = new Difference();
  const backend = await backendOf(golden, { nBatch: 5 });
  difference.add((await backend.evaluate(tokens, 0)).logits, row(golden, tokens.length - 1));
  backend.destroy();
  check(difference.nmse <= MOST_NMSE, String(difference));
  return String(difference);
});

await report.run("MVP-4 twice the same gives the same bits", async () => {
  const backend = await backendOf(golden);
  const first = (await backend.evaluate(tokens, 0)).logits;
  await backend.evaluate([3], tokens.length);
  const second = (await backend.evaluate(tokens, 0)).logits;
  backend.destroy();
  check(first.every((v, i) => v === second[i]), "logits differ between two runs");
});

await report.run("MVP-4 rewound, a context is as if the rest had never been", async () => {
  const backend = await backendOf(golden);
  await backend.evaluate(tokens, 0);
  backend.rewind(8);
  const again = (await backend.evaluate(tokens.slice(8, 20), 8)).logits;
  const difference = new Difference();
  difference.add(again, row(golden, 19));
  check(difference.nmse <= MOST_NMSE, String(difference));
  for (const wrong of [21, -1, 1.5]) {
    let refused = false;
    try {
      backend.rewind(wrong);
    } catch (error) {
      refused = error instanceof RangeError;
    }
    check(refused, `rewind(${wrong}) was accepted`);
  }
  backend.destroy();
});

await report.run("MVP-2 candidates are those of the logits", async () => {
  const backend = await backendOf(golden);
  const { logits } = await backend.evaluate(tokens, 0);
  const { ids, logits: best } = await backend.evaluate(tokens, 0, { topK: 40 });
  const order = ranking(logits).slice(0, 40);
  check(ids.length === 40 && order.every((id, i) => ids[i] === id && best[i] === logits[id]), "candidates differ");
  const all = await backend.evaluate(tokens, 0, { topK: backend.info.topK + 1 });
  check(all.ids === undefined && all.logits.length === golden.nVocab, "beyond info.topK there must be all logits");
  backend.destroy();
});

await report.run("MVP-2 what is not run is refused by name, and before the device is asked", async () => {
  const description = describeGguf(golden.gguf, 64);
  const changed = (change) => ({ ...description, ...change });
  const layers = description.layers.map((layer) => ({ ...layer, kind: "delta_net" }));
  for (const [wrong, word] of [
    [changed({ norm: "layer" }), "norms of kind layer"], [changed({ layers }), "recurrent"],
    [changed({ activation: "relu_squared" }), "relu_squared"], [changed({ parallel: true }), "side by side"],
    [changed({ tensors: description.tensors.map((t) => ({ ...t, dtype: "IQ1_S" })) }), "IQ1_S"],
  ]) {
    const error = await createGpuBackend({ gpu: null, description: wrong, read: golden.gguf.read }).catch((e) => e);
    check(error.name === "GpuUnsupportedError" && error.message.includes(word), `${word}: ${error.message}`);
  }
  const empty = { requestAdapter: async () => null };
  const none = await createGpuBackend({ gpu: empty, description, read: golden.gguf.read }).catch((e) => e);
  check(none.name === "GpuUnsupportedError", `no adapter: ${none.message}`);
});

await report.run("MVP-2 an aborted load and a file that ends early leave nothing behind", async () => {
  const live = new Set();
  const counting = new Proxy(device, {
    get(target, name) {
      if (name !== "createBuffer") {
        const value = target[name];
        return typeof value === "function" ? value.bind(target) : value;
      }
      return (descriptor) => {
        const buffer = target.createBuffer(descriptor);
        const destroy = buffer.destroy.bind(buffer);
        live.add(buffer);
        buffer.destroy = () => (live.delete(buffer), destroy());
        return buffer;
      };
    },
  });
  const stop = new AbortController();
  const aborted = await backendOf(golden, {
    device: counting, signal: stop.signal, onProgress: ({ done, total }) => done > total / 2 && stop.abort(),
  }).catch((e) => e);
  check(aborted.name === "AbortError", `aborted: ${aborted}`);
  check(live.size === 0, `${live.size} buffers after the abort`);
  const short = async (offset, size) => (await golden.gguf.read(offset, size)).subarray(0, size - 4);
  const early = await backendOf(golden, { device: counting, read: short }).catch((e) => e);
  check(/ended early/.test(early.message), `short: ${early.message}`);
  check(live.size === 0, `${live.size} buffers after the error`);
  const { tensors } = describeGguf(golden.gguf, 64);
  const vectors = new Set(tensors.filter(({ shape }) => shape.length === 1).map(({ offset }) => offset));
  const shortVectors = (offset, size) => (vectors.has(offset) ? short : golden.gguf.read)(offset, size);
  const late = await backendOf(golden, { device: counting, read: shortVectors }).catch((e) => e);
  check(/ended early/.test(late.message), `short vectors: ${late.message}`);
  check(live.size === 0, `${live.size} buffers after the error of a vector`);
});

await report.run("MVP-2 an abort between two batches is heard, and the next evaluation works", async () => {
  const backend = await backendOf(golden, { nBatch: 4 });
  const stop = new AbortController();
  const pending = backend.evaluate(tokens, 0, { signal: stop.signal }).catch((e) => e);
  stop.abort();
  check((await pending).name === "AbortError", "the abort was not heard");
  const difference = new Difference();
  difference.add((await backend.evaluate(tokens, 0)).logits, row(golden, tokens.length - 1));
  backend.destroy();
  check(difference.nmse <= MOST_NMSE, String(difference));
});

await report.run("MVP-2 wrong arguments are refused, and the device is not asked", async () => {
  const backend = await backendOf(golden, { nCtx: 16 });
  for (const [ids, nPast] of [[[], 0], [[1], 1], [[1], -1], [[golden.nVocab], 0], [Array(17).fill(1), 0]]) {
    const error = await backend.evaluate(ids, nPast).catch((e) => e);
    check(error instanceof RangeError, `${ids.length} tokens at ${nPast}: ${error}`);
  }
  backend.destroy();
  const late = await backend.evaluate([1], 0).catch((e) => e);
  check(late.name === "GpuDeviceError", `after destroy(): ${late}`);
});

await report.run("MVP-2 destroyed under an evaluation, nothing more is asked of the device", async () => {
  let nSubmit = 0;
  let used = null;
  const queue = new Proxy(device.queue, {
    get(target, name) {
      if (name === "submit") ++nSubmit;
      if (name === "onSubmittedWorkDone") used.destroy();
      return typeof target[name] === "function" ? target[name].bind(target) : target[name];
    },
  });
  const watched = new Proxy(device, {
    get(target, name) {
      if (name === "queue") return queue;
      return typeof target[name] === "function" ? target[name].bind(target) : target[name];
    },
  });
  used = await backendOf(golden, { device: watched, nBatch: 4 });
  const error = await used.evaluate(tokens, 0).catch((e) => e);
  check(error.name === "GpuDeviceError" && /destroyed/.test(error.message), String(error));
  check(nSubmit === 1, `${nSubmit} batches were submitted`);
});

await report.run("MVP-2 a lost device is an error that says so", async () => {
  const { gpu: checking } = await openGpu(["backend=null"]); // which compiles nothing
  const description = describeGguf(golden.gguf, 64);
  const lostSoon = await (await checking.requestAdapter()).requestDevice();
  const read = (offset, size) => (lostSoon.destroy(), golden.gguf.read(offset, size));
  const loading = await createGpuBackend({ device: lostSoon, description, read }).catch((e) => e);
  check(loading.name === "GpuDeviceError" && /lost/.test(loading.message), `lost under a load: ${loading}`);
  const own = await createGpuBackend({ gpu: checking, description, read: golden.gguf.read });
  own.destroy();
  const error = await own.lost;
  check(error.name === "GpuDeviceError", String(error));
});

await report.run("MVP-2 capabilities: an adapter, none, and no WebGPU", async () => {
  const here = await gpuCapabilities(gpu);
  check(here.available && here.adapter.name.length > 0 && here.adapter.maxBindingBytes > 0, JSON.stringify(here));
  const none = await gpuCapabilities({ requestAdapter: async () => null });
  const broken = await gpuCapabilities({ requestAdapter: async () => { throw new Error("no driver"); } });
  const absent = await gpuCapabilities(null);
  for (const { available, notes } of [none, broken, absent]) check(!available && notes.length === 1, "not refused");
  return `${here.adapter.name}${here.adapter.software ? ", software" : ""}`;
});

report.finish();
