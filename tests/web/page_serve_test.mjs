// The page as `lbm serve` sends it: isolated, nothing inline, and silent once a model is loaded.

import { spawn } from "node:child_process";
import { once } from "node:events";

import { DOCUMENT_POLICY, WORKER_POLICY } from "../../web/page/build/policy.mjs";
import { Browser } from "./browser.mjs";
import { PageDriver } from "./page_driver.mjs";
import { WebReport, expectEqual } from "./report.mjs";
import { readOptions, tinyModel } from "./setup.mjs";

const options = readOptions();
const report = new WebReport({ deadlineMs: 120_000 });
const tiny = tinyModel(options);

const server = spawn(options.lbm, ["serve", "-m", tiny, "--port", "0", "--web", options.modules], { stdio: ["ignore", "pipe", "ignore"] });
const [line] = await once(server.stdout, "data");
const origin = String(line).split("\n")[0].trim();
const browser = await Browser.launch();

const directives = (policy) => (policy ?? "").split(";").map((one) => one.trim()).filter(Boolean).sort();

await report.run("H-5: the policies are those that the page was written for", async () => {
  for (const [path, policy] of [["/", DOCUMENT_POLICY], ["/lib/worker.mjs", WORKER_POLICY], ["/store/store_worker.mjs", WORKER_POLICY]]) {
    const response = await fetch(origin + path);
    expectEqual(response.status, 200, path);
    expectEqual(directives(response.headers.get("content-security-policy")), directives(policy), path);
  }
});
await report.run("H-5: the page has nothing inline", async () => {
  const html = await (await fetch(`${origin}/`)).text();
  expectEqual((html.match(/<script(?![^>]*\ssrc=)[^>]*>/g) ?? []).length, 0, "inline scripts");
  expectEqual((html.match(/\son\w+=|\sstyle=|javascript:/g) ?? []).length, 0, "inline handlers and styles");
});
await report.run("H-5: the page is isolated, a chat works, and nothing is asked for once the model is loaded", async () => {
  const page = await PageDriver.open(browser, `${origin}/`);
  expectEqual(await page.page.evaluate(() => crossOriginIsolated), true, "crossOriginIsolated");
  await page.loadFile(tiny);
  await page.page.evaluate(() => navigator.serviceWorker.ready.then(() => null)); // what it keeps has come
  page.requests.length = 0;
  await page.set({ temp: 0, max_tokens: 16 });
  expectEqual((await page.ask("one two three")).state, "done", "state");
  expectEqual(page.requests, [], "requests");
});
await report.run("no error on the console", async () => expectEqual(browser.problems.join("\n"), "", "console"));
await browser.close();
server.kill("SIGINT");
await once(server, "exit");
report.finish();
