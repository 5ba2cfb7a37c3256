// An Engine in a worker: the same methods, behind messages.
//
//   to the worker                          from the worker
//   { call, method, args }                 { ready }                      once, at the start
//   { call, abort: true }                  { call, result, info }         info(), as it is then: of a load,
//                                          { call, error, info }          and after an error
//   { call, taken }  events so far         { call, event, sequence }      of an answer, in order
//   { call, bytes } or { call, error }     { call, pull: {} or { at, n } }  of a source on this side
//                                          { call, progress }, { event, info }  telemetry
//
// What is posted is a copy, or moves: ids of encode() move here, pieces of a source are copied and the copy
// moves there. A buffer that was given with `transfer` moves whole and is detached here.

import { busy } from "./engine.mjs";
import { LbmError } from "./lbm_module.mjs";
import { absoluteUrl, iteratorOf, leave, openSource } from "./sources.mjs";
import { Peer } from "./spawn.mjs";

const WORKER = new URL("./worker.mjs", import.meta.url);
const START_MS = 30_000;

function revived({ name, message, code, kind, stack }) {
  if (name === "LbmError") return new LbmError(message, code, kind);
  return Object.assign(new Error(message), { name, workerStack: stack });
}

export class RemoteEngine {
  #peer;
  #emit;
  #calls = new Map();
  #nCall = 0;
  #failure = null;
  #info = null;
  #doing = ""; // until whoever asked has all of it, as without a worker

  static async create(options = {}, emit = () => {}) {
    const engine = new RemoteEngine(emit);
    await engine.#started();
    try {
      await engine.#call("create", [absolute(options)]);
    } catch (error) {
      engine.#peer.terminate();
      throw error;
    }
    return engine;
  }

  constructor(emit) {
    this.#emit = emit;
    try {
      this.#peer = new Peer(WORKER, "lbm");
    } catch (error) {
      throw new LbmError(`the worker does not start: ${error.message}`, 0, "worker");
    }
  }

  async #started() {
    this.#peer.ref();
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#peer.onFailure(`no answer in ${START_MS / 1000} s`), START_MS);
      this.#peer.onMessage = () => resolve(clearTimeout(timer));
      this.#peer.onFailure = (message) => {
        clearTimeout(timer);
        this.#peer.terminate();
        reject(new LbmError(`the worker does not start: ${message}`, 0, "worker"));
      };
    });
    this.#peer.unref();
    this.#peer.onMessage = (message) => this.#receive(message);
    this.#peer.onFailure = (message) => this.#fail(new LbmError(`the worker is gone: ${message}`, 0, "worker"));
  }

  #occupy(what) {
    if (this.#failure !== null) throw this.#failure;
    if (this.#doing) throw busy(this.#doing);
    this.#doing = what;
  }

  // ---- messages ----------------------------------------------------------------------------------

  // Nothing can be asked any more; what was asked is answered by `error`.
  #fail(error) {
    this.#failure ??= error;
    this.#peer.terminate();
    this.#peer.unref();
    for (const call of [...this.#calls.values()]) call.reject(this.#failure);
  }

  #receive(message) {
    if (message.info !== undefined) this.#info = message.info;
    if (message.call === undefined) return this.#emit(message.event);
    const call = this.#calls.get(message.call);
    if (call === undefined) return undefined;
    if (message.progress !== undefined) return this.#progress(call, message.progress);
    if (message.pull !== undefined) return this.#feed(call, message.pull);
    if (message.event !== undefined) return call.onEvent(message.event, message.sequence);
    if (call.failure !== undefined) return call.reject(call.failure);
    if (message.error === undefined) return call.resolve(message.result);
    const error = Object.assign(revived(message.error), message.error.record && { record: message.error.record });
    call.reject(error);
    if (message.error.failed) this.#fail(error);
    return undefined;
  }

  // A callback that throws ends the call, as it does without a worker: when the worker is done with it.
  #progress(call, progress) {
    if (call.failure !== undefined) return;
    try {
      call.onProgress?.(progress);
    } catch (error) {
      call.failure = error;
      this.#peer.post({ call: call.number, abort: true });
    }
  }

  async #feed(call, { at, n }) {
    const answer = (message, transfer) => this.#calls.has(call.number) && this.#peer.post(message, transfer);
    try {
      const bytes = at === undefined ? (await call.chunks.next()).value : await call.source.read(at, n);
      const copy = bytes ? new Uint8Array(bytes) : null;
      answer({ call: call.number, bytes: copy }, copy === null ? [] : [copy.buffer]);
    } catch ({ name, message }) {
      answer({ call: call.number, error: { name, message } });
    }
  }

  // `more`: signal, onProgress, onEvent, transfer, source.
  #call(method, args, more = {}) {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const { signal, transfer = [] } = more;
    if (signal?.aborted) return Promise.reject(signal.reason);
    const number = ++this.#nCall;
    const abort = () => this.#peer.post({ call: number, abort: true });
    return new Promise((resolve, reject) => {
      const chunks = more.source?.read === null ? iteratorOf(more.source.chunks()) : null;
      const end = (f) => (value) => {
        signal?.removeEventListener("abort", abort);
        this.#calls.delete(number);
        if (this.#calls.size === 0) this.#peer.unref();
        if (chunks !== null) leave(chunks);
        f(value);
      };
      const call = { number, ...more, chunks, resolve: end(resolve), reject: end(reject) };
      this.#peer.post({ call: number, method, args }, transfer); // throws what can not be copied
      this.#calls.set(number, call);
      this.#peer.ref();
      signal?.addEventListener("abort", abort);
    });
  }

  // ---- as Engine ---------------------------------------------------------------------------------

  async load(source, { transfer = false, ...options } = {}, { signal, onProgress } = {}) {
    this.#occupy("loading");
    try {
      await this.#load(source, options, transfer, { signal, onProgress });
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      this.#doing = "";
    }
    return this.info();
  }

  async #load(source, options, transfer, context) {
    const send = (from, more) => this.#call("load", [from, options], { ...context, ...more });
    if (typeof source === "string" || source instanceof URL) return send(absoluteUrl(source).href);
    const isBytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
    if (isBytes && transfer) return send(source, { transfer: [ArrayBuffer.isView(source) ? source.buffer : source] });
    const blob = source instanceof Blob ? source : source?.blob;
    if (blob instanceof Blob) {
      try {
        return await send(blob);
      } catch (error) {
        // The Blob of a file in Node can not be copied.
        if (error.name !== "DataCloneError" && error.code !== "ERR_INVALID_STATE") throw error;
      }
    }
    const opened = await openSource(source, context.signal);
    const { size, name, read } = opened;
    return send({ remote: { size, name, canRead: read !== null } }, { source: opened });
  }

  info() {
    return this.#info && { ...this.#info };
  }

  async *generate(input, options = {}, { signal, onRecord } = {}) {
    signal?.throwIfAborted();
    this.#occupy("an answer");
    const stop = new AbortController(); // of the signal, and of a loop that is left
    const follow = () => stop.abort();
    signal?.addEventListener("abort", follow);
    const events = [];
    let wake = () => {};
    stop.signal.addEventListener("abort", () => wake());
    let outcome = null;
    const onEvent = (event, sequence) => {
      events.push({ event, sequence });
      wake();
    };
    const call = this.#call("generate", [input, options], { signal: stop.signal, onEvent }).then(
      (result) => (outcome = { result }), (error) => (outcome = { error }));
    call.then(() => wake());
    try {
      const number = this.#nCall;
      for (let nTaken = 0; ; ) {
        if (stop.signal.aborted) break; // what has come since is not given out
        if (events.length > 0) {
          const { event, sequence } = events.shift();
          if (sequence !== nTaken) throw new LbmError(`event ${sequence} of an answer came in place of ${nTaken}`);
          ++nTaken;
          if (this.#calls.has(number)) this.#peer.post({ call: number, taken: nTaken });
          yield event;
        } else if (outcome !== null) {
          break;
        } else {
          await new Promise((resolve) => (wake = resolve));
        }
      }
    } finally {
      signal?.removeEventListener("abort", follow);
      if (outcome === null) stop.abort();
      await call; // the next answer can begin then
      this.#doing = "";
      const record = outcome.result?.record ?? outcome.error?.record;
      if (record) onRecord?.(record);
    }
    if (signal?.aborted) throw signal.reason;
    if (outcome.error) throw outcome.error;
    return outcome.result.answer;
  }

  encode(texts, options) {
    return this.#call("encode", [texts, options]);
  }
  decode(batch, options) {
    return this.#call("decode", [batch, options]);
  }
  shuffle(ids, seed) {
    return this.#call("shuffle", [ids, seed]);
  }
  async reset() {
    this.#occupy("a reset");
    this.#doing = "";
    return this.#call("reset", []);
  }
  diagnostics() {
    return this.#call("diagnostics", []);
  }
  async free() {
    this.#info = null;
    this.#fail(new LbmError("the model was given back by free()", 0, "freed"));
    await this.#peer.terminate();
  }
}

// URLs mean what they mean here, not in the worker.
function absolute(options) {
  const { module, modules, gpuBackend } = options;
  const url = (value) => (typeof value === "string" || value instanceof URL ? absoluteUrl(value).href : value);
  return { ...options, module: url(module), modules: url(modules), gpuBackend: url(gpuBackend) };
}
