// H8: the kept copy of the page in Chromium: a newer version is offered, old and new tabs work side by side, and a
// version that does not arrive whole, or is older, changes nothing.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { serviceWorker } from "../../web/page/build/shell_plugin.mjs";
import { Browser } from "./browser.mjs";
import { expect, expectEqual, WebReport } from "./report.mjs";
import { readOptions, ROOT, servePage } from "./setup.mjs";

const WORKER_SOURCE = readFileSync(join(ROOT, "web/page/sw/service_worker.js"), "utf8");
const options = readOptions();
const report = new WebReport({ deadlineMs: 90_000 });

// path -> bytes of what the service worker of the built page lists.
function builtFiles(folder) {
  const list = JSON.parse(
    /^const SHELL = (\{[\s\S]*?\n\});\n/.exec(readFileSync(join(folder, "sw.js"), "utf8"))[1],
  ).files;
  return new Map(list.map(({ url }) => [url, readFileSync(join(folder, url))]));
}

// Another version of the page: with a title of its own, and built at `order`.
function makeVersion(built, title, order) {
  const html = Buffer.from(
    built
      .get("index.html")
      .toString("utf8")
      .replace(/<title>[^<]*/, `<title>${title}`),
  );
  const files = new Map([...built, ["index.html", html]]);
  return { html, worker: Buffer.from(serviceWorker(files, order, WORKER_SOURCE)) };
}

if (!existsSync(join(options.modules, "sw.js"))) {
  report.skip(`there is no page in ${options.modules} (make web)`);
} else {
  const built = builtFiles(options.modules);
  const server = await servePage(options);
  const serve = ({ html, worker }) => {
    for (const path of ["/", "/index.html"]) server.setFile(path, html);
    server.setFile("/sw.js", worker);
  };
  serve(makeVersion(built, "one", 1000));
  const browser = await Browser.launch();
  const ready = (page) => page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  const lookForUpdate = (page) =>
    page.evaluate(async () => (await navigator.serviceWorker.ready).update().catch((error) => String(error)));
  // The worker that was being installed has come to an end.
  const settled = (page) =>
    page.waitForFunction(async () => (await navigator.serviceWorker.getRegistration()).installing === null);
  const engineWorks = (page) =>
    page.evaluate(async () => {
      const script = document.querySelector("script[type=module]").src;
      const folder = /assets\/engine-[0-9a-f]+\//.exec(await (await fetch(script)).text())[0];
      return typeof (await import(new URL(`${folder}lib/lbm.mjs`, document.baseURI).href)).createModel;
    });

  const first = await browser.open(server.url("/"));
  await report.run("H8: the first version is installed and serves the page", async () => {
    await ready(first);
    await first.reload();
    expectEqual(await first.title(), "one", "the title");
    const names = await first.evaluate(() => caches.keys());
    expectEqual(names.filter((name) => name !== "lbm-shell-state").length, 1, "versions kept");
  });

  await report.run("H8: a version with a file that is not as promised changes nothing", async () => {
    const bad = makeVersion(built, "bad", 2000);
    serve({ html: Buffer.from(String(bad.html).replace("bad", "tampered")), worker: bad.worker });
    await lookForUpdate(first);
    await settled(first);
    await first.reload();
    expectEqual([await first.title(), await first.getByTestId("update").count()], ["one", 0], "title, offers");
  });

  await report.run("H8: a tab that is closed while a version comes leaves the one before", async () => {
    const slow = makeVersion(built, "slow", 2500);
    serve(slow);
    // Slow, and it breaks: a version may come to its end without the tab that began it.
    server.setFault("/", { bytesPerSecond: 200, cutAfter: 400 });
    const tab = await browser.open(server.url("/"));
    tab.evaluate(async () => (await navigator.serviceWorker.ready).update()).catch(() => {}); // it never ends
    // Not before it has begun: it would then come from a server that has recovered.
    await first.waitForFunction(async () => (await navigator.serviceWorker.getRegistration()).installing !== null);
    await tab.close();
    await settled(first);
    serve(makeVersion(built, "one", 1000)); // or it is tried again with the next page
    server.setFault("/", null);
    await first.reload();
    expectEqual([await first.title(), await first.getByTestId("update").count()], ["one", 0], "title, offers");
  });

  const second = await browser.open(server.url("/"));
  await report.run("H8: a newer version is offered and waits until it is taken", async () => {
    await ready(second);
    serve(makeVersion(built, "two", 3000));
    await lookForUpdate(first);
    await first.getByTestId("update").waitFor();
    await second.getByTestId("update").waitFor();
    await second.reload();
    expectEqual(await second.title(), "one", "the title while it waits");
  });

  await report.run("H8: one tab takes it; the other one goes on, and is told", async () => {
    await first.bringToFront(); // a page behind another one is given no frames, and waiting counts frames
    await first.getByTestId("update").getByRole("button", { name: "Reload" }).click();
    await first.waitForFunction(() => document.title === "two");
    await second.getByTestId("update").getByText("Another tab").waitFor();
    expectEqual(await second.title(), "one", "the title of the other tab");
    expectEqual(await engineWorks(second), "function", "what the other tab loads late");
    expectEqual(await engineWorks(first), "function", "what the new tab loads");
  });

  await report.run("H8: an older version is refused until the user asks for it", async () => {
    serve(makeVersion(built, "older", 500));
    await lookForUpdate(first);
    await settled(first);
    await first.reload();
    expectEqual([await first.title(), await first.getByTestId("update").count()], ["two", 0], "title, offers");
    await first.getByTestId("open-browser").click();
    await first.getByTestId("tab-about").click();
    await first.getByRole("button", { name: "Load the page anew from the server" }).click();
    await first.waitForFunction(() => document.title === "older");
  });

  await report.run("CSS-9: without a network the page still starts", async () => {
    await ready(first);
    await first.waitForFunction(async () => (await caches.keys()).length > 1);
    await browser.context.setOffline(true);
    await server.close();
    await first.reload();
    expectEqual(await first.title(), "older", "the title");
    await first.getByTestId("model-chip").waitFor();
  });

  await report.run("no complaint on the console but of what was refused", () => {
    const other = browser.problems.filter(
      (line) => !/is not the file of version|is older than|net::|Failed to/.test(line),
    );
    expectEqual(other, [], "problems");
    expect(readdirSync(options.modules).includes("manifest.webmanifest"), "no manifest in the build");
  });
  await browser.close();
}
report.finish();
