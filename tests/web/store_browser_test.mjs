// The artifact store in Chromium: the file system of the origin, two tabs, reloads, quotas, and tabs
// and workers that are killed at more than 200 moments. A page of its own, under the policy of the
// real one.
//
// [--model FILE]: a large model, to be downloaded and read. [--modules FOLDER]: where lbm.wasm is,
// for its hash. [--kills N]: of the worker (200). [--tab-kills N]: of the tab (20). [--seed N]: of the moments.

import { existsSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { scriptFiles } from "../../web/page/build/engine_files.mjs";
import { DOCUMENT_POLICY, WORKER_POLICY } from "../../web/page/build/policy.mjs";
import { Signer, jsonBytes, makeManifest, makeModel, sha256 } from "../node/store_fixtures.mjs";
import { Browser, findChromium } from "./browser.mjs";
import { WebReport, expect, expectEqual } from "./report.mjs";
import { startServer } from "./static_server.mjs";

const { values: options } = parseArgs({
  strict: false,
  options: {
    model: { type: "string" },
    modules: { type: "string" },
    kills: { type: "string" },
    "tab-kills": { type: "string" },
    seed: { type: "string" },
  },
});
const report = new WebReport({ deadlineMs: 60_000 });
if (findChromium() === null) {
  report.skip("there is no Chromium (make deps, or LBM_CHROMIUM=path)");
  process.exit(0);
}

const CHUNK = 64 * 1024;
const SIZE = 20 * CHUNK + 99;
const N_KILL = Number(options.kills ?? 200);
const N_TAB_KILL = Number(options["tab-kills"] ?? 20);
const signer = new Signer(4);
const model = makeModel(SIZE, 1);
const manifest = jsonBytes(makeManifest({ "m.gguf": model }));
const TESTS = fileURLToPath(new URL("../", import.meta.url));
const blank = new TextEncoder().encode("<!doctype html><html lang=en><title>store</title>");

const scripts = Object.fromEntries([...(await scriptFiles())].map(([path, bytes]) => [`/${path}`, bytes]));
const wasm = join(resolve(options.modules ?? fileURLToPath(new URL("../../build/web", import.meta.url))), "lbm.wasm");
const server = await startServer({
  folders: { "/tests/": TESTS },
  files: {
    ...scripts,
    "/page.html": blank,
    "/m.gguf": model,
    "/m.json": manifest,
    "/m.json.minisig": new TextEncoder().encode(signer.sign(manifest)),
    ...(options.model && { "/model.gguf": resolve(options.model) }),
    ...(existsSync(wasm) && { "/lbm.wasm": wasm }),
  },
  headers: (path) => ({ "Content-Security-Policy": path.endsWith(".html") ? DOCUMENT_POLICY : WORKER_POLICY }),
});

const storeOptions = { chunkBytes: CHUNK, keys: [signer.publicKey], http: { retries: 0, backoffMs: 1 } };
const run = (page, name, argument) =>
  page.evaluate(
    async ([name, argument]) => (await import("/tests/web/store_client.mjs"))[name](argument),
    [name, argument],
  );
// Until what was begun has come so far.
async function waitFor(page, bytes) {
  while (!(await run(page, "told")).some((progress) => progress.done > bytes)) {
    const early = await run(page, "ended");
    if (early !== null) throw new Error(`ended before: ${JSON.stringify(early)}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
const openPage = (browser) => browser.open(server.url("/page.html"));

async function withBrowser(test, profile = null) {
  const browser = await Browser.launch({ profile });
  try {
    return await test(browser);
  } finally {
    await browser.close();
  }
}

// A sequence that is the same for a seed: moments, in [0, 1).
function* moments(seed) {
  for (let state = seed >>> 0 || 1; ;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield (state >>> 0) / 2 ** 32;
  }
}

const profile = await mkdtemp(join(tmpdir(), "lbm-store-"));
await withBrowser(async (browser) => {
  const page = await openPage(browser);
  await report.run(
    "C-1 C-4 C-5: a signed manifest and its file come into the file system of the origin",
    async () => {
      expectEqual(await run(page, "open", { ...storeOptions, policy: "require" }), [], "empty");
      const { value, message } = await run(page, "call", ["add", server.url("/m.json")]);
      expectEqual(
        [value?.id, value?.state, value?.signature?.keyId],
        [sha256(model), "verified", signer.id],
        message ?? "entry",
      );
      expectEqual((await run(page, "call", ["activate", value.id])).value.state, "active", "active");
      const read = await run(page, "readRanges", { id: value.id, step: 10_000 });
      expectEqual([read.n, read.name], [SIZE, "m.gguf"], "ranges");
      expectEqual((await run(page, "call", ["add", server.url("/m.gguf")])).code, "unsigned", "policy");
    },
  );
  await report.run(
    "A6: persistence is asked for when something is added; addresses are those of the page",
    async () => {
      await page.evaluate(() => {
        const { storage } = navigator;
        storage.persist = async () => ((globalThis.nPersist = (globalThis.nPersist ?? 0) + 1), false);
      });
      const { value, message } = await run(page, "call", ["add", "m.json"]);
      expectEqual(value?.id, sha256(model), message ?? "id");
      expectEqual(await page.evaluate(() => globalThis.nPersist), 1, "asked");
    },
  );
  await report.run("C-3: it is there after a reload, and is not asked for again", async () => {
    server.clearLog();
    await page.reload();
    const [entry] = await run(page, "open", storeOptions);
    expectEqual([entry.id, entry.state, entry.bytesDone], [sha256(model), "active", SIZE], "entry");
    expectEqual((await run(page, "check")).active, sha256(model), "whole");
    expectEqual(server.requests("/m.gguf").length + server.requests("/m.json").length, 0, "requests");
  });
  await report.run("C-2 CSS-3: a download that broke goes on in another session with what is missing", async () => {
    const other = makeModel(SIZE, 2);
    server.setFile("/n.gguf", other);
    server.setFault("/n.gguf", { cutAfter: 9 * CHUNK + 17, times: 1 });
    const { code } = await run(page, "call", ["add", server.url("/n.gguf")]);
    expect(["network", "truncated"].includes(code), code);
    await page.reload();
    const staging = (await run(page, "open", storeOptions)).find((entry) => entry.state === "staging");
    const kept = staging.bytesDone;
    // A browser may throw away what it had read when the connection breaks: at most that is missing.
    expect(kept % CHUNK === 0 && kept <= 9 * CHUNK, `${kept} bytes are here`);
    server.clearLog();
    expectEqual((await run(page, "call", ["resume", staging.id])).value?.id, sha256(other), "whole");
    expectEqual(
      server.requests("/n.gguf").map((entry) => entry.range),
      [`bytes=${kept}-`],
      "the rest",
    );
  });
  await report.run("C-2: an abort of the page ends the transfer in the worker; what came is kept", async () => {
    server.setFile("/slow.gguf", makeModel(SIZE, 3));
    server.setFault("/slow.gguf", { bytesPerSecond: 500_000 });
    await run(page, "begin", ["add", server.url("/slow.gguf")]);
    await waitFor(page, 200_000);
    await run(page, "abort");
    expectEqual((await run(page, "finish")).code, "aborted", "code");
    const progress = (await run(page, "told")).at(-1);
    expectEqual(
      [progress.phase, progress.total, Number.isInteger(progress.bytesPerSecond)],
      ["download", SIZE, true],
      "progress",
    );
    server.setFault("/slow.gguf", null);
    const entry = (await run(page, "call", ["list"])).value.find((each) => each.state === "staging");
    expect(entry.bytesDone > 0 && entry.id === progress.id, "kept");
    await run(page, "call", ["cancel", entry.id]);
  });
  await report.run("A6: two tabs: one writes an artifact, the other is told; both see it", async () => {
    const second = await openPage(browser);
    await run(second, "open", storeOptions);
    server.setFile("/two.gguf", makeModel(SIZE, 4));
    server.setFault("/two.gguf", { bytesPerSecond: 700_000, times: 1 });
    await run(page, "begin", ["add", server.url("/two.gguf")]);
    await waitFor(page, 100_000);
    expectEqual((await run(second, "call", ["add", server.url("/two.gguf")])).code, "busy", "the same");
    const there = (await run(second, "call", ["list"])).value.find((entry) => entry.state === "staging");
    expect(there.bytesDone >= CHUNK, "its progress is seen");
    expect((await run(second, "addNoise", { size: CHUNK, seed: 50 })).value, "another one");
    const { value } = await run(page, "finish");
    expectEqual(value?.id, sha256(makeModel(SIZE, 4)), "whole");
    expectEqual(
      (await run(second, "check")).entries.length,
      (await run(page, "check")).entries.length,
      "both see the same",
    );
    await second.close();
  });
  await report.run(
    "C-6 A6: a quota that is too small is seen before anything is begun; room lets it go on",
    async () => {
      const client = await browser.context.newCDPSession(page);
      const { origin } = server;
      const {
        value: { usage },
      } = await run(page, "call", ["usage"]);
      server.setFile("/q.gguf", makeModel(SIZE, 60));
      server.clearLog();
      await client.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: usage + 2 ** 20 + SIZE / 2 });
      const { code, message, details } = await run(page, "call", ["add", server.url("/q.gguf"), { evict: false }]);
      expectEqual(code, "quota", message ?? "");
      expectEqual(details.need, SIZE, `what is needed (${message})`);
      expectEqual(
        (await run(page, "call", ["list"])).value.filter((entry) => entry.state === "staging"),
        [],
        "nothing is begun",
      );
      await client.send("Storage.overrideQuotaForOrigin", { origin });
      expectEqual((await run(page, "call", ["add", server.url("/q.gguf")])).value?.state, "verified", "with room");
    },
  );
  await report.run(
    "A6: the browser refuses a write in the middle: a typed error, and the rest goes on later",
    async () => {
      const client = await browser.context.newCDPSession(page);
      const { origin } = server;
      const {
        value: { usage },
      } = await run(page, "call", ["usage"]);
      const large = makeModel(200 * CHUNK, 61);
      server.setFile("/r.gguf", large);
      server.setFault("/r.gguf", { bytesPerSecond: 1_500_000, times: 1 });
      await run(page, "begin", ["add", server.url("/r.gguf"), { evict: false }]);
      await waitFor(page, 10 * CHUNK);
      await client.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: usage + 20 * CHUNK });
      const { code, message } = await run(page, "finish");
      expectEqual(code, "quota", message ?? "it was not refused");
      await client.send("Storage.overrideQuotaForOrigin", { origin });
      const { value } = await run(page, "call", ["add", server.url("/r.gguf")]);
      expectEqual(value?.id, sha256(large), "whole");
      await run(page, "call", ["remove", value.id]);
    },
  );
  await report.run("G-4: places beyond 2^31 and 2^32 of a file are written and read", async () => {
    const places = [0, 2 ** 31 - 5, 2 ** 31 + 6, 2 ** 32 + 7];
    // A worker of a test is no script of the store: a page without the policy starts it.
    server.setHeaders({});
    const free = await openPage(browser);
    const result = await free.evaluate(
      (places) =>
        new Promise((done) => {
          const worker = new Worker("/tests/web/store_big_worker.mjs", { type: "module" });
          worker.onmessage = ({ data }) => done(data);
          worker.postMessage(places);
        }),
      places,
    );
    await free.close();
    expectEqual(result, { found: places.map(String), size: 2 ** 32 + 7 + 10, left: 0 }, "bytes");
  });
  await report.run("no error on the console", async () => {
    const problems = browser.problems.filter((line) => !/net::ERR_|lbm\.wasm/.test(line));
    expectEqual(problems.join("\n"), "", "console");
  });
}, profile);

await withBrowser(async (browser) => {
  await report.run("C-3: it is there after the browser was started again", async () => {
    const page = await openPage(browser);
    await run(page, "open", storeOptions);
    expectEqual((await run(page, "check")).active, sha256(model), "active");
  });
}, profile);
await rm(profile, { recursive: true, force: true, maxRetries: 5 });

// ---- kills -------------------------------------------------------------------------------------------

// After a kill: whole or not there; active is one of those that may be.
async function expectSound(page, allowed, where) {
  await run(page, "open", storeOptions);
  const { entries, active } = await run(page, "check");
  expect(allowed.includes(active), `${where}: active is ${active}`);
  const names = (await run(page, "filesThere")).filter((name) => !name.startsWith("index."));
  const keys = new Set(names.map((name) => name.slice(0, 64)));
  expect(keys.size <= entries.length, `${where}: ${keys.size} artifacts have files, ${entries.length} are known`);
  return { active, entries };
}

// Gets rid of all but the active one, so that each round begins alike.
async function tidy(page, entries, active) {
  for (const { id } of entries) if (id !== active) await run(page, "call", ["remove", id]);
}

await withBrowser(async (browser) => {
  const random = moments(Number(options.seed ?? 7));
  const page = await openPage(browser);
  await run(page, "open", storeOptions);
  let { active } = await run(page, "check");
  const counts = { before: 0, staging: 0, verified: 0, activated: 0 };
  const count = (entries, old, now, id) => {
    const entry = entries.find((each) => each.id === id || each.state === "staging");
    ++counts[
      now !== old ? "activated" : entry === undefined ? "before" : entry.state === "staging" ? "staging" : "verified"
    ];
  };
  // How long it takes when nobody is killed.
  const start = performance.now();
  await run(page, "killWorker", { seed: 999, size: SIZE, ms: 20_000 });
  const ms = (performance.now() - start) * 1.1;
  active = sha256(makeModel(SIZE, 999));

  await report.run(
    `A2 C-7: the worker is killed at ${N_KILL} moments: old or new, nothing broken`,
    async () => {
      for (let i = 0; i < N_KILL; ++i) {
        const seed = 1000 + i;
        const address = i % 2 === 0 ? null : server.url(`/k${seed}.gguf`);
        const bytes = makeModel(SIZE, seed);
        if (address) server.setFile(`/k${seed}.gguf`, bytes);
        const at = random.next().value * ms;
        await run(page, "killWorker", { seed, size: SIZE, ms: at, address });
        const sound = await expectSound(page, [active, sha256(bytes)], `kill ${i} after ${at.toFixed(1)} ms`);
        count(sound.entries, active, sound.active, sha256(bytes));
        active = sound.active;
        await tidy(page, sound.entries, active);
      }
    },
    { deadlineMs: 600_000 },
  );

  await report.run(
    `A2 C-7: the tab is closed or crashes at ${N_TAB_KILL} moments: old or new, nothing broken`,
    async () => {
      for (let i = 0; i < N_TAB_KILL; ++i) {
        const seed = 5000 + i;
        const victim = await openPage(browser);
        await run(victim, "open", storeOptions);
        const at = random.next().value * ms;
        const killed = run(victim, "killWorker", { seed, size: SIZE, ms: 20_000 }).catch(() => {});
        await new Promise((done) => setTimeout(done, at));
        if (i % 2 === 0) {
          await victim.close();
        } else {
          // The process of the tab dies, as it does where memory runs out.
          const client = await browser.context.newCDPSession(victim).catch(() => null);
          client?.send("Page.crash").catch(() => {});
          await new Promise((done) => victim.once("crash", done));
          await victim.close().catch(() => {});
        }
        void killed;
        const fresh = await openPage(browser);
        const sound = await expectSound(
          fresh,
          [active, sha256(makeModel(SIZE, seed))],
          `tab ${i} after ${at.toFixed(1)} ms`,
        );
        count(sound.entries, active, sound.active, sha256(makeModel(SIZE, seed)));
        active = sound.active;
        await tidy(fresh, sound.entries, active);
        await fresh.close();
      }
    },
    { deadlineMs: 300_000 },
  );
  report.note(`found after a kill: ${JSON.stringify(counts)}; an undisturbed round takes ${Math.round(ms / 1.1)} ms`);
});

// ---- figures -----------------------------------------------------------------------------------------

if (options.model) {
  await withBrowser(async (browser) => {
    const page = await openPage(browser);
    const bytes = statSync(options.model).size;
    await report.run(
      "C-1 G-4: a real model: downloaded, checked, read by ranges",
      async () => {
        await run(page, "open", { ...storeOptions, chunkBytes: 4 * 2 ** 20 });
        const time = async (name, f) => {
          const start = performance.now();
          const result = await f();
          const ms = performance.now() - start;
          report.note(`${name}: ${Math.round(ms)} ms, ${Math.round(bytes / ms / 1000)} MB/s`);
          return result;
        };
        const { value } = await time("download and hash", () =>
          run(page, "call", ["add", server.url("/model.gguf")]),
        );
        await time("first use (all of it is read and compared)", () => run(page, "call", ["activate", value.id]));
        const read = await time("read in ranges of 4 MiB", () =>
          run(page, "readRanges", { id: value.id, step: 4 * 2 ** 20 }),
        );
        expectEqual([value.bytes, read.n], [bytes, bytes], "bytes");
      },
      { deadlineMs: 120_000 },
    );
    await report.run("hashes", async () => {
      report.note(`MB/s: ${JSON.stringify(await run(page, "hashSpeeds", existsSync(wasm) ? "/lbm.wasm" : null))}`);
    });
  });
}

await server.close();
report.finish();
