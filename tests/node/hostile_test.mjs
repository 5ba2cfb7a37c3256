// The hostile corpus, in a test module: hostile_test.mjs MODULE.wasm HOSTILE.PAK

import { readFileSync } from "node:fs";

import { startModule, TestReport } from "./module.mjs";

const [path, packPath] = process.argv.slice(2);
const { exports, memory, text } = startModule(path);
const report = new TestReport();

report.run("hostile files are refused in WebAssembly as on the host", () => {
  const pack = readFileSync(packPath);
  const address = exports.hostile_room(pack.length) >>> 0;
  if (address === 0) throw new Error("no room for the pack");
  new Uint8Array(memory.buffer).set(pack, address);
  const wrong = exports.hostile_replay(address, pack.length) >>> 0;
  if (wrong !== 0) throw new Error(exports.hostile_report() ? text(exports.hostile_report()) : "not replayed");
  if (exports.hostile_n_file() < 300) throw new Error(`only ${exports.hostile_n_file()} files`);
  console.log(`${exports.hostile_n_file()} hostile files`);
});
report.finish();
