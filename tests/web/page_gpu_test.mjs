// The page with WebGPU on a software adapter, and where there is no adapter: the same conversation.

import { Browser } from "./browser.mjs";
import { PageDriver } from "./page_driver.mjs";
import { WebReport, expect, expectEqual } from "./report.mjs";
import { readOptions, servePage, tinyModel } from "./setup.mjs";

const options = readOptions();
const report = new WebReport({ deadlineMs: 120_000 });
const server = await servePage(options, { files: { "/models/tiny.gguf": tinyModel(options) } });
const texts = {};

for (const gpu of [true, false]) {
  const browser = await Browser.launch({ gpu });
  const where = gpu ? "with an adapter" : "without an adapter";
  await report.run(`MVP-2: WebGPU is asked for ${where}, and the page answers`, async () => {
    const page = await PageDriver.open(browser, server.url("/"));
    await page.set({ temp: 0, max_tokens: 8, backend: gpu ? "webgpu" : "auto" });
    await page.loadAddress("models/tiny.gguf");
    const answer = await page.ask("one two three");
    expectEqual(answer.state, "done", "state");
    texts[gpu] = answer.text;
    await page.at("model-chip").click();
    const about = await page.at("provenance").innerText();
    expect((gpu ? /webgpu/i : /wasm/i).test(about), `the page says which one runs: ${about}`);
  });
  await report.run(`${where}: no error on the console`, async () => expectEqual(browser.problems.join("\n"), "", "console"));
  await browser.close();
}
report.note(`MVP-4: WebGPU: ${JSON.stringify(texts[true])}, WASM: ${JSON.stringify(texts[false])}`);
await server.close();
report.finish();
