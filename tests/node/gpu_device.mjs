// WebGPU for the tests in Node: Dawn (the npm package webgpu) on the software adapter that comes with
// Chromium, or on what VK_ICD_FILENAMES names. Needs the Vulkan loader (libvulkan1).

import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

export const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";
const PACKAGE = new URL("../../web/node_modules/webgpu/index.js", import.meta.url);

// The arguments that all tests of the web have (scripts/run_tests.py); --all for more models than CI runs.
export const { values: options } = parseArgs({
  allowPositionals: true,
  options: {
    lbm: { type: "string" }, modules: { type: "string" }, golden: { type: "string" }, model: { type: "string" },
    all: { type: "boolean", default: false },
  },
});
// The folder of the golden data; --golden names its folder quantized/.
export const golden = options.golden
  ? pathToFileURL(`${dirname(resolve(options.golden))}/`) : new URL("../../../shared/golden/", import.meta.url);

// SwiftShader takes ten times as long to compile a shader whose workgroup memory is zeroed first, and no
// shader here counts on that.
const FAST_COMPILES = ["enable-dawn-features=disable_workgroup_init"];

// Dawn ends with the object that create() gave, under the feet of its devices.
const opened = [];

// { gpu, why }: gpu is null where there is none, and `why` says what is missing. `flags`: ["backend=null"].
export async function openGpu(flags = []) {
  if (!existsSync(fileURLToPath(PACKAGE))) {
    return { gpu: null, why: "the npm package webgpu is not installed (npm ci in web/)" };
  }
  if (!process.env.VK_ICD_FILENAMES && existsSync(SWIFTSHADER)) process.env.VK_ICD_FILENAMES = SWIFTSHADER;
  const { create } = await import(PACKAGE.href);
  const gpu = create([...FAST_COMPILES, ...flags]);
  opened.push(gpu);
  if (await gpu.requestAdapter()) return { gpu, why: "" };
  return { gpu: null, why: "there is no WebGPU adapter (libvulkan1 and Chromium's SwiftShader give one)" };
}

// Counts tests that are promises; the last line is the one that scripts/run_tests.py reads. `finish`
// ends the process, since Dawn would keep it alive.
export class AsyncReport {
  #passed = 0;
  #failed = 0;

  async run(name, test) {
    const start = performance.now();
    let failure = "";
    let note = "";
    try {
      note = (await test()) ?? "";
      ++this.#passed;
    } catch (error) {
      failure = `\n${error.stack}`;
      ++this.#failed;
    }
    const ms = Math.round(performance.now() - start);
    console.log(`[${failure ? "FAILED" : "ok"}] ${name}${note && `: ${note}`} (${ms} ms)${failure}`);
  }
  finish() {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    process.exit(this.#failed === 0 && this.#passed > 0 ? 0 : 1);
  }
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}
