// The artifact store (web/store) over files in memory: what goes in and what comes out. Other tests have room and
// tabs (store_room_test.mjs), kills (store_faults_test.mjs), the network and signatures.

import { ArtifactStore } from "../../web/store/artifact_store.mjs";
import { MemoryFiles } from "../../web/store/memory_files.mjs";
import { seal, unseal } from "../../web/store/records.mjs";
import { createSha256 } from "../../web/store/sha256.mjs";
import { openStore } from "../../web/store/store.mjs";
import { WebReport, expect, expectEqual } from "../web/report.mjs";
import { startServer } from "../web/static_server.mjs";
import { CHUNK, failure, jsonBytes, makeManifest, makeModel, sha256 } from "./store_fixtures.mjs";

const report = new WebReport();
const MIB = 2 ** 20;

const fileOf = (bytes, name = "tiny.gguf") => new File([bytes], name, { lastModified: 7 });
const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());
const open = (files = new MemoryFiles(), options = {}) =>
  ArtifactStore.open(files, { chunkBytes: CHUNK, ...options });

// A store with `n` models of one chunk; a clock of its own, so that "used last" is known.
async function filled(n, { quota = 64 * MIB, size = CHUNK } = {}) {
  const files = new MemoryFiles({ quota });
  let time = 0;
  const store = await open(files, { now: () => ++time });
  const ids = [];
  for (let i = 0; i < n; ++i) ids.push((await store.add(fileOf(makeModel(size, i + 1), `m${i}.gguf`))).id);
  return { files, store, ids };
}

async function flip(files, name, at) {
  const file = await files.open(name);
  const byte = new Uint8Array(1);
  file.read(at, byte);
  file.write(
    at,
    byte.map((value) => value ^ 1),
  );
  file.close();
}
const dataOf = async (files, size) =>
  (await files.list()).find((file) => file.name.endsWith(".data") && file.size === size).name;

await report.run("G-6: SHA-256 has the digests of FIPS 180-4, in one piece and in many", () => {
  const hash = (pieces) => pieces.reduce((h, piece) => (h.update(piece), h), createSha256()).hex();
  const text = (value) => new TextEncoder().encode(value);
  expectEqual(hash([]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "nothing");
  expectEqual(hash([text("abc")]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc");
  const twoBlocks = text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
  expectEqual(hash([twoBlocks]), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", "two blocks");
  const million = new Uint8Array(1_000_000).fill(0x61);
  const pieces = [];
  for (let at = 0, n = 1; at < million.length; at += n, n = (n * 7) % 9973) pieces.push(million.subarray(at, at + n));
  expectEqual(hash(pieces), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "a million");
});

await report.run("A5: SHA-256: the Monte Carlo test of NIST (CAVS, first round)", () => {
  const seed = Buffer.from("6d1e72ad03ddeb5de891e572e2396f8da015d899ef0e79503152d6010a3fe691", "hex");
  let [a, b, c] = [seed, seed, seed];
  for (let i = 0; i < 1000; ++i) {
    const hash = createSha256();
    for (const piece of [a, b, c]) hash.update(piece);
    [a, b, c] = [b, c, Buffer.from(hash.hex(), "hex")];
  }
  expectEqual(c.toString("hex"), "e93c330ae5447738c8aa85d71a6c80f2a58381d05872d26bdd39f1fcd4f2b788", "digest");
});

await report.run("A2: a record that is torn or changed anywhere is seen", () => {
  const bytes = seal({ seq: 3, text: "\u00e4" });
  expectEqual(unseal(bytes), { seq: 3, text: "\u00e4" }, "a whole one");
  for (let n = 0; n < bytes.length; ++n) {
    expect(unseal(bytes.subarray(0, n)) === undefined, `cut at ${n}`);
    const other = bytes.slice();
    other[n] ^= 1;
    let value;
    try {
      value = unseal(other);
    } catch (error) {
      expect(error.code === "newer_store", `byte ${n}: ${error.message}`);
    }
    expect(value === undefined, `byte ${n}`);
  }
});

await report.run("C-4 G-6: a file is imported, hashed and given out; its id is its SHA-256", async () => {
  const store = await open();
  const model = makeModel(10 * CHUNK + 123);
  const phases = [];
  const entry = await store.add(fileOf(model), { onProgress: (p) => phases.push(p) });
  expectEqual(entry.id, sha256(model), "the id");
  expectEqual(
    [entry.state, entry.bytes, entry.bytesDone, entry.name],
    ["verified", model.length, model.length, "tiny.gguf"],
    "entry",
  );
  expectEqual(entry.signature, null, "no signature");
  expectEqual(phases.at(-1).done, model.length, "progress ends with all");
  const file = await store.file(entry.id);
  expectEqual(sha256(await bytesOf(file)), entry.id, "the bytes");
  expectEqual(sha256(await bytesOf(file.slice(100, 9000))), sha256(model.subarray(100, 9000)), "a range");
  expectEqual((await store.add(fileOf(model, "again.gguf"))).id, entry.id, "once more");
  expectEqual((await store.list()).length, 1, "kept once");
});

await report.run("A1: only 64 small hexadecimal digits name an artifact, before any path is made", async () => {
  const files = new MemoryFiles();
  const asked = [];
  const store = await open(
    new Proxy(files, {
      get:
        (target, name) =>
        (...args) => (asked.push(String(args[0])), target[name](...args)),
    }),
  );
  const entry = await store.add(fileOf(makeModel(CHUNK)));
  asked.length = 0;
  const { id } = entry;
  const bad = [
    "",
    "../index.0",
    `../${id.slice(3)}`,
    id.toUpperCase(),
    id.slice(1),
    `${id}0`,
    `${id}\0`,
    `${id.slice(1)}\0`,
    `${id}\n`,
    `${id.slice(2)}.0`,
    ` ${id.slice(1)}`,
    null,
    undefined,
    7,
    {},
    [id],
    "g".repeat(64),
  ];
  for (const value of bad) {
    for (const method of ["resume", "cancel", "activate", "file", "verify", "remove", "pin"]) {
      expectEqual((await failure(store[method](value))).code, "bad_id", `${method}(${JSON.stringify(value)})`);
    }
    if (value !== undefined) {
      expectEqual(
        (await failure(store.add(fileOf(makeModel(9)), { sha256: value }))).code,
        "bad_id",
        `add, ${JSON.stringify(value)}`,
      );
    }
  }
  const legal = /^(index(\.[01])?|(artifact-)?[0-9a-f]{64}(\.(data|meta|chunks))?|undefined)$/;
  const wrong = asked.find((name) => !legal.test(name));
  expect(wrong === undefined, `asked for ${wrong}`);
  expectEqual((await failure(store.file("0".repeat(64)))).code, "not_found", "another id");
});

await report.run("A1: names of files are data: a hostile one is shown harmless, and is no path", async () => {
  const files = new MemoryFiles();
  const store = await open(files);
  const { name } = await store.add(fileOf(makeModel(CHUNK), "../../<img src=x>\u202e.gguf"));
  expect(/^[A-Za-z0-9._ -]+$/.test(name), name);
  for (const { name: path } of await files.list())
    expect(/^([0-9a-f]{64}\.(data|meta|chunks)|index\.[01])$/.test(path), path);
  for (const path of ["..", ".", "a/b", "a\\b", "", "a\0", "\u00e4", "x".repeat(129)]) {
    const manifest = makeManifest({ "m.gguf": makeModel(9) });
    manifest.files[0].path = path;
    expectEqual(
      (await failure(store.add({ manifest: new Blob([jsonBytes(manifest)]), files: [] }))).code,
      "bad_manifest",
      path,
    );
  }
});

await report.run(
  "C-3: what was put in is there in the next session, and nothing was read again to know it",
  async () => {
    const { files, ids, store } = await filled(2);
    await store.activate(ids[1]);
    const again = await open(files);
    expectEqual(
      (await again.list()).map((entry) => [entry.id, entry.state]),
      [
        [ids[0], "verified"],
        [ids[1], "active"],
      ],
      "list",
    );
    expectEqual(sha256(await bytesOf(await again.file(ids[0]))), ids[0], "bytes");
    expectEqual((await again.active()).id, ids[1], "active");
  },
);

await report.run("C-4: an import with another hash than the expected one is refused and leaves nothing", async () => {
  const files = new MemoryFiles();
  const store = await open(files);
  expectEqual(
    (await failure(store.add(fileOf(makeModel(3 * CHUNK)), { sha256: "0".repeat(64) }))).code,
    "bad_hash",
    "code",
  );
  expectEqual(await store.list(), [], "no entry");
  expect(
    (await files.list()).every((file) => file.name.startsWith("index.")),
    "no file",
  );
});

await report.run("G-6: what is no model is refused by its first bytes", async () => {
  const store = await open();
  const page = new TextEncoder().encode("<!doctype html><title>404</title>".padEnd(9000));
  const error = await failure(store.add(fileOf(page)));
  expectEqual(error.code, "not_a_model", "a page");
  expect(error.message.includes("web page"), error.message);
  expectEqual((await failure(store.add(fileOf(new Uint8Array(0))))).code, "not_a_model", "nothing");
  expectEqual((await store.add(fileOf(page), { anyFormat: true })).id, sha256(page), "unless it is asked for");
});

await report.run(
  "A4: a changed byte of the active artifact is refused; others work, and the one before is offered",
  async () => {
    const { files, store, ids } = await filled(3, { size: 3 * CHUNK });
    await store.activate(ids[0]);
    await store.activate(ids[1]);
    const name = (await files.list()).filter((file) => file.name.endsWith(".data"))[1].name;
    await flip(files, name, CHUNK + 5);
    const error = await failure(store.file(ids[1]));
    expectEqual([error.code, error.details.chunk, error.details.offer], ["damaged", 1, ids[0]], "refused");
    expectEqual(await store.active(), null, "not active any more");
    expectEqual((await failure(store.file(ids[1]))).code, "incomplete", "still refused");
    expectEqual(sha256(await bytesOf(await store.file(ids[2]))), ids[2], "others work");
    expectEqual((await store.rollback()).id, ids[0], "rollback");
    expectEqual((await store.active()).id, ids[0], "active");
    // The same file again repairs it.
    expectEqual((await store.add(fileOf(makeModel(3 * CHUNK, 2), "m1.gguf"))).id, ids[1], "repaired");
    expectEqual((await store.list()).length, 3, "in its place");
    expectEqual(sha256(await bytesOf(await store.file(ids[1]))), ids[1], "usable");
  },
);

await report.run("A4: the same bytes from elsewhere take the place of what was damaged", async () => {
  const { files, store, ids } = await filled(1, { size: 2 * CHUNK });
  await flip(files, await dataOf(files, 2 * CHUNK), 5);
  await failure(store.verify(ids[0]));
  expectEqual((await store.add(fileOf(makeModel(2 * CHUNK, 1), "elsewhere.gguf"))).id, ids[0], "the same id");
  expectEqual(
    (await store.list()).map((entry) => entry.state),
    ["verified"],
    "one entry",
  );
  expectEqual((await files.list()).length, 5, "and its files alone");
});

await report.run("A4: damage that leaves no trace in the file's date is found on demand", async () => {
  const { files, store, ids } = await filled(1, { size: 2 * CHUNK });
  await store.file(ids[0]);
  const name = await dataOf(files, 2 * CHUNK);
  const before = await files.stat(name);
  await flip(files, name, 17);
  const silent = new Proxy(files, {
    get: (target, key) =>
      key === "stat"
        ? async (path) => (path === name ? before : target.stat(path))
        : (...args) => target[key](...args),
  });
  const later = await open(silent);
  await later.file(ids[0]);
  expectEqual((await failure(later.verify(ids[0]))).code, "damaged", "verify");
});

await report.run("A4: a changed list of chunks is no damage: the whole decides", async () => {
  const { files, store, ids } = await filled(1, { size: 2 * CHUNK });
  await flip(files, (await files.list()).find((file) => file.name.endsWith(".chunks")).name, 3);
  expectEqual((await store.verify(ids[0])).state, "verified", "verify");
  await flip(files, await dataOf(files, 2 * CHUNK), 9);
  expectEqual((await failure(store.verify(ids[0]))).code, "damaged", "and it sees damage");
});

await report.run(
  "C-4 CSS-3: an artifact of several files is one: its id is that of the list, each is given out",
  async () => {
    const [a, b, c] = [makeModel(3 * CHUNK + 1, 1), makeModel(CHUNK, 2), new Uint8Array(0)];
    const manifest = makeManifest({ "a.gguf": a, "b.bin": b, "c.txt": c });
    const store = await open();
    const source = {
      manifest: new Blob([jsonBytes(manifest)]),
      files: [fileOf(b, "b.bin"), fileOf(c, "c.txt"), fileOf(a, "a.gguf")],
    };
    const entry = await store.add(source);
    const list = manifest.files.map((file) => `${file.sha256}  ${file.path}\n`).join("");
    expectEqual(entry.id, sha256(new TextEncoder().encode(list)), "id");
    for (const [path, bytes] of [
      ["a.gguf", a],
      ["b.bin", b],
      ["c.txt", c],
    ]) {
      expectEqual(sha256(await bytesOf(await store.file(entry.id, { path }))), sha256(bytes), path);
    }
    expectEqual((await failure(store.file(entry.id, { path: "../x" }))).code, "not_found", "no other");
    // A file of another artifact in its place (mix and match).
    const mixed = {
      ...source,
      files: [fileOf(b, "b.bin"), fileOf(c, "c.txt"), fileOf(makeModel(3 * CHUNK + 1, 9), "a.gguf")],
    };
    expectEqual((await failure((await open()).add(mixed))).code, "bad_hash", "mixed");
    expectEqual(
      (await failure((await open()).add({ ...source, files: [fileOf(a, "a.gguf")] }))).code,
      "source_gone",
      "one is missing",
    );
  },
);

await report.run("G-4: a file of 200 MiB is taken without ever standing in memory whole", async () => {
  const size = 200 * MIB + 1000;
  let largest = 0;
  const block = (from, to) => {
    const bytes = new Uint8Array(to - from);
    if (from === 0) bytes.set(new TextEncoder().encode("GGUF"));
    return bytes.buffer;
  };
  const origin = {
    name: "large.gguf",
    lastModified: 1,
    size,
    slice: (from, to) => (
      (largest = Math.max(largest, to - from)),
      { arrayBuffer: async () => block(from, Math.min(to, size)) }
    ),
  };
  Object.setPrototypeOf(origin, Blob.prototype);
  // What is written is not kept: where it would go counts.
  const files = new MemoryFiles({ quota: 2 ** 40 });
  const really = files.open.bind(files);
  let end = 0;
  const nowhere = {
    size: () => end,
    read: () => 0,
    truncate: () => {},
    flush: () => {},
    close: () => {},
    write(at, bytes) {
      expectEqual(at, end, "in order");
      end += bytes.length;
    },
  };
  files.open = async (name) => (name.endsWith(".data") ? nowhere : really(name));
  const entry = await (await open(files, { chunkBytes: 4 * MIB })).add(origin);
  expectEqual([entry.bytes, entry.state, end, largest], [size, "verified", size, 4 * MIB], "entry");
});

await report.run("C-1 MVP-3: the client of a page gives the same store, here without a worker", async () => {
  const server = await startServer({ files: { "/m.gguf": makeModel(5 * CHUNK) } });
  try {
    const store = await openStore({ files: new MemoryFiles(), chunkBytes: CHUNK });
    const entry = await store.add(server.url("/m.gguf"));
    expectEqual((await store.activate(entry.id)).state, "active", "active");
    expectEqual((await store.usage()).persisted, false, "usage");
    expectEqual(sha256(await bytesOf(await store.file(entry.id))), entry.id, "bytes");
    await store.close();
  } finally {
    await server.close();
  }
});

report.finish();
