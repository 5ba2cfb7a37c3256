// The same bits in WebAssembly as on this machine: digests of every kernel table, with 1, 2 and 3
// threads, held against those of lbm.
//
//   digest_test.mjs --lbm BUILD/lbm --modules BUILD/web --module NAME --threads N [--golden DIR] [--model FILE]
//
// NAME is lbm or lbm-relaxed; there is a run with each number of threads up to N. Without golden
// data there is less to compare, and a line that says so.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

import { KV_TYPES, Lbm, TestReport } from "./module.mjs";

const { values: options } = parseArgs({
  options: Object.fromEntries(
    ["lbm", "modules", "module", "threads", "golden", "model"].map((name) => [name, { type: "string" }])),
});

const BATCHES = [1, 7, 32];
const N_CTX = 64;
const N_OUTPUT = 16;
const PROMPT = "one two three one two three one two";

const report = new TestReport();

function expectEqual(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${actual}, and lbm says ${expected}`);
}
function hosted(command, path, kv, ...more) {
  const circumstances = ["-m", path, "-c", String(N_CTX), "--kv", kv, "--json"];
  return JSON.parse(execFileSync(options.lbm, [command, ...circumstances, ...more], { stdio: ["ignore", "pipe", "ignore"] }));
}
const hostedDigests = (path, tokens, ...more) =>
  Object.fromEntries(KV_TYPES.map((kv) => [kv, hosted("digest", path, kv, "--tokens", tokens.join(), ...more).digest]));

// Every table of a module; batch sizes and KV types take turns, so that each meets each table.
let turn = 0;
function compareTables(lbm, threads, path, tokens, tables, expected) {
  const file = readFileSync(path);
  for (const table of tables) {
    const n_batch = BATCHES[turn % BATCHES.length];
    const kv = KV_TYPES[Math.floor(turn / BATCHES.length) % KV_TYPES.length];
    ++turn;
    lbm.load(file, { table, n_ctx: N_CTX, n_batch, kv });
    expectEqual(lbm.digest(tokens), expected[kv], `${table}, ${threads} threads, batch ${n_batch}, kv ${kv}`);
  }
}

// A greedy answer with guesses and without is the answer of lbm run.
function compareAnswers(lbm, path) {
  const expected = hosted("run", path, "f16", "--raw", "-p", PROMPT, "-n", String(N_OUTPUT), "--temp", "0");
  lbm.load(readFileSync(path), { table: lbm.tables().at(-1), n_ctx: N_CTX });
  for (const speculate of [false, true]) {
    const answer = lbm.generate(expected.prompt_ids, N_OUTPUT, speculate);
    expectEqual(answer.ids.join(), expected.output_ids.join(), `tokens, guessing ${speculate}`);
    expectEqual(answer.digest, expected.digest, `run digest, guessing ${speculate}`);
  }
}

function expectRefusal(lbm, file) {
  let message = "";
  try {
    lbm.load(file, { table: lbm.tables().at(-1), n_ctx: N_CTX });
  } catch (error) {
    message = error.message;
  }
  if (!/\[\w+\]$/.test(message)) throw new Error(`a broken file is refused with its reason, not with: ${message}`);
}

const goldenFiles =
  options.golden && existsSync(options.golden)
    ? readdirSync(options.golden).filter((name) => name.endsWith(".gguf")).map((name) => join(options.golden, name))
    : [];
if (goldenFiles.length === 0) console.log("skipped: no golden data");

// What lbm can not run is not compared.
const cases = goldenFiles.flatMap((path) => {
  const { tokens } = JSON.parse(readFileSync(path.replace(/gguf$/, "json"), "utf8"));
  try {
    return [{ path, tokens, expected: hostedDigests(path, tokens, "--isa", "scalar") }];
  } catch {
    console.log(`lbm does not run ${basename(path)}`);
    return [];
  }
});
report.run("lbm runs some of the golden files", () => {
  if (goldenFiles.length > 0 && cases.length === 0) throw new Error("it runs none");
});
const answering = cases.find(({ path }) => basename(path) === "llama-Q4_1.gguf");
const modelTokens = Array.from({ length: 40 }, (_, i) => 7 * i + 1);
const modelExpected = options.model && hostedDigests(options.model, modelTokens);

for (let threads = 1; threads <= Number(options.threads); ++threads) {
  const suffix = threads === 1 ? "" : "-mt"; // one thread: memory that is not shared
  const lbm = await Lbm.start(join(options.modules, `${options.module}${suffix}.wasm`), threads);
  const name = (what) => `${options.module}${suffix}, ${threads} threads: ${what}`;
  if (threads === 1) console.log(`tables of ${options.module}: ${lbm.tables().join(", ")}`);
  report.run(name("a broken file is refused"), () => {
    expectRefusal(lbm, new Uint8Array(100));
    if (answering) expectRefusal(lbm, readFileSync(answering.path).subarray(0, 20000));
  });
  for (const { path, tokens, expected } of cases) {
    report.run(name(basename(path)), () => compareTables(lbm, threads, path, tokens, lbm.tables(), expected));
  }
  if (answering) report.run(name("an answer, with guesses and without"), () => compareAnswers(lbm, answering.path));
  if (options.model) {
    // The tables that nobody would use are too slow for this one.
    const fast = lbm.tables().filter((table) => table.startsWith("wasm_"));
    report.run(name(basename(options.model)), () =>
      compareTables(lbm, threads, options.model, modelTokens, fast, modelExpected));
  }
  if (threads > 1 && cases.length > 0) {
    report.run(name("threads beside the first have worked"), () => {
      if (lbm.nTaskServed() === 0) throw new Error("they have run no task");
    });
  }
  await lbm.stop();
}
report.finish();
