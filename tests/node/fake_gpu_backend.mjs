// A backend as web/gpu/backend.mjs is one, without a GPU: a module evaluates. What it does wrong is said by its
// own URL: fake_gpu_backend.mjs?modules=URL&refuse=SENTENCE&loseAfter=N&noise=X&logits=1&endAfter=N
// &gate=NAME. With a gate each evaluation says "asked" on that BroadcastChannel and waits for "go".

import { LbmError, LbmModule } from "../../web/lib/lbm_module.mjs";
import { openBytes } from "../../web/lib/sources.mjs";

const query = new URL(import.meta.url).searchParams;
const number = (name, otherwise) => Number(query.get(name) ?? otherwise);

export async function createGpuBackend({ description, read, nCtx, onProgress }) {
  if (query.has("refuse")) throw new LbmError(query.get("refuse"));
  if (description.family === undefined || description.tensors.length === 0) throw new LbmError("a poor description");
  const end = Math.max(...description.tensors.map(({ offset, bytes }) => offset + bytes));
  const file = await read(0, end);
  const module = new LbmModule(await WebAssembly.compile(await openBytes(new URL("lbm.wasm", query.get("modules")))));
  module.beginLoad(file.length, { nCtx });
  module.writeLoad(file);
  module.commitLoad();
  onProgress?.({ phase: "gpu", done: file.length, total: file.length });

  const gate = query.has("gate") ? openGate(query.get("gate")) : null;
  let nDone = 0;
  let nLeft = number("loseAfter", Infinity);
  let reportLoss;
  const lost = new Promise((resolve) => (reportLoss = resolve));
  return {
    info: { name: "a module that plays a GPU" },
    bytes: file.length,
    lost,
    async evaluate(tokens, nPast, { topK = 0 } = {}) {
      await gate?.pass();
      if (++nDone > number("endAfter", Infinity)) process.exit(3); // this worker, and no other
      if (--nLeft < 0) {
        reportLoss({ reason: "unknown", message: "somebody pulled the card out" });
        throw new Error("the device is lost");
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
      module.withBytes(new Uint8Array(Uint32Array.from(tokens).buffer), (at) =>
        module.check(module.exports.lbm_evaluate(nPast, at, tokens.length)));
      const logits = new Float32Array(module.bytes(module.exports.lbm_logits(),
        description.n_vocab * 4).slice().buffer);
      const noise = number("noise", 0);
      if (noise > 0) logits.forEach((_, i) => (logits[i] += noise * Math.sin(i * 12.9898 + nPast)));
      if (topK === 0 || query.has("logits")) return { logits };
      const ids = Uint32Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b).slice(0, topK);
      return { ids, logits: Float32Array.from(ids, (id) => logits[id]) };
    },
    rewind() {},
    destroy() {
      gate?.close();
    },
  };
}

function openGate(name) {
  const channel = new BroadcastChannel(name);
  let open = () => {};
  channel.onmessage = ({ data }) => data === "go" && open();
  const pass = () => new Promise((resolve) => {
    open = resolve;
    channel.postMessage("asked");
  });
  return { pass, close: () => channel.close() };
}
