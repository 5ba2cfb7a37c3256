// The benchmark, on a tiny model and for few tokens: what its JSON says, not how fast anything is.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { WebReport, expect, expectEqual } from "./report.mjs";
import { ROOT, readOptions, tinyModel } from "./setup.mjs";

const options = readOptions();
const report = new WebReport({ deadlineMs: 120_000 });

await report.run("CSS-4: the benchmark writes latency, speed, memory and its circumstances as JSON", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lbm-bench-"));
  try {
    const out = join(folder, "bench.json");
    await promisify(execFile)("node", [join(ROOT, "tests/web/bench.mjs"), "--modules", options.modules, "--model", tinyModel(options),
      "--threads", "1,2", "--rounds", "2", "--prompt", "40", "--decode", "12", "--no-peer", "--out", out]);
    const found = JSON.parse(await readFile(out, "utf8"));
    expectEqual(found.settings, { prompt: 40, decode: 12, rounds: 2, seed: 0, temperature: 0 }, "settings");
    expect(/^[0-9a-f]{64}$/.test(found.model.sha256) && /\d+\.\d+/.test(found.browser), "model and browser are named");
    expectEqual(found.runs.length, 4, "runs");
    for (const threads of [1, 2]) {
      const { ours } = found.summary[`threads_${threads}`];
      for (const key of ["load_ms", "first_token_ms", "prefill_tok_s", "decode_tok_s", "latency_p50_ms", "latency_p95_ms",
                         "peak_memory_bytes"]) {
        expect(ours[key] > 0, `${threads} threads: ${key} is ${ours[key]}`);
      }
      expect(ours.latency_p95_ms >= ours.latency_p50_ms, `p50 ${ours.latency_p50_ms} is above p95 ${ours.latency_p95_ms}`);
    }
    expectEqual(found.runs.map(({ nThreads }) => nThreads), [1, 1, 2, 2], "threads that worked");
    // The same round has the same prompt, whoever runs it and when.
    const prompts = found.runs.map(({ round, answers }) => `${round}: ${answers[0].nPrompt}`);
    expectEqual(prompts.slice(0, 2), prompts.slice(2), "tokens of the prompts");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
report.finish();
