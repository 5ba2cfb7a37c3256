// The list that no error of the C functions may break, in Chromium as in Node (tests/node/abi_smoke.mjs).

import { Browser } from "./browser.mjs";
import { WebReport, expect, expectEqual } from "./report.mjs";
import { readOptions, servePage, tinyModel } from "./setup.mjs";

const options = readOptions();
const report = new WebReport({ deadlineMs: 120_000 });
const server = await servePage(options, { files: { "/tiny.gguf": tinyModel(options) } });
const browser = await Browser.launch();

for (const module of ["lbm.wasm", "lbm-relaxed.wasm"]) {
  const page = await browser.open(server.url("/blank.html"));
  const found = await report.run(`${module}: the list is there`, async () => {
    const names = await page.evaluate(async (module) => {
      const [lib, { abiSmokeCases }] = await Promise.all([import("/web/lib/lbm_module.mjs"), import("/tests/node/abi_smoke.mjs")]);
      const [wasm, file] = await Promise.all(["/" + module, "/tiny.gguf"].map(async (url) => (await fetch(url)).arrayBuffer()));
      window.cases = abiSmokeCases({ lib, wasm: await WebAssembly.compile(wasm), modelBytes: new Uint8Array(file) });
      return window.cases.map(({ name }) => name);
    }, module);
    expect(names.length >= 8, `there are ${names.length} cases`);
    return names;
  });
  for (const [i, name] of (found ?? []).entries()) {
    await report.run(`${module}: ${name}`, () => page.evaluate(async (i) => void (await window.cases[i].run()), i));
  }
  await page.close();
}
await report.run("no error on the console", async () => expectEqual(browser.problems.join("\n"), "", "console"));
await browser.close();
await server.close();
report.finish();
