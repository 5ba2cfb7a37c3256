// What an engine of JavaScript has, which module that means, and what stands in the way of more.

import { ABI_VERSION } from "./lbm_module.mjs";
import { hardwareThreads, inNode } from "./spawn.mjs";
import { autoThreads } from "./threads.mjs";

const HEADER = [0, 97, 115, 109, 1, 0, 0, 0];
// Functions of one vector instruction: i8x16.popcnt, and i8x16.relaxed_swizzle.
const TO_VECTOR = [1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0];
const SIMD_PROBE = new Uint8Array([...HEADER, ...TO_VECTOR, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);
const RELAXED_PROBE = new Uint8Array([
  ...HEADER, ...TO_VECTOR, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11]);

// () -> i32: whether i32x4.relaxed_dot_i8x16_i7x16_add_s of i - 8 and 7 i is what it must be. There are
// engines whose first compiler gives twice that.
export function relaxedAnswerProbe() {
  const vector = (bytes) => [253, 12, ...bytes];
  const words = (values) => [...new Uint8Array(Int32Array.from(values).buffer)];
  const ramp = (f) => Array.from({ length: 16 }, (_, i) => f(i) & 255);
  const body = [
    0, // no locals
    ...vector(ramp((i) => i - 8)), ...vector(ramp((i) => 7 * i)), ...vector(words([0, 0, 0, 0])),
    253, 147, 2, // relaxed dot
    ...vector(words([-238, -350, 434, 2114])), 253, 55, 253, 163, 1, // i32x4.eq, i32x4.all_true
    11];
  return new Uint8Array([
    ...HEADER, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, // exported as "f"
    10, body.length + 2, 1, body.length, ...body]);
}

function relaxedSimdIsRight() {
  try {
    const probe = new WebAssembly.Instance(new WebAssembly.Module(relaxedAnswerProbe()));
    return probe.exports.f() === 1;
  } catch {
    return false;
  }
}

let found; // of this thread: an engine does not change

// Typed as Capabilities in lbm.d.ts. Asks nothing of the network and starts nothing.
export function capabilities() {
  found ??= look();
  return { ...found, notes: [...found.notes] };
}

function look() {
  const simd = WebAssembly.validate(SIMD_PROBE);
  const relaxedAccepted = WebAssembly.validate(RELAXED_PROBE);
  const relaxedSimd = relaxedAccepted && relaxedSimdIsRight();
  const isolated = inNode || globalThis.crossOriginIsolated === true;
  const sharedMemory = isolated && typeof SharedArrayBuffer === "function";
  const webgpu = typeof globalThis.navigator?.gpu === "object" && globalThis.navigator.gpu !== null;
  const notes = [];
  if (!simd) notes.push("This engine has no WebAssembly SIMD: no model can be run. A newer browser has it.");
  if (simd && !relaxedAccepted) notes.push("No relaxed SIMD: slower kernels are used.");
  if (relaxedAccepted && !relaxedSimd) {
    notes.push("The relaxed SIMD of this engine computes wrong products: slower kernels are used.");
  }
  if (!isolated) {
    notes.push("The page is not cross-origin isolated: there is one thread. Two headers change that (COOP, COEP).");
  }
  if (!webgpu) {
    notes.push(globalThis.isSecureContext === false
      ? "No WebGPU: the page is no secure context (https, or localhost)."
      : "No WebGPU: models run on the processor.");
  }
  const hardwareConcurrency = hardwareThreads();
  return {
    abiVersion: ABI_VERSION,
    simd,
    relaxedSimd,
    sharedMemory,
    crossOriginIsolated: isolated,
    webgpu,
    opfs: typeof globalThis.navigator?.storage?.getDirectory === "function",
    hardwareConcurrency,
    autoThreads: sharedMemory ? autoThreads(hardwareConcurrency) : 1,
    deviceMemoryGiB: globalThis.navigator?.deviceMemory ?? null,
    maxModelBytes: 2 ** 32 - 2 ** 28, // weights and context share the 4 GiB of a module
    module: simd ? moduleName(relaxedSimd, false) : null,
    notes,
  };
}

export function moduleName(relaxed, shared) {
  return `lbm${relaxed ? "-relaxed" : ""}${shared ? "-mt" : ""}.wasm`;
}

// For people: what there is, and a sentence for each thing that is missing. `gpu`: of gpuCapabilities().
export function capabilityLines(found, gpu = null) {
  const yes = (has) => (has ? "yes" : "no");
  const adapter = gpu?.adapter ? ` (${gpu.adapter.name}, f16 ${yes(gpu.adapter.f16)})` : "";
  const memory = found.deviceMemoryGiB === null ? "unknown" : `${found.deviceMemoryGiB} GiB or more`;
  return [
    `WebGPU ${yes(gpu?.available ?? found.webgpu)}${adapter}, `
      + `SIMD ${yes(found.simd)}, relaxed SIMD ${yes(found.relaxedSimd)}, `
      + `shared memory ${yes(found.sharedMemory)} (${found.autoThreads} of ${found.hardwareConcurrency} threads), `
      + `OPFS ${yes(found.opfs)}, memory ${memory}`,
    ...new Set([...found.notes, ...(gpu?.available ? gpu.notes : [])]),
  ];
}
