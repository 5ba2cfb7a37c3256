// Whom the artifact store believes: manifests, policies, versions that go back, keys that hand over.

import { ArtifactStore } from "../../web/store/artifact_store.mjs";
import { compareVersions, parseManifest } from "../../web/store/manifest.mjs";
import { MemoryFiles } from "../../web/store/memory_files.mjs";
import { WebReport, expect, expectEqual } from "../web/report.mjs";
import { CHUNK, Signer, failure, jsonBytes, makeManifest, makeModel } from "./store_fixtures.mjs";

const report = new WebReport();
const [ours, next, stranger] = [new Signer(1), new Signer(2), new Signer(3)];
const model = makeModel(2 * CHUNK + 7);

// ---- manifests -------------------------------------------------------------------------------------

const refused = async (bytes) => (await failure((async () => parseManifest(bytes))())).code;

await report.run("A5: a key that stands twice is refused, at any depth and however it is spelt", async () => {
  const text = JSON.stringify(makeManifest({ "m.gguf": model }));
  parseManifest(new TextEncoder().encode(text));
  const twice = [
    text.replace('"name":"tiny"', '"name":"tiny","name":"other"'),
    text.replace('"name":"tiny"', '"name":"tiny","n\\u0061me":"tiny"'),
    text.replace('"path":"m.gguf"', '"path":"m.gguf","path":"m.gguf"'),
    text.replace('"size":', '"size":1,"size":'),
    text.replace("{", '{"x-a":{"b":1,"b":1},'),
    text.replace("{", '{"x-__proto__":1,"x-__proto__":1,'),
  ];
  for (const each of twice) {
    const error = await failure((async () => parseManifest(new TextEncoder().encode(each)))());
    expect(error.code === "bad_manifest" && error.message.includes("twice"), error.message);
  }
});

await report.run("A5: what is no JSON to the letter is refused", async () => {
  const text = JSON.stringify(makeManifest({ "m.gguf": model }));
  const bad = [
    "",
    "{",
    `${text}x`,
    `${text}${text}`,
    `\ufeff${text}`,
    text.replace("1.0.0", "1.0.0\n"),
    text.replace("tiny", "\\x"),
    text.replace("tiny", "\\ud800"),
    text.replace(":false", ":False"),
    text.replace(/"size":\d+/, '"size":1e3'),
    text.replace(/"size":\d+/, '"size":01'),
    text.replace(/"size":\d+/, '"size":9007199254740993'),
    text.replace(/"size":\d+/, '"size":8199.0'),
    text.replace(/"size":\d+/, '"size":-1'),
    text.replace("[", "[,"),
    text.replace("}", ",}"),
    text.replace('"', "'"),
    text.replace("{", "{/**/"),
    `${"[".repeat(100_000)}`,
    text.replace("{", `{"x-deep":${"[".repeat(17)}${"]".repeat(17)},`),
  ];
  for (const each of bad)
    expectEqual(await refused(new TextEncoder().encode(each)), "bad_manifest", each.slice(0, 60));
  expectEqual(await refused(new Uint8Array([0x7b, 0xff, 0x7d])), "bad_manifest", "UTF-8");
  expectEqual(await refused(new Uint8Array(17 * 2 ** 20)), "bad_manifest", "too long");
});

await report.run("A5: fields: unknown ones, wrong kinds, lists that contradict themselves", async () => {
  const good = makeManifest({ "m.gguf": model });
  parseManifest(jsonBytes({ ...good, "x-note": { anything: ["goes", 1] } }));
  const changed = (change) => {
    const copy = structuredClone(good);
    change(copy, copy.files[0]);
    return jsonBytes(copy);
  };
  const bad = {
    "an unknown key": (m) => (m.extra = 1),
    "an unknown key of a file": (m, f) => (f.url = "https://x"),
    __proto__: (m) => Object.defineProperty(m, "__proto__", { value: 1, enumerable: true }),
    "no name": (m) => delete m.name,
    "a path as name": (m) => (m.name = "../x"),
    version: (m) => (m.version = "1.0"),
    "version, long": (m) => (m.version = `${"1".repeat(40)}.0.0`),
    kind: (m) => (m.kind = "virus"),
    schema: (m) => (m.schema = "lbm-manifest-2"),
    "a signature inside": (m) => (m.signature = "RW"),
    "no file": (m) => (m.files = []),
    "a file twice": (m, f) => m.files.push(f),
    size: (m, f) => (f.size = 2 ** 47),
    "a text as size": (m, f) => (f.size = "9"),
    "capital digest": (m, f) => (f.sha256 = f.sha256.toUpperCase()),
    "short digest": (m, f) => (f.sha256 = f.sha256.slice(1)),
    "one chunk more": (m, f) => f.chunks.push(f.chunks[0]),
    "one less": (m, f) => f.chunks.pop(),
    "chunk size": (m, f) => (f.chunk_size = 1),
    chunk: (m, f) => (f.chunks[1] = 7),
    "huge chunks": (m, f) => ((f.chunk_size = 2 ** 28), (f.chunks = [f.sha256])),
    quality: (m) => (m.trained_quality_claim = true),
    evidence: (m) => (m.source_kind = "evaluated"),
    control: (m) => (m.licence = "MIT\u0007"),
    resources: (m) => (m.resources = { ram: -1 }),
  };
  for (const [what, change] of Object.entries(bad)) expectEqual(await refused(changed(change)), "bad_manifest", what);
  expectEqual(await refused(new TextEncoder().encode("[]")), "bad_manifest", "a list");
});

// ---- policies, versions, keys -------------------------------------------------------------------------

function parts(version = "1.0.0", { by = ours, seed = 1, comment, ...more } = {}) {
  const bytes = makeModel(2 * CHUNK + 7, seed);
  const manifest = jsonBytes(makeManifest({ "m.gguf": bytes }, { version, ...more }));
  return {
    manifest: new Blob([manifest]),
    signature: by === null ? null : by.sign(manifest, { comment }),
    files: [new File([bytes], "m.gguf")],
  };
}
const open = (options, files = new MemoryFiles()) =>
  ArtifactStore.open(files, { chunkBytes: CHUNK, keys: [ours.publicKey], ...options });

await report.run("C-5: a bad or missing signature is refused by policy; a bad one always", async () => {
  const bad = { ...parts(), signature: parts("1.0.1").signature };
  const cut = { ...parts(), signature: parts().signature.slice(0, 90) };
  const table = [
    // policy, what comes, what comes of it
    ["require", parts(), ours.id],
    ["warn", parts(), ours.id],
    ["require", parts("1.0.0", { by: null }), "unsigned"],
    ["warn", parts("1.0.0", { by: null }), null],
    ["none", parts("1.0.0", { by: null }), null],
    ["require", parts("1.0.0", { by: stranger }), "untrusted_key"],
    ["warn", parts("1.0.0", { by: stranger }), null],
    ["require", bad, "bad_signature"],
    ["warn", bad, "bad_signature"],
    ["none", bad, "bad_signature"],
    ["require", cut, "bad_signature"],
    ["warn", cut, "bad_signature"],
    ["none", cut, "bad_signature"],
  ];
  for (const [policy, source, expected] of table) {
    const store = await open({ policy });
    const result = await store.add(source).then(
      (entry) => entry.signature?.keyId ?? null,
      (error) => error.code,
    );
    expectEqual(result, expected, `${policy}`);
    expectEqual((await store.list()).length, expected === null || expected === ours.id ? 1 : 0, "kept or not");
  }
  const store = await open({ policy: "require" });
  expectEqual((await failure(store.add(new File([model], "m.gguf")))).code, "unsigned", "a bare file");
  expectEqual(
    (
      await store.add(new File([model], "m.gguf"), {
        sha256: parseManifest(jsonBytes(makeManifest({ "m.gguf": model }))).files[0].sha256,
      })
    ).state,
    "verified",
    "with its hash",
  );
  expectEqual((await failure(open({ policy: "maybe" }))).code, "bad_source", "another policy");
});

await report.run("A5: versions go forwards: older ones are refused, also when the newer one is removed", async () => {
  const store = await open();
  const two = await store.add(parts("1.10.0", { seed: 2 }));
  expectEqual((await failure(store.add(parts("1.9.9", { seed: 1 })))).code, "rollback", "older");
  expectEqual((await failure(store.add(parts("1.10.0", { seed: 3 })))).code, "rollback", "the same with other bytes");
  expectEqual((await store.add(parts("1.10.0", { seed: 2 }))).id, two.id, "the same again");
  await store.remove(two.id);
  expectEqual((await failure(store.add(parts("1.9.9", { seed: 1 })))).code, "rollback", "removed");
  expectEqual(
    (await failure(store.add(parts("2.0.0", { seed: 4, by: null })))).code,
    "unsigned",
    "unsigned, where it was signed before",
  );
  expectEqual(
    (await store.add(parts("1.9.9", { seed: 1 }), { allowRollback: true })).version,
    "1.9.9",
    "if it is asked for",
  );
  expectEqual((await store.add(parts("1.11.0", { seed: 5 }))).version, "1.11.0", "newer");
  expectEqual((await store.add(parts("0.1.0", { seed: 6, name: "other" }))).version, "0.1.0", "another name");
  const order = ["0.0.1", "0.0.10", "0.2.0", "0.10.0", "1.0.0", "10.0.0", "99999999999999999999.0.0"];
  for (let i = 1; i < order.length; ++i) expect(compareVersions(order[i - 1], order[i]) < 0, order[i]);
});

await report.run("A5: what nobody signed raises no mark: it can not lock out what is signed", async () => {
  const store = await open();
  await store.add(parts("999.0.0", { by: null, seed: 2 }));
  expectEqual((await store.add(parts("1.0.0"))).signature.keyId, ours.id, "signed");
});

await report.run("A5: an unsigned manifest for signed bytes changes nothing of what is signed", async () => {
  const store = await open();
  const { id } = await store.add(parts("1.0.0"));
  const other = jsonBytes(makeManifest({ "m.gguf": model }, { name: "other", version: "999.0.0" }));
  const entry = await store.add({ manifest: new Blob([other]), files: [new File([model], "m.gguf")] });
  expectEqual(
    [entry.id, entry.name, entry.version, entry.signature.keyId],
    [id, "tiny", "1.0.0", ours.id],
    "what the signature covers",
  );
  const signed = jsonBytes(makeManifest({ "m.gguf": makeModel(CHUNK, 7) }, { name: "other", version: "1.0.0" }));
  const files = [new File([makeModel(CHUNK, 7)], "m.gguf")];
  const taken = await store.add({ manifest: new Blob([signed]), signature: ours.sign(signed), files });
  expectEqual([taken.name, taken.version], ["other", "1.0.0"], "a name that nobody had signed is not locked out");
});

await report.run("A5: a signature that ran out is refused; what was taken before stays", async () => {
  const files = new MemoryFiles();
  let now = Date.parse("2027-01-01T00:00:00Z");
  const store = await open({ now: () => now }, files);
  const comment = "tiny expires:2027-03-01";
  const entry = await store.add(parts("1.0.0", { comment }));
  expectEqual(new Date(entry.expires).toISOString(), "2027-03-01T23:59:59.000Z", "shown");
  now = Date.parse("2027-03-02T00:00:00Z");
  expectEqual((await failure(store.add(parts("1.0.1", { comment, seed: 2 })))).code, "expired", "late");
  expectEqual((await store.file(entry.id)).size, model.length, "still usable");
  expectEqual(
    (await store.add(parts("1.0.1", { comment: "expires:2027-04-01T10:00:00Z", seed: 2 }))).version,
    "1.0.1",
    "renewed",
  );
  expectEqual(
    (await failure(store.add(parts("1.0.2", { comment: "expires:soon", seed: 3 })))).code,
    "bad_signature",
    "no date",
  );
});

await report.run("A5: rotation: a key hands over to the one that it signed, and counts no more", async () => {
  const files = new MemoryFiles();
  const store = await open({ policy: "require" }, files);
  await store.add(parts("1.0.0"));
  const hand = (from, comment = "lbm-rotate") => from.sign(new TextEncoder().encode(next.publicKeyFile), { comment });
  expectEqual(
    (await failure(store.rotate(next.publicKeyFile, hand(stranger)))).code,
    "untrusted_key",
    "by a stranger",
  );
  expectEqual((await failure(store.rotate(stranger.publicKeyFile, hand(ours)))).code, "bad_signature", "another key");
  expectEqual(
    (await failure(store.rotate(next.publicKeyFile, hand(ours, "timestamp:1")))).code,
    "bad_signature",
    "signed for another purpose",
  );
  expectEqual((await failure(store.add(parts("1.1.0", { by: next, seed: 2 })))).code, "untrusted_key", "not yet");
  await store.rotate(next.publicKeyFile, hand(ours));
  const later = await open({ policy: "require" }, files);
  expectEqual((await later.add(parts("1.1.0", { by: next, seed: 2 }))).signature.keyId, next.id, "the new one");
  expectEqual((await failure(later.add(parts("1.2.0", { by: ours, seed: 3 })))).code, "untrusted_key", "the old one");
  expectEqual(
    (
      await failure(
        later.rotate(
          stranger.publicKeyFile,
          ours.sign(new TextEncoder().encode(stranger.publicKeyFile), { comment: "lbm-rotate" }),
        ),
      )
    ).code,
    "untrusted_key",
    "no second successor",
  );
  const revoked = await open({ policy: "require", keys: [{ publicKey: ours.publicKey, state: "revoked" }] }, files);
  expectEqual(
    (await failure(revoked.add(parts("1.2.0", { by: next, seed: 3 })))).code,
    "untrusted_key",
    "revoked with its successor",
  );
  const retired = await open(
    { policy: "require", keys: [{ publicKey: ours.publicKey, state: "retired" }, next.publicKey] },
    files,
  );
  expectEqual(
    (await retired.add(parts("1.2.0", { by: next, seed: 3 }))).version,
    "1.2.0",
    "retired, and its successor pinned",
  );
});

await report.run("C-5: a signed manifest for bytes that are here already adds what it says of them", async () => {
  const store = await open();
  const { id } = await store.add(new File([model], "m.gguf"));
  const entry = await store.add(parts("1.0.0"));
  expectEqual([entry.id, entry.name, entry.version, entry.signature.keyId], [id, "tiny", "1.0.0", ours.id], "entry");
  expectEqual((await failure(store.add(parts("0.9.0", { seed: 2 })))).code, "rollback", "and its version counts");
});

await report.run(
  "A5: maximum sizes: a manifest that names more than is taken is refused before a byte is asked for",
  async () => {
    const store = await open({ maxBytes: CHUNK });
    expectEqual((await failure(store.add(parts("1.0.0")))).code, "too_long", "code");
  },
);

await report.run("C-4: an expected SHA-256 holds for a manifest, too", async () => {
  const store = await open();
  expectEqual((await failure(store.add(parts(), { sha256: "2".repeat(64) }))).code, "bad_hash", "another");
  const { id } = await store.add(parts());
  expectEqual((await store.add(parts(), { sha256: id })).id, id, "this one");
});

report.finish();
