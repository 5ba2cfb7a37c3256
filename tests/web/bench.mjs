// How fast the module is in Chromium, as JSON: load, prefill, decode, latency of tokens, memory; and
// the same of another engine, wllama, on the same file with as many threads (criterion CSS-4).
//
//   bench.mjs [--modules BUILD/web] --model FILE [--threads 1,2] [--rounds 3] [--prompt 128] [--decode 64]
//             [--no-peer] [--peer-folder DIR] [--out FILE]
//
// Engines run in turn, in a fresh browser each, and change places from round to round, so that what
// drifts on the machine meets both. Prompt, seed (0) and settings (greedy) are fixed. Every round has
// another prompt of the same length, so that no engine can use what it evaluated before. The peer is
// fetched from npm into a cache folder; it is no dependency of this project.
//
// The table goes to stderr, the JSON to stdout or --out.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, homedir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs, promisify } from "node:util";

import { Browser } from "./browser.mjs";
import { ROOT, servePage } from "./setup.mjs";

const PEER = "@wllama/wllama";
const PEER_VERSION = "3.8.1";
// What issue and documents ask for: ratios to the peer.
const BAR = { decode: 5, prefill: 8, load: 0.5 };
const WORDS = ("the old house on the hill had a red door and a garden where people of the town came to talk about water " +
  "and time while small birds sang over the long road that went down to the sea").split(" ");

const { values } = parseArgs({
  options: {
    modules: { type: "string", default: join(ROOT, "build", "web") },
    model: { type: "string" },
    threads: { type: "string", default: "1,2" },
    rounds: { type: "string", default: "3" },
    prompt: { type: "string", default: "128" },
    decode: { type: "string", default: "64" },
    module: { type: "string" },
    "no-peer": { type: "boolean", default: false },
    "peer-folder": { type: "string", default: join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "llm-baremetal") },
    out: { type: "string" },
  },
});
if (values.model === undefined || !existsSync(values.model)) {
  console.error("bench: --model FILE is needed (make model fetches the default one)");
  process.exit(2);
}

// ---- figures ------------------------------------------------------------------------------------

function percentile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
const median = (numbers) => percentile(numbers, 0.5);
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const rounded = (value) => (value === null ? null : Number(value.toPrecision(4)));

// Of one run: what the page measured. The engine's own figures, where it has some, stand beside.
function figuresOf(run) {
  const gaps = run.answers.flatMap(({ gapsMs }) => gapsMs);
  const firstMs = sum(run.answers.map((answer) => answer.firstMs));
  const own = run.answers.map((answer) => answer.own).filter(Boolean);
  const rate = (n, ms) => (ms > 0 ? (1000 * n) / ms : null);
  return {
    load_ms: run.loadMs,
    first_token_ms: firstMs / run.answers.length,
    prefill_tok_s: rate(sum(run.answers.map(({ nPrompt }) => nPrompt)), firstMs),
    decode_tok_s: rate(gaps.length, sum(gaps)),
    latency_p50_ms: percentile(gaps, 0.5),
    latency_p95_ms: percentile(gaps, 0.95),
    peak_memory_bytes: run.peakBytes,
    own_prefill_tok_s: own.length ? rate(sum(own.map((o) => o.prompt_n)), sum(own.map((o) => o.prompt_ms))) : null,
    own_decode_tok_s: own.length ? rate(sum(own.map((o) => o.predicted_n)), sum(own.map((o) => o.predicted_ms))) : null,
  };
}

// Medians over the rounds. The peer is judged by the better of its own figures and those of the page.
function summarize(runs) {
  const figures = runs.map((run) => run.figures);
  const all = Object.keys(figures[0]).map((key) => {
    const known = figures.map((one) => one[key]).filter((value) => value !== null);
    return [key, known.length ? rounded(median(known)) : null];
  });
  const found = Object.fromEntries(all);
  found.best_prefill_tok_s = Math.max(found.prefill_tok_s, found.own_prefill_tok_s ?? 0);
  found.best_decode_tok_s = Math.max(found.decode_tok_s, found.own_decode_tok_s ?? 0);
  return found;
}

function compare(ours, peer) {
  const ratios = {
    decode: rounded(ours.best_decode_tok_s / peer.best_decode_tok_s),
    prefill: rounded(ours.best_prefill_tok_s / peer.best_prefill_tok_s),
    load: rounded(ours.load_ms / peer.load_ms),
  };
  return { ...ratios, meets_bar: ratios.decode >= BAR.decode && ratios.prefill >= BAR.prefill && ratios.load <= BAR.load };
}

// ---- the two engines ----------------------------------------------------------------------------

async function fetchPeer(folder) {
  const unpacked = join(folder, `wllama-${PEER_VERSION}`);
  if (!existsSync(join(unpacked, "package", "esm", "index.js"))) {
    await mkdir(unpacked, { recursive: true });
    const run = promisify(execFile);
    const { stdout } = await run("npm", ["pack", "--silent", `${PEER}@${PEER_VERSION}`], { cwd: unpacked });
    await run("tar", ["xzf", stdout.trim()], { cwd: unpacked });
  }
  return join(unpacked, "package");
}

// A text of about n tokens that begins with the round, so that no two have a prefix in common.
function promptOf(n, round) {
  const words = [`Number ${1000 + 37 * round}:`];
  for (let i = 0; words.length < n - 4; ++i) words.push(WORDS[(i + round) % WORDS.length]);
  return words.join(" ");
}

async function runOne(server, engine, threads, round) {
  const spec = {
    model: server.url("/model.gguf"),
    prompts: [promptOf(Number(values.prompt), round)],
    nDecode: Number(values.decode),
    nCtx: 256 * Math.ceil((2 * Number(values.prompt) + Number(values.decode)) / 256), // a word may be two tokens
    threads,
    seed: 0,
    module: values.module && server.url(`/${values.module}`),
  };
  const browser = await Browser.launch();
  try {
    const page = await browser.open(server.url("/blank.html"));
    page.setDefaultTimeout(0);
    const name = engine === "ours" ? "runOurs" : "runPeer";
    const run = await page.evaluate(
      async ([name, spec]) => (await import("/tests/web/bench_client.mjs"))[name](spec), [name, spec]);
    const peakBytes = await browser.peakBytes();
    const { firstMs } = run.answers[0];
    if (!(firstMs > 0)) throw new Error(`${engine}: no token came`);
    return { engine, round, ...run, peakBytes, figures: figuresOf({ ...run, peakBytes }) };
  } finally {
    await browser.close();
  }
}

function show(text) {
  console.error(text);
}

function showRow(name, threads, found) {
  const cells = [found.load_ms, found.best_prefill_tok_s, found.best_decode_tok_s, found.latency_p50_ms, found.latency_p95_ms,
                 found.peak_memory_bytes / 1e6].map((value) => value.toFixed(1).padStart(9));
  show(`${name.padEnd(8)} ${String(threads).padStart(7)} ${cells.join(" ")}`);
}

const peerFolder = values["no-peer"] ? null : await fetchPeer(values["peer-folder"]);
const server = await servePage({ modules: values.modules },
  { files: { "/model.gguf": values.model }, headers: {}, folders: peerFolder === null ? {} : { "/peer/": peerFolder } });
const engines = peerFolder === null ? ["ours"] : ["ours", "wllama"];
const result = {
  schema: "lbm-browser-bench-1",
  date: new Date().toISOString(),
  machine: { cpu: cpus()[0]?.model ?? "", n_cpu: cpus().length },
  browser: await Browser.version(),
  model: { name: basename(values.model), sha256: createHash("sha256") },
  settings: { prompt: Number(values.prompt), decode: Number(values.decode), rounds: Number(values.rounds), seed: 0, temperature: 0 },
  peer: peerFolder === null ? null : `${PEER} ${PEER_VERSION}`,
  bar: BAR,
  runs: [],
  summary: {},
};
for await (const piece of createReadStream(values.model)) result.model.sha256.update(piece);
result.model.sha256 = result.model.sha256.digest("hex");

show(`engine   threads   load ms   prefill    decode    p50 ms    p95 ms    peak MB   (medians of ${values.rounds}; tok/s)`);
for (const threads of values.threads.split(",").map(Number)) {
  const runs = { ours: [], wllama: [] };
  for (let round = 0; round < Number(values.rounds); ++round) {
    for (const engine of round % 2 === 0 ? engines : [...engines].reverse()) {
      const run = await runOne(server, engine, threads, round);
      runs[engine].push(run);
      result.runs.push({ threads, ...run, answers: run.answers.map(({ gapsMs: _, ...rest }) => rest) });
    }
  }
  const summary = { ours: summarize(runs.ours) };
  showRow("ours", threads, summary.ours);
  if (peerFolder !== null) {
    summary.wllama = summarize(runs.wllama);
    summary.ratio = compare(summary.ours, summary.wllama);
    showRow("wllama", threads, summary.wllama);
    const { decode, prefill, load, meets_bar: meets } = summary.ratio;
    show(`ratio    ${String(threads).padStart(7)} ${load.toFixed(2).padStart(9)} ${prefill.toFixed(2).padStart(9)} ` +
         `${decode.toFixed(2).padStart(9)}   ${meets ? "meets" : "misses"} the bar (load <= ${BAR.load}, ` +
         `prefill >= ${BAR.prefill}, decode >= ${BAR.decode})`);
  }
  result.summary[`threads_${threads}`] = summary;
}
await server.close();
const text = `${JSON.stringify(result, null, 1)}\n`;
if (values.out === undefined) process.stdout.write(text);
else await writeFile(values.out, text);
