// One more thread of a module: an instance on the shared memory and on a stack of its own, which takes
// part in every job until the worker is ended (web/workers.h).

import { parentPeer } from "./spawn.mjs";

const parent = parentPeer();
parent.listen(({ wasm, memory, stackTop }) => {
  const { exports } = new WebAssembly.Instance(wasm, { env: { memory } });
  exports.__stack_pointer.value = stackTop;
  parent.post({ ready: true });
  try {
    exports.lbm_serve();
  } finally {
    exports.lbm_thread_failed(); // so that nobody waits for it
  }
});
