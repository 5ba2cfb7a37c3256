// Asks for a GPU device with what the shaders can use of it.

import { GpuUnsupportedError } from "./errors.mjs";

const FEATURES = ["shader-f16", "subgroups"];
const LIMITS = ["maxStorageBufferBindingSize", "maxBufferSize"];

// A software adapter runs all of this, slower than WebAssembly does.
export function isSoftware({ info }) {
  return info.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|basic render|warp/i
    .test(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`);
}

// What the backend makes of an adapter, as data for people and for choosing. null where there is none.
export async function describeAdapter(gpu) {
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  return adapter ? { adapter, summary: summaryOf(adapter, gpu) } : null;
}

export function summaryOf(adapter, gpu) {
  const { vendor, architecture, device, description } = adapter.info;
  return {
    name: description || device || [vendor, architecture].filter(Boolean).join(" ") || "an unnamed adapter",
    vendor,
    architecture,
    software: isSoftware(adapter),
    f16: adapter.features.has("shader-f16"),
    // The shaders need to know which subgroup they are: a language feature beside the adapter's.
    subgroups: adapter.features.has("subgroups") && Boolean(gpu?.wgslLanguageFeatures?.has("subgroup_id")),
    packedDot: Boolean(gpu?.wgslLanguageFeatures?.has("packed_4x8_integer_dot_product")),
    maxBindingBytes: Math.min(adapter.limits.maxStorageBufferBindingSize, adapter.limits.maxBufferSize),
  };
}

export async function requestDevice(gpu) {
  const found = await describeAdapter(gpu);
  if (!found) throw new GpuUnsupportedError("there is no WebGPU adapter");
  const { adapter, summary } = found;
  const device = await adapter.requestDevice({
    label: "lbm",
    requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
  });
  return { device, summary };
}
