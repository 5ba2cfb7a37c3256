// createModel() with the real WebGPU backend, on whatever adapter there is (Dawn on a software one in Node).
//
//   lib_webgpu_test.mjs --lbm BUILD/lbm --modules BUILD/web [--golden DIR] [--model FILE]

import { checkRecord, createModel, gpuCapabilities } from "../../web/lib/lbm.mjs";
import { openGpu } from "./gpu_device.mjs";
import { GREEDY, N_CTX, PROMPT, collect, expect, expectEqual, modules, tiny } from "./lib_support.mjs";
import { TestReport } from "./module.mjs";

const report = new TestReport();
const SHORT = { temperature: 1.2, seed: 9, maxTokens: 4, raw: true };
const { gpu, why } = await openGpu();

async function checkWebGpu() {
  const settings = { modules, nCtx: N_CTX, threads: 1, gpu };
  const model = await createModel(tiny, { ...settings, backend: "webgpu" });
  await report.runAsync("MVP-2: where it is demanded, the model is evaluated on WebGPU", async () => {
    expectEqual(model.info.backend, "webgpu", "backend");
    const { memory } = await model.diagnostics();
    expect(model.info.gpu.name.length > 0 && memory.gpuBytes > 0, "an adapter and its memory");
  });
  await report.runAsync("MVP-4: the same seed, settings and backend give the same tokens", async () => {
    const { record } = await collect(model.generate(PROMPT, SHORT));
    expectEqual(`${record.backend} ${record.numerics}`, "webgpu G", "of the record");
    expectEqual(checkRecord(record).join(), "", "problems");
    await model.reset();
    const again = await model.replay(record);
    expect(again.equal && again.differs.length === 0, JSON.stringify(again.firstDivergence));
  });
  await report.runAsync("MVP-15: a replay by WebAssembly says whether it drifts", async () => {
    const { record } = await collect(model.generate(PROMPT, { ...GREEDY, digest: false, raw: true, maxTokens: 4 }));
    const here = await createModel(tiny, { modules, nCtx: N_CTX, threads: 1, backend: "wasm" });
    const again = await here.replay(record);
    await here.free();
    expectEqual(again.differs.join(), "backend", "what differs");
    expect(again.equal || again.firstDivergence.at === again.nEqual, JSON.stringify(again));
    console.log(`note: ${again.nEqual} of ${record.n_out} tokens are those of WebAssembly`);
  });
  await model.free();
  await report.runAsync("MVP-2: a software adapter is used only where it is demanded", async () => {
    const found = await gpuCapabilities({ gpu });
    const chosen = await createModel(tiny, settings);
    expectEqual(chosen.info.backend, found.adapter.software ? "wasm" : "webgpu", "backend");
    expect(!found.adapter.software || /software/.test(chosen.info.reasons[0]), `reasons: ${chosen.info.reasons}`);
    await chosen.free();
  });
}

if (!tiny) console.log("skipped: no golden data and no model");
else if (gpu === null) console.log(`skipped: ${why}`);
else await checkWebGpu();
report.run("WebGPU that is missing is said to be", () => expect(gpu !== null || why !== "", "a reason"));
report.finish();
process.exit(); // Dawn would keep the process alive
