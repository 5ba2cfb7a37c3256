// Compiles the shaders of a plan: one pipeline for each text of a device, all at once.

import { GpuDeviceError } from "./errors.mjs";

const COMPUTE = 0x4; // GPUShaderStage.COMPUTE
const ofDevices = new WeakMap();

// The pipelines of a device: models on the same one share them.
export function pipelinesOf(device) {
  if (!ofDevices.has(device)) ofDevices.set(device, new Pipelines(device));
  return ofDevices.get(device);
}

class Pipelines {
  #device;
  #compiled = new Map();

  constructor(device) {
    this.#device = device;
  }

  async compile(shaders) {
    await Promise.all(shaders.filter((shader) => !this.get(shader)).map((shader) => this.#compileOne(shader)));
  }
  get(shader) {
    return this.#compiled.get(shader.text);
  }

  async #compileOne(shader) {
    const device = this.#device;
    const { label } = shader;
    const entry = (binding, type) => ({ binding, visibility: COMPUTE, buffer: { type } });
    const layout = device.createBindGroupLayout({
      label,
      entries: [
        entry(0, "uniform"), entry(1, "uniform"),
        ...shader.storage.map(([, , writable], i) => entry(i + 2, writable ? "storage" : "read-only-storage")),
      ],
    });
    const module = device.createShaderModule({ label, code: shader.text });
    try {
      const pipeline = await device.createComputePipelineAsync({
        label,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
      this.#compiled.set(shader.text, { pipeline, layout });
    } catch (error) {
      const { messages } = await module.getCompilationInfo();
      const first = messages.find(({ type }) => type === "error");
      const where = first ? ` (line ${first.lineNum}: ${first.message})` : "";
      throw new GpuDeviceError(`the shader "${label}" does not compile on this device${where}: ${error.message}`);
    }
  }
}
