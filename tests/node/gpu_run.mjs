// Runs one shader of web/gpu on given arrays.

import { pipelinesOf } from "../../web/gpu/pipelines.mjs";
import { USAGE } from "../../web/gpu/plan.mjs";
import { packOp } from "../../web/gpu/wgsl.mjs";

const MAP_READ = 0x1;

function upload(device, values, usage) {
  const size = Math.max(16, Math.ceil(values.byteLength / 16) * 16);
  const buffer = device.createBuffer({ size, usage: usage | USAGE.COPY_DST | USAGE.COPY_SRC });
  device.queue.writeBuffer(buffer, 0, values);
  return buffer;
}

async function download(device, buffer) {
  const copy = device.createBuffer({ size: buffer.size, usage: USAGE.MAP_READ | USAGE.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(MAP_READ);
  const bytes = copy.getMappedRange().slice(0);
  copy.destroy();
  return bytes;
}

// `arrays`: for each binding of the shader a typed array or a GPUBuffer. `read`: names of bindings whose
// contents are wanted. Returns { name: ArrayBuffer }.
export async function runShader(device, shader, { op, batch = {}, arrays, grid, read = ["y"] }) {
  const pipelines = pipelinesOf(device);
  await pipelines.compile([shader]);
  const { pipeline, layout } = pipelines.get(shader);
  const { n_token = 1, first_pos = 0, n_chunk = 1, chunk = 0x40000000 } = batch;
  const given = shader.storage.map(([name]) => {
    if (!(name in arrays)) throw new Error(`${shader.label}: no array for ${name}`);
    return arrays[name] instanceof Object && "mapState" in arrays[name]
      ? arrays[name] : upload(device, arrays[name], USAGE.STORAGE);
  });
  const uniforms = [new Uint32Array([n_token, first_pos, n_chunk, chunk]), packOp(shader.op, op)]
    .map((values) => upload(device, values, USAGE.UNIFORM));
  const bindGroup = device.createBindGroup({
    layout,
    entries: [...uniforms, ...given].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  device.pushErrorScope("validation");
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...grid);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${shader.label}: ${error.message}`);
  const result = {};
  for (const name of read) {
    result[name] = await download(device, given[shader.storage.findIndex(([n]) => n === name)]);
  }
  return result;
}
