// Downloads of the artifact store: what is kept and asked for again after an interruption, and what
// servers and proxies do wrong.

import { ArtifactStore } from "../../web/store/artifact_store.mjs";
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
const sent = () => server.requests("/m.gguf").reduce((sum, entry) => sum + entry.n_sent, 0);
const ranges = () => server.requests("/m.gguf").map((entry) => entry.range);
const keptBytes = (entry) => Math.floor((entry?.bytesDone ?? 0) / CHUNK) * CHUNK;
const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());

await report.run(
  "C-1 C-4: a file without a manifest: one request, hashed as it comes, named by its SHA-256",
  async () => {
    const store = await fresh();
    const told = [];
    const entry = await store.add(server.url("/m.gguf"), { onProgress: (p) => told.push(p) });
    expectEqual(
      [entry.id, entry.state, entry.signature, entry.bytes],
      [sha256(model), "verified", null, SIZE],
      "entry",
    );
    expectEqual(sha256(await bytesOf(await store.file(entry.id))), entry.id, "bytes");
    expectEqual(ranges(), ["bytes=0-"], "one request");
    const last = told.at(-1);
    expectEqual([last.phase, last.done, last.total], ["download", SIZE, SIZE], "progress");
    expect(
      told.every((p, i) => i === 0 || p.done >= told[i - 1].done) && Number.isInteger(last.bytesPerSecond),
      "it grows, and has a speed",
    );
  },
);

await report.run("C-1: the same address again: the server is asked, and nothing is sent twice", async () => {
  const store = await fresh();
  const { id } = await store.add(server.url("/m.gguf"));
  server.clearLog();
  expectEqual((await store.add(server.url("/m.gguf"))).id, id, "the same");
  expect(sent() <= SIZE && (await store.list()).length === 1, "kept once");
  const other = makeModel(SIZE, 5);
  server.setFile("/m.gguf", other);
  server.setFault("/m.gguf", { etag: '"new"' });
  expectEqual((await store.add(server.url("/m.gguf"))).id, sha256(other), "a new file there");
  expectEqual((await store.list()).length, 2, "both are kept");
});

await report.run("C-5 C-4: a signed manifest by its address", async () => {
  const store = await fresh({ policy: "require" });
  const entry = await store.add(server.url("/m.json"));
  expectEqual(
    [entry.name, entry.version, entry.signature.keyId, entry.id],
    ["tiny", "1.0.0", signer.id, sha256(model)],
    "entry",
  );
  server.setFile("/m.json.minisig", null);
  expectEqual((await failure((await fresh2()).add(server.url("/m.json")))).code, "unsigned", "without it");
  expectEqual(
    (await store.add(server.url("/m.json"), { policy: "none" }).catch((e) => e)).code ?? "kept",
    "kept",
    "already here",
  );
});
async function fresh2() {
  return ArtifactStore.open(new MemoryFiles(), {
    chunkBytes: CHUNK,
    keys: [signer.publicKey],
    policy: "require",
    ...quick,
  });
}

await report.run(
  "C-2 CSS-3: stopped after any chunk, it goes on with what is missing: k interruptions cost at most k chunks",
  async () => {
    for (const path of ["/m.gguf", "/m.json"]) {
      const files = new MemoryFiles();
      let store = await fresh({}, files);
      let n = 0;
      let entry;
      // Each session is cut off a little later; a new one opens the store again.
      for (let at = 3 * CHUNK + 11; at < SIZE; at += 7 * CHUNK + 501) {
        server.setFault("/m.gguf", { cutAfter: at - keptBytes(entry) });
        const options = { http: { ...quick.http, retries: 0 } };
        store = await ArtifactStore.open(files, { chunkBytes: CHUNK, keys: [signer.publicKey], ...options });
        const error = await failure(entry === undefined ? store.add(server.url(path)) : store.resume(entry.id));
        expect(["network", "truncated"].includes(error.code), error.message);
        ++n;
        [entry] = await store.list();
        expectEqual(entry.state, "staging", "to be resumed");
      }
      expect(n >= 5, `${n} interruptions`);
      server.setFault("/m.gguf", null);
      expectEqual((await store.resume(entry.id)).id, sha256(model), "whole");
      expect(sent() <= SIZE + n * CHUNK, `${path}: ${sent() - SIZE} bytes twice in ${n} interruptions`);
      expect(
        ranges()
          .slice(1)
          .every((range) => range !== "bytes=0-"),
        "no request from the beginning",
      );
    }
  },
);
await report.run("C-2: a connection that breaks is opened again by itself, where it broke", async () => {
  const store = await fresh();
  server.setFault("/m.gguf", { cutAfter: 10 * CHUNK + 100, times: 3 });
  expectEqual((await store.add(server.url("/m.gguf"))).id, sha256(model), "whole");
  expectEqual(server.requests("/m.gguf").length, 4, "four requests");
  expect(sent() <= SIZE + 3 * 65536, "little was sent twice");
});

await report.run("C-2: an abort stops at once; resume takes what is there", async () => {
  const store = await fresh();
  server.setFault("/m.gguf", { bytesPerSecond: 400_000 });
  const stop = new AbortController();
  const error = await failure(
    store.add(server.url("/m.gguf"), {
      signal: stop.signal,
      onProgress: ({ done }) => done > 10 * CHUNK && stop.abort(),
    }),
  );
  expectEqual(error.code, "aborted", "stopped");
  const [{ id, bytesDone }] = await store.list();
  expect(bytesDone >= 9 * CHUNK && bytesDone < SIZE, `${bytesDone}`);
  await fresh2();
  server.setFault("/m.gguf", null);
  server.clearLog();
  expectEqual((await store.resume(id)).id, sha256(model), "whole");
  expectEqual(ranges(), [`bytes=${bytesDone}-`], "from where it was");
  expectEqual(
    (await failure(store.add(server.url("/m.gguf"), { signal: AbortSignal.abort() }))).code,
    "aborted",
    "raised before",
  );
});

await report.run(
  "A3 CSS-3: a chunk that is damaged on its way is found within it, and it alone comes again",
  async () => {
    const store = await fresh();
    server.setFault("/m.gguf", { flipAt: 12 * CHUNK + 9, times: 1 });
    expectEqual((await store.add(server.url("/m.json"))).id, sha256(model), "whole");
    const asked = ranges();
    expectEqual(asked[1], `bytes=${12 * CHUNK}-${13 * CHUNK - 1}`, "the chunk");
    expectEqual(asked[2], `bytes=${13 * CHUNK}-`, "then the rest");
  },
);

await report.run(
  "A3 CSS-3: a file that is another one is refused at its first wrong chunk; what was right stays",
  async () => {
    const store = await fresh();
    const other = model.slice();
    other[20 * CHUNK] ^= 1;
    server.setFile("/m.gguf", other);
    const error = await failure(store.add(server.url("/m.json")));
    expectEqual([error.code, error.details.chunk], ["bad_hash", 20], "refused");
    const [entry] = await store.list();
    expectEqual(entry.bytesDone, 20 * CHUNK, "20 chunks are here");
    server.setFile("/m.gguf", model);
    server.clearLog();
    expectEqual((await store.resume(entry.id)).state, "verified", "the server is repaired");
    expectEqual(ranges(), [`bytes=${20 * CHUNK}-`], "the rest");
  },
);

await report.run("A3 C-4: an expected SHA-256 decides about a file without a manifest", async () => {
  const store = await fresh({ policy: "require" });
  expectEqual((await store.add(server.url("/m.gguf"), { sha256: sha256(model) })).id, sha256(model), "right");
  const second = await fresh({ policy: "require" });
  expectEqual(
    (await failure(second.add(server.url("/m.gguf"), { sha256: "1".repeat(64) }))).code,
    "bad_hash",
    "wrong",
  );
  expectEqual(await second.list(), [], "nothing is kept");
});

await server.close();
await elsewhere.close();
report.finish();
