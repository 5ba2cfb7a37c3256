// Evaluates tokens: replays the steps of a plan, and reads back logits or candidates.

import { chunksOf } from "./chunks.mjs";
import { GpuDeviceError, GpuNumericError } from "./errors.mjs";
import { USAGE } from "./plan.mjs";
import { TOP_K, TOP_NOT_FINITE } from "./wgsl_select.mjs";

const MAP_READ = 0x1; // GPUMapMode.READ

export class Forward {
  nPast = 0; // positions that stand in the cache
  #device;
  #plan;
  #ropes; // the model's, then that of its windowed layers where it has its own
  #nVocab;
  #options;
  #readback;
  #angles;

  constructor(device, plan, ropes, { nVocab, nCtx, nBatch }) {
    this.#device = device;
    this.#plan = plan;
    this.#ropes = ropes;
    this.#nVocab = nVocab;
    this.#options = { nCtx, nBatch };
    this.#angles = new Float32Array(2 * plan.nAngle * ropes.length);
    this.#readback = device.createBuffer({
      label: "readback", size: Math.ceil(Math.max(nVocab, 2 * TOP_K) / 4) * 16, usage: USAGE.MAP_READ | USAGE.COPY_DST,
    });
  }

  destroy() {
    this.#readback.destroy();
  }

  // Evaluates `tokens` behind the first nPast of those before; of the last one come the logits, or the
  // topK best candidates. Between batches `goOn` throws what ends the evaluation.
  async evaluate(tokens, nPast, topK, goOn) {
    this.#check(tokens, nPast);
    this.nPast = nPast; // what stood behind it goes, whatever happens
    await this.#prepare(tokens.length, nPast, topK);
    for (let done = 0; done < tokens.length;) {
      goOn();
      const n = Math.min(this.#options.nBatch, tokens.length - done);
      const isLast = done + n === tokens.length;
      this.#submit(tokens.subarray(done, done + n), nPast + done, isLast, topK);
      done += n;
      // Not too far ahead of the device, so that it stays responsive and an abort is heard.
      if (!isLast) await this.#device.queue.onSubmittedWorkDone();
    }
    const result = await this.#result(topK);
    this.nPast = nPast + tokens.length;
    return result;
  }

  // What this evaluation needs beyond the usual: candidates, a long context.
  async #prepare(nToken, nPast, topK) {
    if (topK) await this.#plan.prepare("top");
    const nLast = (nToken - 1) % this.#options.nBatch + 1; // of the last batch; the others are whole
    const inChunks = [nLast, this.#options.nBatch].some((n) => chunksOf(n, nPast + nToken).nChunk > 1);
    if (inChunks) await this.#plan.prepare("chunks");
  }

  #check(tokens, nPast) {
    const { nCtx } = this.#options;
    if (tokens.length === 0) throw new RangeError("there are no tokens to evaluate");
    if (!Number.isInteger(nPast) || nPast < 0 || nPast > this.nPast) {
      throw new RangeError(`position ${nPast} is behind the ${this.nPast} that were evaluated`);
    }
    if (nPast + tokens.length > nCtx) {
      throw new RangeError(`${nPast + tokens.length} tokens are more than the context of ${nCtx}`);
    }
    const wrong = tokens.find((id) => id >= this.#nVocab);
    if (wrong !== undefined) throw new RangeError(`token ${wrong} is not one of the ${this.#nVocab}`);
  }

  #submit(tokens, firstPos, isLast, topK) {
    const plan = this.#plan;
    const { queue } = this.#device;
    const nToken = tokens.length;
    const batch = { nToken, ...chunksOf(nToken, firstPos + nToken) };
    queue.writeBuffer(plan.batch, 0, new Uint32Array([nToken, firstPos, batch.nChunk, batch.chunk]));
    queue.writeBuffer(plan.buffers.tokens, 0, tokens);
    this.#ropes.forEach((rope, i) => {
      rope.angles(firstPos, nToken, this.#angles, 2 * plan.nAngle * i);
      queue.writeBuffer(plan.buffers.angles, 8 * plan.nAngle * i, this.#angles, 2 * plan.nAngle * i,
        2 * nToken * rope.nPair);
    });
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const steps = [...(nToken === 1 ? plan.decode : plan.prefill), ...(isLast ? plan.head : []),
      ...(isLast && topK ? plan.top : [])];
    let pipeline = null;
    for (const step of steps) {
      if (!step.when(batch)) continue;
      if (pipeline !== step.pipeline) pass.setPipeline(pipeline = step.pipeline);
      pass.setBindGroup(0, step.bindGroup);
      pass.dispatchWorkgroups(...step.grid(batch));
    }
    pass.end();
    if (isLast) this.#copyResult(encoder, topK);
    queue.submit([encoder.finish()]);
  }

  #copyResult(encoder, topK) {
    const { buffers, topBuffers } = this.#plan;
    if (!topK) return encoder.copyBufferToBuffer(buffers.logits, 0, this.#readback, 0, 4 * this.#nVocab);
    topBuffers.forEach((name, i) =>
      encoder.copyBufferToBuffer(buffers[name], 0, this.#readback, 4 * TOP_K * i, 4 * TOP_K));
  }

  async #result(topK) {
    const size = topK ? 8 * TOP_K : 4 * this.#nVocab;
    try {
      await this.#readback.mapAsync(MAP_READ, 0, size);
    } catch (error) {
      throw new GpuDeviceError(`the device gave no result: ${error.message}`);
    }
    const copy = this.#readback.getMappedRange(0, size).slice(0);
    this.#readback.unmap();
    if (!topK) return { logits: checkedLogits(new Float32Array(copy)) };
    const n = Math.min(topK, this.#nVocab);
    const logits = new Float32Array(copy, 0, n);
    if (logits[0] >= TOP_NOT_FINITE) throw new GpuNumericError("NaN or infinity among the logits");
    return { ids: new Uint32Array(copy, 4 * TOP_K, n), logits };
  }
}

function checkedLogits(logits) {
  // x - x is 0 of finite numbers alone.
  for (let i = 0; i < logits.length; ++i) {
    if (logits[i] - logits[i] !== 0) throw new GpuNumericError(`NaN or infinity as the logit of token ${i}`);
  }
  return logits;
}
