// The worker in which the store works. store.mjs has the messages.

import { ArtifactStore } from "./artifact_store.mjs";
import { asStoreError } from "./errors.mjs";
import { OpfsFiles } from "./opfs_files.mjs";
import { loadFastSha256 } from "./sha256.mjs";

const FOLDER = "lbm-store";

let store = null;
const controllers = new Map(); // number of a call -> AbortController

async function open({ folder = FOLDER, modules = new URL("../", import.meta.url), ...options } = {}) {
  loadFastSha256(new URL("lbm.wasm", modules)); // not waited for
  store = await ArtifactStore.open(await OpfsFiles.open(folder), options);
}

async function answer({ call, method, args, options }) {
  const controller = new AbortController();
  controllers.set(call, controller);
  try {
    const onProgress = (progress) => postMessage({ call, progress });
    const result = method === "open" ? await open(options)
      : await store[method](...args, { ...options, signal: controller.signal, onProgress });
    postMessage({ call, result: result ?? null });
  } catch (error) {
    postMessage({ call, error: asStoreError(error, "the store").toJSON() });
  } finally {
    controllers.delete(call);
  }
}

onmessage = ({ data }) => {
  if (data.abort !== undefined) controllers.get(data.abort)?.abort();
  else answer(data);
};
