// SHA-256. Whole files are hashed while they come, piece after piece, which the hash of the browser
// can not do: the WebAssembly module of the core does it where it could be loaded, and a package of
// JavaScript otherwise (a third of its speed). Single chunks, which stand in memory, are hashed by
// the browser.

import { sha256 } from "@noble/hashes/sha2.js";

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

let module = null; // an LbmModule

// Takes the module at `url` for the hashes that begin later. Where that fails, nothing changes.
export async function loadFastSha256(url) {
  try {
    const [{ LbmModule }, response] = await Promise.all([import("../lib/lbm_module.mjs"), fetch(url)]);
    if (!response.ok) return false;
    module = new LbmModule(await WebAssembly.compileStreaming(response));
    return createSha256().hex().startsWith("e3b0c442"); // of nothing
  } catch {
    module = null;
    return false;
  }
}

export function toHex(bytes) {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

function ofModule() {
  try {
    return module?.sha256() ?? null;
  } catch {
    return null; // it has some at a time only
  }
}

// { update(bytes), hex() }. hex() ends it, and has to be called: the module has a few at a time.
export function createSha256() {
  const fast = ofModule();
  const hash = fast ?? sha256.create();
  return {
    update(bytes) {
      hash.update(bytes);
    },
    hex: () => toHex(hash.digest()),
  };
}

// The hash of bytes that are all there. They must not be shared memory.
export async function sha256Hex(bytes) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return toHex(sha256(bytes));
  return toHex(new Uint8Array(await subtle.digest("SHA-256", bytes)));
}

export const sha256Text = (text) => toHex(sha256(new TextEncoder().encode(text)));
