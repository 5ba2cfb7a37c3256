// Which WebAssembly module runs, compiled, with its identity and with what was chosen and why.

import { capabilities, moduleName } from "./capabilities.mjs";
import { LbmError } from "./lbm_module.mjs";
import { sha256Hex } from "./sha256.mjs";
import { absoluteUrl, openBytes } from "./sources.mjs";
import { autoThreads, mayWait } from "./threads.mjs";

const DEFAULT_FOLDER = new URL("../", import.meta.url); // build/web/lib/ stands beside the modules
const MAX_THREADS = 64;

// How many threads there will be: what was asked for, as far as this place has them.
export function chooseThreads(wanted, found, notes) {
  if (wanted !== "auto" && !(Number.isInteger(wanted) && wanted >= 1 && wanted <= MAX_THREADS)) {
    throw new LbmError(`threads is "auto" or a number from 1 to ${MAX_THREADS}, not ${wanted}`);
  }
  const n = wanted === "auto" ? autoThreads(found.hardwareConcurrency) : wanted;
  if (n === 1) return 1;
  if (!found.sharedMemory) {
    notes.push("One thread: memory can be shared only where the page is cross-origin isolated (COOP, COEP).");
    return 1;
  }
  if (!mayWait()) {
    notes.push("One thread: on the page's own thread nobody may wait for others. A worker may.");
    return 1;
  }
  return n;
}

// { wasm, shared, name, hash }. `hash` is null where the bytes were never seen.
async function openGiven(module) {
  if (module instanceof WebAssembly.Module) return { wasm: module, shared: needsShared(module), name: "", hash: null };
  if (module instanceof ArrayBuffer) return compiled(new Uint8Array(module), "");
  if (ArrayBuffer.isView(module)) {
    return compiled(new Uint8Array(module.buffer, module.byteOffset, module.byteLength), "");
  }
  const url = absoluteUrl(module);
  return compiled(await openBytes(url), url.pathname.split("/").at(-1));
}

async function compiled(bytes, name) {
  const [wasm, hash] = await Promise.all([WebAssembly.compile(bytes), hashOf(bytes)]);
  const shared = /^lbm.*\.wasm$/.test(name) ? name.endsWith("-mt.wasm") : needsShared(wasm);
  return { wasm, shared, name, hash };
}

async function hashOf(bytes) {
  const subtle = globalThis.crypto?.subtle; // absent where the page is no secure context
  if (subtle === undefined) return sha256Hex(bytes);
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The kind of memory is told by no interface: an instance tells.
function needsShared(wasm) {
  try {
    new WebAssembly.Instance(wasm, { env: { memory: new WebAssembly.Memory({ initial: 2048, maximum: 65535 }) } });
    return false;
  } catch {
    return true;
  }
}

// `options`: module, modules, threads. The answer has nThread and notes as well.
export async function openModule(options) {
  const found = capabilities();
  if (!found.simd) throw new LbmError(found.notes[0]);
  const notes = [];
  const wanted = options.threads ?? "auto";
  if (options.module !== undefined) {
    const file = await openGiven(options.module);
    if (!file.shared && wanted !== "auto" && wanted > 1) notes.push("One thread: this module has no shared memory.");
    return { ...file, nThread: file.shared ? chooseThreads(wanted, found, notes) : 1, notes };
  }
  const folder = options.modules === undefined ? DEFAULT_FOLDER : absoluteUrl(withSlash(options.modules));
  const nThread = chooseThreads(wanted, found, notes);
  const open = (shared) => openGiven(new URL(moduleName(found.relaxedSimd, shared), folder));
  try {
    return { ...(await open(nThread > 1)), nThread, notes };
  } catch (error) {
    if (nThread === 1) throw error;
    notes.push(`One thread: ${error.message}`);
    return { ...(await open(false)), nThread: 1, notes };
  }
}

function withSlash(folder) {
  const text = String(folder);
  return text.endsWith("/") ? text : `${text}/`;
}
