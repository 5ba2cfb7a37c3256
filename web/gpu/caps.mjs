// What WebGPU offers here, in a form for people: the capability panel, and why it is not used.

import { describeAdapter } from "./device.mjs";

// { available, adapter: null | summary (device.mjs), notes: [sentences] }. Never throws.
export async function gpuCapabilities(gpu = globalThis.navigator?.gpu) {
  if (!gpu) {
    return { available: false, adapter: null, notes: ["This browser has no WebGPU; models run in WebAssembly."] };
  }
  try {
    const found = await describeAdapter(gpu);
    if (!found) {
      return {
        available: false, adapter: null,
        notes: ["WebGPU is here, and no graphics adapter is. Hardware acceleration may be switched off."],
      };
    }
    return { available: true, adapter: found.summary, notes: notesOn(found.summary) };
  } catch (error) {
    return { available: false, adapter: null, notes: [`WebGPU does not start: ${error.message}`] };
  }
}

function notesOn({ software, f16, subgroups }) {
  const notes = [];
  if (software) notes.push("The adapter is software: WebAssembly is faster here.");
  if (!f16) notes.push("No shader-f16: weights are expanded to f32.");
  if (!subgroups) notes.push("No subgroups: sums meet in workgroup memory.");
  return notes;
}
