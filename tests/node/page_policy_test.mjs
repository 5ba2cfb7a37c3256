// The content security policies that `lbm serve` sends are those that the page is built for (web/page/build/policy.mjs).
//   node tests/node/page_policy_test.mjs --lbm build/lbm --model FILE
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DOCUMENT_POLICY, ISOLATION, WORKER_POLICY } from "../../web/page/build/policy.mjs";
import { TestReport } from "./module.mjs";

const { values } = parseArgs({ options: { lbm: { type: "string" }, model: { type: "string" } }, strict: false, allowPositionals: true });
const report = new TestReport();

// A policy as a map: the order of its lines means nothing.
const lines = (policy) =>
  new Map(policy.split(";").map((line) => line.trim().split(/\s+/)).map(([name, ...words]) => [name, words.sort().join(" ")]));

if (!values.lbm || !values.model || !existsSync(values.model)) {
  console.log("skipped: needs --lbm and --model");
  report.run("nothing to do", () => {});
} else {
  const folder = await mkdtemp(join(tmpdir(), "lbm-policy-"));
  for (const name of ["index.html", "worker.mjs"]) await writeFile(join(folder, name), "");
  const server = spawn(values.lbm, ["serve", "-q", "-m", values.model, "--port", "0", "-c", "256", "--web", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const address = await new Promise((resolve, reject) => {
      createInterface({ input: server.stdout }).once("line", resolve);
      server.once("exit", (code) => reject(new Error(`lbm serve ended with ${code}`)));
    });
    for (const [path, policy] of [["/", DOCUMENT_POLICY], ["/worker.mjs", WORKER_POLICY]]) {
      const { headers } = await fetch(address + path);
      report.run(`H5 the policy of ${path}`, () =>
        assert.deepEqual(lines(headers.get("content-security-policy")), lines(policy)));
      report.run(`H5 the isolation of ${path}`, () => {
        for (const [name, value] of Object.entries(ISOLATION)) assert.equal(headers.get(name), value);
      });
    }
  } finally {
    server.removeAllListeners("exit");
    server.kill("SIGINT");
    await rm(folder, { recursive: true });
  }
}
report.finish();
