// Puts the weights of a model into GPU buffers: matrices as planes (blocks.mjs), vectors as f32.
//
// What a shader reads must fit into one binding. A larger matrix is cut by rows into several buffers,
// each with a dispatch of its own; the rows of a gate and those of its up matrix are cut alike.

import { BLOCK_TYPES, fileRowBytes, paddedColumns, planesOf } from "./blocks.mjs";
import { GpuUnsupportedError } from "./errors.mjs";

const CHUNK_BYTES = 8 * 1024 * 1024;

// The parts of consecutive blocks go to their planes, 16 bits at a time: no part is odd.
function splitBlocks(bytes, parts, planes, firstBlock) {
  const from = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const stride = parts.reduce((sum, [, n]) => sum + n / 2, 0);
  const nBlock = from.length / stride;
  parts.forEach(([first, size], p) => {
    const to = planes[p];
    const n = size / 2;
    let at = firstBlock * n;
    for (let block = 0; block < nBlock; ++block) {
      const start = block * stride + first / 2;
      for (let i = 0; i < n; ++i) to[at++] = from[start + i];
    }
  });
}

// Rows of a plain type, padded to whole units.
function copyRows(bytes, rowBytes, paddedBytes, to, firstRow) {
  if (rowBytes === paddedBytes) return to.set(bytes, firstRow * rowBytes);
  for (let row = 0; row * rowBytes < bytes.length; ++row) {
    to.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), (firstRow + row) * paddedBytes);
  }
}

const aligned = (bytes) => (bytes.byteOffset % 2 === 0 ? bytes : bytes.slice());

export class WeightLoader {
  #device;
  #read;
  #progress;
  bytes = 0; // on the GPU
  buffers = [];

  // `read(offset, size)`: a promise of bytes of the file. `progress(bytes read)`.
  constructor(device, read, progress) {
    this.#device = device;
    this.#read = read;
    this.#progress = progress;
  }

  get limit() {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#device.limits;
    return Math.min(maxStorageBufferBindingSize, maxBufferSize);
  }

  #create(label, size, usage) {
    const buffer = this.#device.createBuffer({ label, size, usage, mappedAtCreation: true });
    this.buffers.push(buffer);
    this.bytes += size;
    return buffer;
  }

  // One buffer with the rows of all `ranges` ([{ offset, nRow }], places in the file) in order.
  async #upload(label, type, nCol, ranges) {
    const nRow = ranges.reduce((sum, range) => sum + range.nRow, 0);
    const { planes, words } = planesOf(type, nRow, nCol);
    const buffer = this.#create(label, words * 4, STORAGE_COPY_DST);
    const mapped = buffer.getMappedRange();
    const { parts, block } = BLOCK_TYPES[type];
    const rowBytes = fileRowBytes(type, nCol);
    const targets = planes.map((at, p) => new Uint16Array(mapped, at * 4,
      Math.min((mapped.byteLength - at * 4) / 2, (nRow * paddedColumns(type, nCol) / block) * parts[p][1] / 2)));
    const whole = new Uint8Array(mapped);
    let row = 0;
    for (const range of ranges) {
      const rowsAtOnce = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
      for (let done = 0; done < range.nRow; done += rowsAtOnce) {
        const n = Math.min(rowsAtOnce, range.nRow - done);
        const bytes = aligned(await this.#read(range.offset + done * rowBytes, n * rowBytes));
        if (bytes.length !== n * rowBytes) throw new Error(`${label}: the file ended early`);
        if (block === 1) copyRows(bytes, rowBytes, paddedColumns(type, nCol) * parts[0][1], whole, row);
        else splitBlocks(bytes, parts, targets, (row * nCol) / block);
        row += n;
        this.#progress(bytes.length);
      }
    }
    buffer.unmap();
    return { buffer, planes, nRow };
  }

  // Rows of so many columns that fit into one binding, when `perRow` of them go together.
  #rowsOfPart(type, nCol, perRow) {
    const bytes = planesOf(type, 8 * perRow, nCol).words * 4;
    return Math.floor(this.limit / bytes) * 8;
  }

  // A matrix: [{ buffer, planes, row, nRow }], cut by rows where it must be. `tensors` stand below each
  // other; all have the same type and width.
  async matrix(tensors) {
    const [{ dtype, shape: [, nCol] }] = tensors;
    const most = this.#rowsOfPart(dtype, nCol, 1);
    const parts = [];
    let row = 0;
    let ranges = [];
    let nRow = 0;
    const flush = async () => {
      if (nRow === 0) return;
      parts.push({ ...await this.#upload(tensors[0].name, dtype, nCol, ranges), row });
      row += nRow;
      ranges = [];
      nRow = 0;
    };
    for (const tensor of tensors) {
      for (let done = 0; done < tensor.shape[0];) {
        const n = Math.min(tensor.shape[0] - done, most - nRow);
        ranges.push({ offset: tensor.offset + done * fileRowBytes(dtype, nCol), nRow: n });
        nRow += n;
        done += n;
        if (nRow === most) await flush();
      }
    }
    await flush();
    return { type: dtype, nCol, nRow: row, parts };
  }

  // Gate and up for one shader: each part holds rows of the gate, then the same ones of up.
  async gatedMatrix(gate, up) {
    const { dtype, shape: [nRow, nCol] } = gate;
    const most = this.#rowsOfPart(dtype, nCol, 2);
    const parts = [];
    for (let row = 0; row < nRow; row += most) {
      const n = Math.min(most, nRow - row);
      const ranges = [gate, up].map((tensor) =>
        ({ offset: tensor.offset + row * fileRowBytes(dtype, nCol), nRow: n }));
      parts.push({ ...await this.#upload(gate.name, dtype, nCol, ranges), row, nRow: n });
    }
    return { type: dtype, nCol, nRow, parts };
  }

  // Matrices that one dispatch must see whole (those of experts).
  async wholeMatrix(tensors) {
    const [{ dtype, shape: [, nCol], name }] = tensors;
    const nRow = tensors.reduce((sum, tensor) => sum + tensor.shape[0], 0);
    const size = planesOf(dtype, nRow, nCol).words * 4;
    if (size > this.limit) {
      throw new GpuUnsupportedError(
        `${name} takes ${size} bytes, and this adapter binds at most ${this.limit}`);
    }
    const part = await this.#upload(name, dtype, nCol, tensors.map((t) => ({ offset: t.offset, nRow: t.shape[0] })));
    return { type: dtype, nCol, nRow, parts: [{ ...part, row: 0 }] };
  }

  // The values of a vector in the file, as f32.
  async vector(tensor) {
    const bytes = await this.#read(tensor.offset, tensor.bytes);
    if (bytes.length !== tensor.bytes) throw new Error(`${tensor.name}: the file ended early`);
    this.#progress(bytes.length);
    const n = tensor.shape.reduce((product, d) => product * d, 1);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const read = {
      F32: (i) => view.getFloat32(4 * i, true),
      BF16: (i) => floatOfBits(view.getUint16(2 * i, true) << 16),
      F16: (i) => floatOfHalf(view.getUint16(2 * i, true)),
    }[tensor.dtype];
    if (!read) throw new GpuUnsupportedError(`${tensor.name} is a vector of type ${tensor.dtype}`);
    return Float32Array.from({ length: n }, (_, i) => read(i));
  }

  // One buffer of f32.
  floats(label, values) {
    const buffer = this.#create(label, Math.max(16, Math.ceil(values.length / 4) * 16), STORAGE_COPY_DST);
    new Float32Array(buffer.getMappedRange()).set(values);
    buffer.unmap();
    return buffer;
  }
}

// GPUBufferUsage.STORAGE | COPY_DST; the names are globals of browsers alone.
const STORAGE_COPY_DST = 0x80 | 0x08;

const scratch = new DataView(new ArrayBuffer(4));
function floatOfBits(bits) {
  scratch.setUint32(0, bits >>> 0);
  return scratch.getFloat32(0);
}
export function floatOfHalf(h) {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
