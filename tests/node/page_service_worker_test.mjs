// The service worker of the page, run here on caches and a network that are made up: versions are taken whole and
// checked or not at all, whatever fails and whenever the worker is killed.

import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";
import { serviceWorker } from "../../web/page/build/shell_plugin.mjs";
import { hashOf, sha256 } from "../../web/page/build/engine_files.mjs";
import { scriptAddress } from "../../web/page/src/trusted_types.mjs";
import { DOCUMENT_POLICY, META_POLICY, WORKER_POLICY } from "../../web/page/build/policy.mjs";
import { iconSvg, manifestJson } from "../../web/page/build/icon.mjs";
import { expect, expectEqual, WebReport } from "../web/report.mjs";

const report = new WebReport({ deadlineMs: 20_000 });
const run = (name, test) => report.run(name, test);
const SOURCE = readFileSync(new URL("../../web/page/sw/service_worker.js", import.meta.url), "utf8");
const BASE = "https://host.example/page/";
const text = (value) => new TextEncoder().encode(value);

// What survives a worker: the caches, where a put may be the moment at which the worker is killed.
class Storage {
  caches = new Map();
  nPut = 0;
  killAt = Infinity;
  onKill = () => {};

  api() {
    let isDead = false; // the worker that this is given to
    const open = async (name) => {
      if (!this.caches.has(name)) this.caches.set(name, new Map());
      const entries = this.caches.get(name);
      return {
        match: async (url) => this.#response(entries.get(String(url))),
        put: async (url, response) => {
          const kept = { bytes: await response.arrayBuffer(), type: response.headers.get("Content-Type") };
          if (isDead || ++this.nPut > this.killAt) {
            isDead = true;
            this.onKill();
            await new Promise(() => {}); // killed: this never comes back
          }
          entries.set(String(url), kept);
        },
      };
    };
    return {
      open,
      keys: async () => [...this.caches.keys()],
      delete: async (name) => this.caches.delete(name),
      match: async (url) => {
        for (const entries of this.caches.values())
          if (entries.has(String(url))) return this.#response(entries.get(String(url)));
        return undefined;
      },
    };
  }
  #response(kept) {
    return kept && new Response(kept.bytes.slice(0), { headers: kept.type ? { "Content-Type": kept.type } : {} });
  }
  names() {
    return [...this.caches.keys()].filter((name) => name !== "lbm-shell-state").sort();
  }
}

// A worker of `files` (path -> text); `network` is what the server has.
function startWorker(storage, files, { order = 1, network = files, base = BASE, wasm = WebAssembly } = {}) {
  const listeners = {};
  const seen = { fetched: [], claimed: 0, skipped: 0 };
  const scope = {
    location: { href: `${base}sw.js` },
    addEventListener: (type, f) => (listeners[type] = f),
    skipWaiting: () => ++seen.skipped,
    clients: { claim: async () => ++seen.claimed },
  };
  const fetch = async (input) => {
    const url = typeof input === "string" ? new URL(input, base).href : input.url;
    seen.fetched.push(url);
    const path = url === base ? "index.html" : url.slice(base.length);
    if (network === null) throw new TypeError("offline");
    return network[path] === undefined
      ? new Response("none", { status: 404 })
      : new Response(network[path], { headers: { "Content-Type": "text/plain" } });
  };
  const code = serviceWorker(
    Object.entries(files).map(([path, value]) => [path, text(value)]),
    order,
    SOURCE,
  );
  runInContext(
    code,
    createContext({
      self: scope,
      caches: storage.api(),
      fetch,
      crypto,
      URL,
      Response,
      Headers,
      Uint8Array,
      WebAssembly: wasm,
      Map,
      Array,
      Promise,
      Error,
      JSON,
    }),
  );
  const extend = async (type, event = {}) => {
    let promise;
    listeners[type]({ ...event, waitUntil: (one) => (promise = one) });
    await promise;
  };
  return {
    seen,
    install: () => extend("install"),
    activate: () => extend("activate"),
    message: (data) => listeners.message({ data }),
    async get(path, options = {}) {
      let answer = null;
      const { mode, headers = {}, method = "GET" } = options;
      const request = { url: new URL(path, base).href, method, mode, headers: new Headers(headers) };
      listeners.fetch({ request, respondWith: (promise) => (answer = promise) });
      return answer === null ? null : answer;
    },
  };
}

const ONE = {
  "index.html": "<html one>",
  "assets/a-1.js": "one",
  "assets/same.css": "same",
  "assets/e-1/lib/x.mjs": "x one",
};
const TWO = {
  "index.html": "<html two>",
  "assets/a-2.js": "two",
  "assets/same.css": "same",
  "assets/e-2/lib/x.mjs": "x two",
};

async function installed(files, options) {
  const storage = new Storage();
  const worker = startWorker(storage, files, options);
  await worker.install();
  await worker.activate();
  return { storage, worker };
}
async function fails(promise, part) {
  try {
    await promise;
  } catch (error) {
    expect(error.message.includes(part), error.message);
    return;
  }
  throw new Error(`no error with "${part}"`);
}

await run("CSS-9, H8: once installed, every file of the page comes without a network", async () => {
  const { storage } = await installed(ONE);
  const worker = startWorker(storage, ONE, { network: null });
  for (const [path, expected] of Object.entries(ONE))
    expectEqual(await (await worker.get(path)).text(), expected, path);
  for (const path of ["", "?model=x", "index.html#y"])
    expectEqual(await (await worker.get(path)).text(), "<html one>", `the page at ${path}`);
  expectEqual(worker.seen.fetched, [], "requests");
});

await run("H8: a file with other bytes than the list names, of one more or fewer, is no version", async () => {
  for (const wrong of ["0ne", "one ", "on", ""]) {
    const storage = new Storage();
    await fails(
      startWorker(storage, ONE, { network: { ...ONE, "assets/a-1.js": wrong } }).install(),
      "assets/a-1.js is not the file of version",
    );
  }
  const { "assets/a-1.js": gone, ...rest } = ONE;
  await fails(startWorker(new Storage(), ONE, { network: rest }).install(), "answers 404");
});

await run("H8: while a new version can not be had whole, the old one serves", async () => {
  const { storage, worker: old } = await installed(ONE);
  await fails(
    startWorker(storage, TWO, { order: 2, network: { ...TWO, "assets/a-2.js": "tampered" } }).install(),
    "is not the file",
  );
  expectEqual(await (await old.get("")).text(), "<html one>", "the page");
});

await run("H8: killed at any write of an installation, the old version works and the next try goes on", async () => {
  for (let killAt = 0; killAt <= 6; ++killAt) {
    const { storage, worker: old } = await installed(ONE);
    storage.nPut = 0;
    storage.killAt = killAt;
    const dying = startWorker(storage, TWO, { order: 2 });
    const ended = await Promise.race([
      dying
        .install()
        .then(() => dying.activate())
        .then(() => true),
      new Promise((done) => (storage.onKill = () => done(false))),
    ]);
    storage.killAt = Infinity;
    expectEqual(await (await old.get("assets/a-1.js")).text(), "one", `the old version after ${killAt} writes`);
    expectEqual(await (await old.get("")).text(), "<html one>", "its page");
    const next = startWorker(storage, TWO, { order: 2 });
    await next.install();
    await next.activate();
    // Four files, and the note that they are installed.
    expectEqual(ended, killAt >= 5, `the installation ended, with ${killAt} writes allowed`);
    expect(
      next.seen.fetched.length <= Math.max(0, 4 - killAt),
      `${next.seen.fetched.length} requests after ${killAt} writes`,
    );
    expectEqual(await (await next.get("")).text(), "<html two>", "the new page");
  }
});

await run("H8: old and new tabs work side by side, and versions before both go", async () => {
  const { storage } = await installed(ONE);
  const next = startWorker(storage, TWO, { order: 2 });
  await next.install();
  expectEqual(next.seen.skipped, 0, "it waits to be taken");
  next.message({ type: "other" });
  next.message({ type: "activate" });
  expectEqual(next.seen.skipped, 1, "it was taken");
  await next.activate();
  expectEqual(next.seen.claimed, 1, "tabs it serves");
  const offline = startWorker(storage, TWO, { order: 2, network: null });
  expectEqual(
    await (await offline.get("assets/e-1/lib/x.mjs")).text(),
    "x one",
    "what a tab of the old version loads late",
  );
  expectEqual(await (await offline.get("assets/e-2/lib/x.mjs")).text(), "x two", "what one of the new version loads");
  expectEqual(storage.names().length, 2, "versions kept");
  const third = startWorker(storage, { ...TWO, "index.html": "<html three>" }, { order: 3 });
  await third.install();
  await third.activate();
  expectEqual(storage.names().length, 2, "versions kept after the third");
  expectEqual(
    await (
      await startWorker(storage, ONE, { network: null })
        .get("assets/e-1/lib/x.mjs")
        .catch(() => null)
    )?.text?.(),
    undefined,
    "the first one is gone",
  );
});

await run("H8: a version that is older than the installed one is refused", async () => {
  const { storage } = await installed(TWO, { order: 5 });
  await fails(startWorker(storage, ONE, { order: 4 }).install(), "is older than");
  await startWorker(storage, ONE, { order: 5 }).install();
});

await run("H8: files that both versions have are fetched once", async () => {
  const { storage } = await installed(ONE);
  const next = startWorker(storage, TWO, { order: 2 });
  await next.install();
  expect(!next.seen.fetched.some((url) => url.endsWith("same.css")), next.seen.fetched.join());
});

await run("only modules that this engine runs are kept; the others come from the network", async () => {
  const files = { "index.html": "x", "assets/e/lbm.wasm": "base", "assets/e/lbm-relaxed.wasm": "relaxed" };
  const { worker } = await installed(files);
  const wasm = worker.seen.fetched.filter((url) => url.endsWith(".wasm"));
  expectEqual(wasm.length, 1, "modules fetched");
  const other = wasm[0].includes("relaxed") ? "assets/e/lbm.wasm" : "assets/e/lbm-relaxed.wasm";
  expectEqual(await (await worker.get(other)).text(), files[other], "the other one");
});

await run("an engine that takes relaxed SIMD and computes wrong products keeps the modules that it will run", async () => {
  const files = { "index.html": "x", "assets/e/lbm.wasm": "base", "assets/e/lbm-relaxed.wasm": "relaxed" };
  const answers = { right: () => 1, wrong: () => 0 };
  for (const [what, f] of Object.entries(answers)) {
    const wasm = { validate: () => true, Module: class {}, Instance: class { exports = { f }; } };
    const { worker } = await installed(files, { wasm });
    const kept = what === "right" ? "assets/e/lbm-relaxed.wasm" : "assets/e/lbm.wasm";
    expect(worker.seen.fetched.includes(BASE + kept), `${what}: ${worker.seen.fetched}`);
  }
  const forbidden = { validate: () => true, Module: class { constructor() { throw new Error("a policy"); } } };
  const { worker } = await installed(files, { wasm: forbidden });
  expect(worker.seen.fetched.some((url) => url.includes("relaxed")), "where a policy forbids to try, what it takes counts");
});

await run("pages in other folders of the same origin keep their own versions", async () => {
  const { storage } = await installed(ONE);
  const other = startWorker(storage, TWO, { base: "https://host.example/other/" });
  await other.install();
  await other.activate();
  const worker = startWorker(storage, ONE, { network: null });
  expectEqual(await (await worker.get("")).text(), "<html one>", "the page of the first folder, without a network");
});

await run("models, other methods, ranges and other servers are none of its business", async () => {
  const { worker } = await installed(ONE);
  for (const [path, options] of [
    ["model.gguf"],
    ["v1/models"],
    ["index.html", { method: "POST" }],
    ["assets/a-1.js", { headers: { Range: "bytes=0-1" } }],
    ["https://models.example/m.gguf"],
    ["https://host.example/other/"],
    ["../index.html"],
  ]) {
    expectEqual(await worker.get(path, options), null, path);
  }
});

await run("H5: every answer isolates the page and carries its policy", async () => {
  const { worker } = await installed(ONE);
  const page = (await worker.get("")).headers;
  expectEqual(
    [
      page.get("Cross-Origin-Opener-Policy"),
      page.get("Cross-Origin-Embedder-Policy"),
      page.get("Cross-Origin-Resource-Policy"),
    ],
    ["same-origin", "require-corp", "same-origin"],
    "isolation",
  );
  expectEqual(
    [page.get("Content-Security-Policy"), page.get("Content-Type"), page.get("X-Content-Type-Options")],
    [DOCUMENT_POLICY, "text/html; charset=utf-8", "nosniff"],
    "the page",
  );
  expectEqual(
    (await worker.get("assets/e-1/lib/x.mjs")).headers.get("Content-Security-Policy"),
    WORKER_POLICY,
    "a worker's policy",
  );
  expectEqual((await worker.get("assets/a-1.js")).headers.get("Content-Security-Policy"), null, "a script's policy");
});

await run(
  "H5: the policy allows no inline script, no eval, no strings as scripts, and no other server for the page",
  () => {
    for (const part of [
      "default-src 'self'",
      "script-src 'self' 'wasm-unsafe-eval'",
      "connect-src 'self';",
      "object-src 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types default lbm-worker lbm-store",
    ]) {
      expect(DOCUMENT_POLICY.includes(part), `no ${part} in ${DOCUMENT_POLICY}`);
    }
    expect(!META_POLICY.includes("frame-ancestors"), "frame-ancestors means nothing in a meta element");
    for (const policy of [DOCUMENT_POLICY, META_POLICY, WORKER_POLICY])
      expect(!/unsafe-inline|'unsafe-eval'|\*|http:/.test(policy), policy);
    const html = readFileSync(new URL("../../web/page/index.html", import.meta.url), "utf8");
    expect(!/<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=/.test(html), "something inline in index.html");
  },
);

await run("H5: Trusted Types pass scripts of the page's folder and nothing else", () => {
  expectEqual(scriptAddress("./sw.js", BASE), `${BASE}sw.js`, "the service worker");
  expectEqual(scriptAddress(`${BASE}assets/e/lib/worker.mjs`, BASE), `${BASE}assets/e/lib/worker.mjs`, "a worker");
  for (const bad of [
    "https://evil.example/x.js",
    "../x.js",
    "/x.js",
    "data:text/javascript,1",
    "blob:https://host.example/1",
    "javascript:1",
    "./x.svg",
    `${BASE}../x.js`,
  ]) {
    let passed = true;
    try {
      scriptAddress(bad, BASE);
    } catch {
      passed = false;
    }
    expect(!passed, `${bad} passes`);
  }
});

await run("the page names its files by what is in them", () => {
  const files = [
    ["a", text("1")],
    ["b", text("2")],
  ];
  expectEqual(hashOf(files), hashOf(files), "the same files");
  for (const other of [
    [
      ["a", text("1")],
      ["b", text("3")],
    ],
    [
      ["a", text("1")],
      ["c", text("2")],
    ],
    [["a", text("1")]],
  ]) {
    expect(hashOf(other) !== hashOf(files), "other files have the same name");
  }
  expectEqual(sha256(text("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256");
});

await run("the manifest and its icon let browsers install the page", () => {
  const manifest = JSON.parse(manifestJson());
  expectEqual(
    [manifest.display, manifest.start_url, manifest.scope, manifest.icons.map(({ purpose }) => purpose)],
    ["standalone", "./", "./", ["any", "maskable"]],
    "manifest",
  );
  expect(
    iconSvg().startsWith("<svg xmlns=") && !iconSvg().includes("<script") && !iconSvg().includes("href"),
    "the icon",
  );
});

report.finish();
