// The errors of the WebGPU backend. Each has a sentence for a person.

// This model, or this device, is nothing the backend runs; WebAssembly may.
export class GpuUnsupportedError extends Error {
  name = "GpuUnsupportedError";
}
// The device went away while it was in use, or refused what it was given.
export class GpuDeviceError extends Error {
  name = "GpuDeviceError";
}
// NaN or infinity among the logits.
export class GpuNumericError extends Error {
  name = "GpuNumericError";
}
