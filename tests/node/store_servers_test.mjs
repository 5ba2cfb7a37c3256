// What servers and proxies do wrong, and what the artifact store makes of it.

import { ArtifactStore } from "../../web/store/artifact_store.mjs";
import { HttpOrigin } from "../../web/store/http_origin.mjs";
import { MemoryFiles } from "../../web/store/memory_files.mjs";
import { WebReport, expect, expectEqual } from "../web/report.mjs";
import { startServer } from "../web/static_server.mjs";
import { CHUNK, Signer, failure, jsonBytes, makeManifest, makeModel, sha256 } from "./store_fixtures.mjs";

const report = new WebReport();
const signer = new Signer(9);
const SIZE = 40 * CHUNK + 77;
const model = makeModel(SIZE);
const manifestBytes = jsonBytes(makeManifest({ "m.gguf": model }));
const quick = { http: { backoffMs: 1, retries: 3, stallMs: 400 } };

const server = await startServer();
const elsewhere = await startServer({ files: { "/m.gguf": model } });
const URLS = {
  "/m.gguf": model,
  "/m.json": manifestBytes,
  "/m.json.minisig": new TextEncoder().encode(signer.sign(manifestBytes)),
};

// A store and a server as on the first day.
async function fresh(options = {}, files = new MemoryFiles()) {
  server.setFault("/m.gguf", null);
  for (const [path, bytes] of Object.entries(URLS)) server.setFile(path, bytes);
  server.clearLog();
  return ArtifactStore.open(files, { chunkBytes: CHUNK, keys: [signer.publicKey], ...quick, ...options });
}

// [what the server does, address, code of the error, entries left]
const FAULTS = [
  ["404", { status: 404 }, "missing", 0],
  ["410", { status: 410 }, "missing", 0],
  ["403", { status: 403 }, "http_status", 0],
  ["an HTML error page with 200", { html: true }, "html", 0],
  [
    "a page that calls itself something else",
    { html: true, headers: { "Content-Type": "application/octet-stream" } },
    "not_a_model",
    0,
  ],
  ["another Content-Range", { wrongRange: 5 }, "bad_range", 0],
  ["no Content-Range", { headers: { "Content-Range": null } }, "bad_range", 0],
  ["a Content-Range that is none", { headers: { "Content-Range": "bytes */5" } }, "bad_range", 0],
  ["a compressed body", { encoding: "br" }, "encoded", 0],
  ["a body that does not end", { noLength: true, extra: Infinity }, "too_long", 0],
  ["a body with one byte more", { noLength: true, extra: 1 }, "too_long", 0],
  ["errors that do not pass", { status: 503 }, "server", 0],
  ["a body that ends early, always", { short: 10, noLength: true }, "truncated", 1],
  ["a connection that breaks, always", { cutAfter: 2 * CHUNK }, null, 0],
];
for (const [what, fault, code, left] of FAULTS) {
  await report.run(`A3: ${what}: ${code ?? "goes on where it broke"}`, async () => {
    const store = await fresh();
    server.setFault("/m.gguf", fault);
    const result = await store.add(server.url("/m.gguf")).then(
      () => null,
      (error) => error,
    );
    expectEqual(result?.code ?? null, code, result?.message ?? "");
    if (code === null) return;
    expect(result.message.length > 20, "a sentence");
    expectEqual(
      (await store.list()).filter((entry) => entry.state === "verified"),
      [],
      "nothing is whole",
    );
    expectEqual((await store.list()).length, left, "entries");
  });
}

await report.run("A3: 200 where a part was asked for: the server can not resume, and that is said", async () => {
  const first = await fresh({ http: { ...quick.http, retries: 0 } });
  server.setFault("/m.gguf", { cutAfter: 9 * CHUNK });
  await failure(first.add(server.url("/m.gguf")));
  server.setFault("/m.gguf", { ignoreRange: true });
  const [entry] = await first.list();
  expectEqual((await failure(first.resume(entry.id))).code, "no_range", "code");
  expectEqual((await first.list())[0].bytesDone, entry.bytesDone, "what is there stays");
  await first.cancel(entry.id);
  expectEqual((await first.add(server.url("/m.gguf"))).id, sha256(model), "from the beginning it works");
});

await report.run(
  "A3: ETag, date or length change in the middle: it begins again, with no byte of the old one",
  async () => {
    const other = makeModel(SIZE, 6);
    const changes = {
      ETag: [{ etag: '"one"' }, { etag: '"two"' }],
      "Last-Modified": [
        { headers: { ETag: null, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT" } },
        { headers: { ETag: null, "Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT" } },
      ],
      length: [{ etag: '"same"' }, { etag: '"same"' }],
      "neither is told": [{ headers: { ETag: null } }, { headers: { ETag: null } }],
    };
    for (const [what, [before, after]] of Object.entries(changes)) {
      const options = { http: { ...quick.http, retries: 0 } };
      const store = await fresh(options);
      server.setFault("/m.gguf", { ...before, cutAfter: 9 * CHUNK });
      await failure(store.add(server.url("/m.gguf")));
      const bytes = what === "length" ? other.subarray(0, SIZE - 5) : other;
      server.setFile("/m.gguf", bytes);
      server.setFault("/m.gguf", after);
      const [entry] = await store.list();
      expectEqual((await store.resume(entry.id)).id, sha256(bytes), what);
      expectEqual((await store.list()).length, 1, `${what}: one entry`);
    }
  },
);

await report.run("a transfer that can not be resumed is not taken away from whoever is at work on it", async () => {
  const files = new MemoryFiles();
  const store = await fresh({}, files);
  server.setFault("/m.gguf", { headers: { ETag: null, "Last-Modified": null }, bytesPerSecond: 2 ** 20 });
  let begun;
  const started = new Promise((resolve) => (begun = resolve));
  const first = store.add(server.url("/m.gguf"), { onProgress: ({ phase }) => phase === "download" && begun() });
  await started;
  const other = await ArtifactStore.open(files, { chunkBytes: CHUNK, ...quick });
  expectEqual((await failure(other.add(server.url("/m.gguf")))).code, "busy", "another tab");
  expectEqual((await failure(store.add(server.url("/m.gguf")))).code, "busy", "the same tab");
  const { id } = await first;
  expectEqual((await store.list()).map((entry) => [entry.id, entry.state]), [[id, "verified"]], "what is kept");
});

await report.run("A3: a file that changes again and again is an error", async () => {
  const store = await fresh({ http: { ...quick.http, retries: 1 } });
  server.setFault("/m.gguf", { etag: (n) => `"${n}"`, cutAfter: 5 * CHUNK });
  expectEqual((await failure(store.add(server.url("/m.gguf")))).code, "changed", "code");
});

await report.run("A3: a signed manifest does not mind another ETag, and does mind another length", async () => {
  const store = await fresh();
  server.setFault("/m.gguf", { etag: (n) => `"${n}"`, cutAfter: 9 * CHUNK, times: 3 });
  expectEqual((await store.add(server.url("/m.json"))).id, sha256(model), "whole");
  const second = await fresh();
  server.setFile("/m.gguf", model.subarray(1));
  expectEqual((await failure(second.add(server.url("/m.json")))).code, "wrong_size", "length");
});

await report.run("A3: a redirect to another origin is followed only where that was agreed to", async () => {
  const store = await fresh();
  server.setFault("/m.gguf", { redirect: elsewhere.url("/m.gguf") });
  const error = await failure(store.add(server.url("/m.gguf")));
  expectEqual([error.code, error.details.origin], ["redirect", elsewhere.origin], "refused");
  expectEqual(
    (await failure(store.add(server.url("/m.gguf"), { redirects: ["https://example.org"] }))).code,
    "redirect",
    "another one",
  );
  expectEqual(
    (await store.add(server.url("/m.gguf"), { redirects: [elsewhere.origin] })).id,
    sha256(model),
    "this one",
  );
  const second = await fresh();
  server.setFault("/m.gguf", { redirect: elsewhere.url("/m.gguf") });
  expectEqual((await second.add(server.url("/m.gguf"), { redirects: "any" })).id, sha256(model), "any");
  const third = await fresh();
  server.setFile("/n.gguf", model);
  server.setFault("/m.gguf", { redirect: server.url("/n.gguf") });
  expectEqual((await third.add(server.url("/m.gguf"))).id, sha256(model), "the same origin");
});

await report.run("A3: a server that falls silent is left, and asked again", async () => {
  const store = await fresh({ http: { backoffMs: 1, retries: 1, stallMs: 150 } });
  server.setFault("/m.gguf", { bytesPerSecond: 20_000, times: 1 });
  expectEqual((await store.add(server.url("/m.gguf"))).id, sha256(model), "whole");
  expect(server.requests("/m.gguf").length >= 2, "two requests");
});

await report.run("A3: errors that pass are waited for: 503, then 429, then the file", async () => {
  const store = await fresh();
  server.setFault("/m.gguf", { status: 503, times: 2 });
  expectEqual((await store.add(server.url("/m.gguf"))).id, sha256(model), "whole");
  expectEqual(
    server.requests("/m.gguf").map((entry) => entry.status),
    [503, 503, 206],
    "statuses",
  );
});

await report.run("A3: a server that says no length: hashed all the same, and bounded", async () => {
  const store = await fresh();
  server.setFault("/m.gguf", { noLength: true, ignoreRange: true });
  const entry = await store.add(server.url("/m.gguf"));
  expectEqual([entry.id, entry.bytes], [sha256(model), SIZE], "entry");
  const second = await fresh({ maxBytes: 8 * CHUNK });
  server.setFault("/m.gguf", { noLength: true, ignoreRange: true, extra: Infinity });
  expectEqual((await failure(second.add(server.url("/m.gguf")))).code, "too_long", "endless");
  expectEqual(
    (await failure((await fresh({ maxBytes: 8 * CHUNK })).add(server.url("/m.gguf")))).code,
    "too_long",
    "announced",
  );
});

await report.run("A3: addresses that are none, or carry a password, are refused", async () => {
  const store = await fresh();
  for (const url of [
    "",
    "nonsense",
    "file:///etc/passwd",
    "javascript:1",
    "data:,x",
    "ftp://h/x",
    "http://user:pass@127.0.0.1/x",
    "blob:x",
  ]) {
    expectEqual((await failure(store.add(url))).code, "bad_source", url);
  }
});

await report.run("A3: a manifest can not be a page, nor be longer than it may", async () => {
  const store = await fresh();
  server.setFile("/page.json", new TextEncoder().encode("<html>"));
  expectEqual((await failure(store.add(server.url("/page.json")))).code, "bad_manifest", "no JSON");
  server.setFault("/m.json", { html: true, times: 1 });
  expectEqual((await failure(store.add(server.url("/m.json")))).code, "html", "a page");
  server.setFault("/m.json.minisig", { html: true, times: 1 });
  expectEqual(
    (await store.add(server.url("/m.json"))).signature,
    null,
    "a host that answers with pages has no signature",
  );
  server.setFault("/m.json.minisig", { status: 500 });
  expectEqual(
    (await failure((await fresh({ policy: "require" })).add(server.url("/m.json")))).code,
    "server",
    "one that fails may have one",
  );
  server.setFault("/m.json.minisig", null);
});

await report.run("A3: the network is gone: an error that passes, and the rest is kept", async () => {
  const dead = await startServer({ files: { "/m.gguf": model } });
  const url = dead.url("/m.gguf");
  await dead.close();
  const store = await fresh();
  expectEqual((await failure(store.add(url))).code, "network", "code");
});

await report.run("G-4: offsets beyond 2^32 are asked for and checked to the byte", async () => {
  const at = 5 * 2 ** 32 + 3;
  const asked = [];
  const answer = async (_url, { headers }) => {
    asked.push(headers.Range);
    return new Response(new Uint8Array(10), {
      status: 206,
      headers: { "Content-Range": `bytes ${at}-${at + 9}/${at + 10}`, "Content-Length": "10" },
    });
  };
  const origin = new HttpOrigin("https://example.org/m", { fetch: answer });
  const bytes = new Uint8Array(16);
  expectEqual(await origin.fill(at, bytes, {}), 10, "bytes");
  expectEqual([asked, origin.size], [[`bytes=${at}-`], at + 10], "range");
});

await server.close();
await elsewhere.close();
report.finish();
