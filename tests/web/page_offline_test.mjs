// The page and its store on a network that breaks and goes away: an interrupted download is resumed,
// a reload needs no download, and without a network all of it is still there.

import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { Browser } from "./browser.mjs";
import { PageDriver } from "./page_driver.mjs";
import { WebReport, expect, expectEqual } from "./report.mjs";
import { readOptions, servePage, tinyModel } from "./setup.mjs";

const CHUNK = 4 * 1024 * 1024; // of the store
const CUT = 5_000_000; // in the second one

const options = readOptions();
const report = new WebReport({ deadlineMs: 120_000 });
// Models of several chunks: what follows the last tensor of a GGUF file belongs to nobody.
const tiny = readFileSync(tinyModel(options));
const padded = (byte) => Buffer.concat([tiny, Buffer.alloc(9_000_000 - tiny.length, byte)]);
const files = { "/models/stopped.gguf": padded(1), "/models/closed.gguf": padded(2) };
// As a plain static host sends it, with no headers of isolation: the service worker adds them.
const server = await servePage(options, { files, isolated: false });
const browser = await Browser.launch();
let page = await PageDriver.open(browser, server.url("/"));
let firstText = "";
const SETTINGS = { temp: 0, max_tokens: 16 };

const sent = (path, from = 0) => server.requests(path).slice(from).reduce((sum, { n_sent: n }) => sum + n, 0);

// Begins a download that is slow, and comes back when it is in its second chunk.
async function beginSlowly(path) {
  server.setFault(path, { bytesPerSecond: 4_000_000 });
  await page.beginAddress(path.slice(1));
  while (sent(path) < CUT) await new Promise((done) => setTimeout(done, 20));
}
// Asks for the rest, and sees what was asked for.
async function resume(path) {
  server.setFault(path, null);
  const before = server.requests(path).length;
  await page.at("resume").click();
  await page.ready(basename(path));
  const ranges = server.requests(path).slice(before).map(({ range }) => range);
  expect(ranges.length > 0, "nothing was asked for");
  for (const range of ranges) {
    const first = Number(/^bytes=(\d+)-/.exec(range ?? "")?.[1] ?? 0);
    expect(first >= CHUNK, `asked for ${range}, and the first chunk was there`);
  }
  expect(sent(path, before) <= files[path].length - CHUNK, `${sent(path, before)} bytes came`);
}

await report.run("the page is kept by its service worker, which also isolates it", async () => {
  await page.page.waitForFunction(() => navigator.serviceWorker.controller !== null && crossOriginIsolated, null, { timeout: 60_000 });
  await page.started();
});
await report.run("C-1, C-2: a download that was stopped goes on where it was", async () => {
  await beginSlowly("/models/stopped.gguf");
  await page.at("progress-cancel").first().click();
  await page.at("store-entry", '[data-state="staging"]').waitFor();
  await resume("/models/stopped.gguf");
});
await report.run("C-2: a download whose tab was closed goes on where it was, in another tab", async () => {
  await page.openPanel("models");
  await beginSlowly("/models/closed.gguf");
  await page.page.close();
  page = await PageDriver.open(browser, server.url("/"));
  await page.ready("stopped.gguf");
  await page.openPanel("models");
  await page.at("store-entry", '[data-state="staging"]').waitFor();
  await resume("/models/closed.gguf");
  await page.closePanel();
  await page.set(SETTINGS);
  firstText = (await page.ask("one two three")).text;
});
await report.run("C-3: after a reload the model comes from the store, and nothing is downloaded", async () => {
  server.clearLog();
  await page.reload();
  await page.ready("closed.gguf");
  expectEqual(server.log.filter(({ path }) => path.startsWith("/models/")).length, 0, "requests for models");
  await page.set(SETTINGS);
  await page.at("new-conversation").click();
  expectEqual((await page.ask("one two three")).text, firstText, "answer");
});
await report.run("CSS-9: without a network the page starts, loads its model and answers", async () => {
  await browser.context.setOffline(true);
  await server.close();
  await page.reload();
  await page.ready("closed.gguf");
  await page.set(SETTINGS);
  await page.at("new-conversation").click();
  expectEqual((await page.ask("one two three")).text, firstText, "answer");
  await page.page.close();
  page = await PageDriver.open(browser, server.url("/"));
  await page.ready();
});
await report.run("no error on the console but of the network", async () => {
  const others = browser.problems.filter((line) => !/ERR_|Failed to load resource|net::/.test(line));
  expectEqual(others.join("\n"), "", "console");
});
await browser.close();
report.finish();
