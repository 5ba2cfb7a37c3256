// The types of the libraries, held by the compiler of TypeScript against what an application writes.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { WebReport } from "../web/report.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const report = new WebReport({ deadlineMs: 120_000 });

await report.run("MVP-39: an application in TypeScript compiles against lbm.d.ts alone", async () => {
  const compiler = at("../../web/node_modules/typescript/bin/tsc");
  const { stdout } = await promisify(execFile)(process.execPath, [compiler, "--project", at("types_tsconfig.json")])
    .catch((error) => { throw new Error(error.stdout || error.message); });
  if (stdout.trim() !== "") throw new Error(stdout);
});
report.finish();
