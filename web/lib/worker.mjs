// A module worker that owns one Engine and does what a RemoteEngine asks (remote_engine.mjs has the
// messages).

import { Engine } from "./engine.mjs";
import { chunksOf } from "./sources.mjs";
import { parentPeer } from "./spawn.mjs";

const MAX_AHEAD = 64; // tokens that nobody has taken yet

const parent = parentPeer();
const calls = new Map();
let engine = null;

class Call {
  abort = new AbortController();
  #nSent = 0;
  #nTaken = 0;
  #wake = () => {};
  #pulls = [];

  constructor(number) {
    this.number = number;
    this.abort.signal.addEventListener("abort", () => this.#wake());
  }

  // The next event of the call, when there is room for it.
  async send(event) {
    while (this.#nSent - this.#nTaken >= MAX_AHEAD && !this.abort.signal.aborted) {
      await new Promise((resolve) => (this.#wake = resolve));
    }
    parent.post({ call: this.number, event, sequence: this.#nSent++ });
  }
  taken(n) {
    this.#nTaken = n;
    this.#wake();
  }

  // Bytes of a source on the other side: the next ones, or those of a range; null at the end.
  pull(range) {
    return new Promise((resolve, reject) => {
      this.#pulls.push({ resolve, reject });
      parent.post({ call: this.number, pull: range });
    });
  }
  pulled({ bytes, error }) {
    const { resolve, reject } = this.#pulls.shift();
    return error === undefined ? resolve(bytes) : reject(Object.assign(new Error(error.message), { name: error.name }));
  }
  // A source (sources.mjs) as openSource() takes it.
  source({ size, name, canRead }) {
    const read = canRead ? (at, n) => this.pull({ at, n }) : null;
    return { size, name, read, chunks: canRead ? chunksOf(size, read) : this.#nextChunks() };
  }
  async *#nextChunks() {
    for (let bytes = await this.pull({}); bytes !== null; bytes = await this.pull({})) yield bytes;
  }
}

const methods = {
  async create(call, options) {
    const info = (type) => (type === "backend" ? { info: engine.info() } : {}); // it has changed by itself
    engine = await Engine.create(options, (event) => parent.post({ event, ...info(event.type) }));
  },
  load(call, source, options) {
    const onProgress = (progress) => parent.post({ call: call.number, progress });
    const from = source?.remote === undefined ? source : call.source(source.remote);
    return engine.load(from, options, { signal: call.abort.signal, onProgress });
  },
  async generate(call, input, options) {
    let record = null;
    const steps = engine.generate(input, options, { signal: call.abort.signal, onRecord: (made) => (record = made) });
    try {
      for (;;) {
        const { done, value } = await steps.next();
        if (done) return { answer: value, record };
        await call.send(value);
      }
    } catch (error) {
      throw Object.assign(error, { record });
    }
  },
  encode: (call, ...args) => engine.encode(...args),
  decode: (call, ...args) => engine.decode(...args),
  shuffle: (call, ...args) => engine.shuffle(...args),
  reset: () => engine.reset(),
  diagnostics: () => engine.diagnostics(),
};

function buffersOf(result) {
  if (result instanceof Uint32Array) return [result.buffer];
  return Array.isArray(result) && result[0] instanceof Uint32Array ? result.map(({ buffer }) => buffer) : [];
}

async function run({ call: number, method, args }) {
  const call = new Call(number);
  calls.set(number, call);
  try {
    const result = await methods[method](call, ...args);
    parent.post({ call: number, result, ...(method === "load" && { info: result }) }, buffersOf(result));
  } catch (error) {
    const { name, message, code = 0, kind = "", stack = "", record = null } = error;
    const failed = engine?.failed === true;
    const told = { name, message, code: Number(code) || 0, kind, stack, record, failed };
    parent.post({ call: number, error: told, info: engine?.info() ?? null });
  } finally {
    calls.delete(number);
  }
}

parent.listen((message) => {
  if (message.method !== undefined) return run(message);
  const call = calls.get(message.call); // gone where an answer has ended in the meantime
  if (message.abort) return call?.abort.abort();
  if (message.taken !== undefined) return call?.taken(message.taken);
  return call?.pulled(message);
});
parent.post({ ready: true });
