// Workers of browsers and of Node behind one face: start one, talk to it, and the worker's own side.
//
// A page with Trusted Types has to allow the policy "lbm-worker", which passes scripts of this folder
// and nothing else.

export const inNode = typeof process === "object" && Boolean(process.versions?.node);

const LIBRARY = new URL("./", import.meta.url).href;
let policy;

function threadsOfNode() {
  return process.getBuiltinModule("node:worker_threads");
}

function scriptUrl(url) {
  if (globalThis.trustedTypes === undefined) return url;
  policy ??= globalThis.trustedTypes.createPolicy("lbm-worker", {
    createScriptURL(text) {
      if (!text.startsWith(LIBRARY)) throw new TypeError(`${text} is no script of ${LIBRARY}`);
      return text;
    },
  });
  return policy.createScriptURL(url.href);
}

export function workersExist() {
  return inNode || typeof globalThis.Worker === "function";
}

// A module worker. onMessage(data) and onFailure(sentence) are set by whoever starts it. In Node it
// keeps the process alive only between ref() and unref().
export class Peer {
  #worker;
  onMessage = () => {};
  onFailure = () => {};

  constructor(url, name) {
    if (inNode) {
      this.#worker = new (threadsOfNode().Worker)(url, { name });
      this.#worker.on("message", (data) => this.onMessage(data));
      this.#worker.on("messageerror", (error) => this.onFailure(error.message));
      this.#worker.on("error", (error) => this.onFailure(error.message));
      this.#worker.on("exit", (code) => this.onFailure(`the worker has ended (exit code ${code})`));
      this.#worker.unref();
    } else {
      this.#worker = new Worker(scriptUrl(url), { type: "module", name });
      this.#worker.onmessage = ({ data }) => this.onMessage(data);
      this.#worker.onmessageerror = () => this.onFailure("a message of the worker can not be read");
      this.#worker.onerror = (event) => {
        event.preventDefault?.();
        this.onFailure(event.message ?? `${url} can not be started`);
      };
    }
  }

  post(message, transfer = []) {
    this.#worker.postMessage(message, transfer);
  }
  ref() {
    if (inNode) this.#worker.ref();
  }
  unref() {
    if (inNode) this.#worker.unref();
  }
  terminate() {
    this.onMessage = () => {};
    this.onFailure = () => {};
    return this.#worker.terminate();
  }
}

// The worker's side: { post(message, transfer), listen(f) }.
export function parentPeer() {
  if (!inNode) {
    return {
      post: (message, transfer = []) => globalThis.postMessage(message, transfer),
      listen: (f) => (globalThis.onmessage = ({ data }) => f(data)),
    };
  }
  const { parentPort } = threadsOfNode();
  return {
    post: (message, transfer = []) => parentPort.postMessage(message, transfer),
    listen: (f) => parentPort.on("message", f),
  };
}

// Threads that this machine offers.
export function hardwareThreads() {
  return globalThis.navigator?.hardwareConcurrency
    ?? (inNode ? process.getBuiltinModule("node:os").availableParallelism() : 1);
}

let channel;
const waiting = [];

// Resolves after everything else on this thread has had its turn: what was posted here before, too.
export function nextTask() {
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  if (channel === undefined) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()();
  }
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}
