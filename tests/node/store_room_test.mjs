// The artifact store (web/store) where room is short, where two are at work, and where work is stopped.

import { ArtifactStore } from "../../web/store/artifact_store.mjs";
import { MemoryFiles } from "../../web/store/memory_files.mjs";
import { WebReport, expect, expectEqual } from "../web/report.mjs";
import { CHUNK, FaultyFiles, failure, jsonBytes, makeManifest, makeModel, sha256 } from "./store_fixtures.mjs";

const report = new WebReport();
const MIB = 2 ** 20;

const fileOf = (bytes, name = "tiny.gguf") => new File([bytes], name, { lastModified: 7 });
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

// A file that takes a while for every piece, so that there is time to stop it.
const slowFile = (bytes, name) => slowed(fileOf(bytes, name));
function slowed(file) {
  const slice = file.slice.bind(file);
  file.slice = (...args) => {
    const part = slice(...args);
    return { arrayBuffer: async () => (await new Promise((done) => setTimeout(done, 30)), part.arrayBuffer()) };
  };
  return file;
}

const dataOf = async (files, size) =>
  (await files.list()).find((file) => file.name.endsWith(".data") && file.size === size).name;

await report.run("A6: an artifact whose bytes are gone is offered again as one to resume", async () => {
  const { files, ids } = await filled(1);
  await files.remove(await dataOf(files, CHUNK));
  const store = await open(files);
  const [entry] = await store.list();
  expectEqual([entry.id, entry.state, entry.bytesDone], [ids[0], "staging", 0], "entry");
  expectEqual((await store.add(fileOf(makeModel(CHUNK, 1), "m0.gguf"))).id, ids[0], "added again");
});

await report.run("C-6: room is asked for first: nothing is begun where it does not fit", async () => {
  const files = new MemoryFiles({ quota: 2 * MIB });
  const store = await open(files);
  const error = await failure(store.add(fileOf(makeModel(2 * MIB))));
  expectEqual(error.code, "quota", "code");
  expect(error.details.need === 2 * MIB && error.message.includes("MiB"), error.message);
  expectEqual(await store.list(), [], "no entry");
});

await report.run("C-6 A6: what was not used for longest goes; active, pinned and the one before never", async () => {
  const { store, ids } = await filled(5, { quota: 8 * MIB, size: MIB });
  const [active, pinned, old, fresh, before] = ids;
  await store.activate(before);
  await store.activate(active);
  await store.pin(pinned);
  await store.file(old); // the pinned one was not used for longest
  await store.file(fresh); // used after `old`
  const added = (await store.add(fileOf(makeModel(2.5 * MIB, 99), "new.gguf"))).id;
  const left = (await store.list()).map((entry) => entry.id);
  expect(!left.includes(old), "the oldest is gone");
  for (const id of [active, pinned, fresh, before, added]) expect(left.includes(id), "the others are there");
  // 3 MiB more than can be freed: nothing is taken away for nothing.
  const error = await failure(store.add(fileOf(makeModel(7 * MIB, 98), "huge.gguf")));
  expectEqual(error.code, "quota", "code");
  expectEqual((await store.list()).length, left.length, "all still there");
  expectEqual(
    (await failure(store.add(fileOf(makeModel(3 * MIB, 97)), { evict: false }))).code,
    "quota",
    "only if it is allowed",
  );
});

await report.run("C-6 A6: the only other version of the active artifact is never evicted", async () => {
  const files = new MemoryFiles({ quota: 8 * MIB });
  const store = await open(files);
  const put = (version, seed, name = "tiny") => {
    const model = makeModel(MIB, seed);
    const manifest = makeManifest({ "m.gguf": model }, { name, version });
    return store.add({ manifest: new Blob([jsonBytes(manifest)]), files: [fileOf(model, "m.gguf")] });
  };
  const one = await put("1.0.0", 1);
  const other = await put("1.0.0", 2, "other");
  const two = await put("2.0.0", 3);
  await store.activate(two.id);
  await store.add(fileOf(makeModel(4.5 * MIB, 4)));
  const left = (await store.list()).map((entry) => entry.id);
  expect(left.includes(one.id) && left.includes(two.id) && !left.includes(other.id), "1.0.0 stays, the other went");
  expectEqual((await store.rollback()).version, "1.0.0", "rollback");
});

await report.run("C-6 A6: a browser that estimates too much is found out before a byte is asked for", async () => {
  const files = new MemoryFiles({ quota: 2 * MIB });
  files.estimate = async () => ({ usage: 0, quota: 10 * 2 ** 30, persisted: false });
  const store = await open(files);
  const file = fileOf(makeModel(3 * MIB));
  let nRead = 0;
  const slice = file.slice.bind(file);
  file.slice = (...args) => (++nRead, slice(...args));
  const error = await failure(store.add(file));
  expectEqual([error.code, error.details.need, nRead], ["quota", 3 * MIB, 0], error.message);
  expectEqual(await store.list(), [], "no entry");
});

await report.run("A6: what another tab makes active in the last moment is not evicted", async () => {
  const { files, store, ids } = await filled(2, { quota: 5 * MIB, size: MIB });
  const other = await open(files);
  const lock = files.lock.bind(files);
  let isActivated = false;
  files.lock = async (name, options, f) => {
    if (name.startsWith("artifact-") && !isActivated && !options.wait) {
      isActivated = true;
      await other.activate(ids[0]);
    }
    return lock(name, options, f);
  };
  await store.add(fileOf(makeModel(2.5 * MIB, 9), "new.gguf"));
  expect(isActivated, "it came in between");
  const left = (await store.list()).map((entry) => entry.id);
  expect(left.includes(ids[0]) && !left.includes(ids[1]), "the other one went");
});

await report.run("A6: begun transfers that nobody went on with go before whole artifacts", async () => {
  const files = new MemoryFiles({ quota: 8 * MIB });
  const store = await open(files, { chunkBytes: MIB / 8 });
  const whole = await store.add(fileOf(makeModel(2 * MIB, 1), "whole.gguf"));
  const stop = new AbortController();
  const onProgress = ({ done }) => done > MIB && stop.abort();
  const error = await failure(
    store.add(slowFile(makeModel(3 * MIB, 2), "part.gguf"), { signal: stop.signal, onProgress }),
  );
  expectEqual(error.code, "aborted", "stopped");
  expectEqual(
    (await store.list()).map((entry) => entry.state),
    ["verified", "staging"],
    "both there",
  );
  await store.add(fileOf(makeModel(4 * MIB, 3), "new.gguf"));
  expectEqual(
    (await store.list()).map((entry) => entry.name),
    ["whole.gguf", "new.gguf"],
    "the part went",
  );
  expect((await store.file(whole.id)).size === 2 * MIB, "the whole one is there");
});

await report.run("C-2: an import that was stopped goes on with the chunks that are missing", async () => {
  const store = await open();
  const model = makeModel(20 * CHUNK + 5);
  const stop = new AbortController();
  let id;
  const onProgress = (p) => {
    id = p.id;
    if (p.done >= 8 * CHUNK) stop.abort();
  };
  expectEqual(
    (await failure(store.add(slowFile(model), { signal: stop.signal, onProgress }))).code,
    "aborted",
    "stopped",
  );
  const [entry] = await store.list();
  expectEqual([entry.state, entry.id], ["staging", id], "staging");
  expect(entry.bytesDone > 0 && entry.bytesDone < model.length, `${entry.bytesDone}`);
  expectEqual((await failure(store.file(id))).code, "incomplete", "not to be used");
  expectEqual((await failure(store.activate(id))).code, "incomplete", "nor activated");
  expectEqual((await failure(store.resume(id))).code, "source_gone", "a file can not be opened again by itself");
  const phases = {};
  const done = await store.add(fileOf(model), { onProgress: (p) => (phases[p.phase] = p.done) });
  expectEqual(done.id, sha256(model), "whole");
  expectEqual(phases.check, entry.bytesDone, "what was there was kept");
});

await report.run(
  "C-2 C-4: another file of the same name and size is never mixed with what came of the first",
  async () => {
    for (const [date, what] of [
      [8, "another date"],
      [7, "the same date"],
    ]) {
      for (const isWhole of [false, true]) {
        const files = new MemoryFiles();
        let store = await open(files);
        const [one, two] = [makeModel(20 * CHUNK, 1), makeModel(20 * CHUNK, 2)];
        const stop = new AbortController();
        const onProgress = ({ done }) => done >= (isWhole ? 20 : 8) * CHUNK && stop.abort();
        if (isWhole) {
          // Ended in the moment before it was verified.
          const session = new FaultyFiles(files);
          await (await open(session)).add(fileOf(one));
          const disk = new MemoryFiles();
          store = await open(new FaultyFiles(disk, { at: session.nStep - 3, kind: "kill" })).catch(() => null);
          await store.add(fileOf(one)).catch(() => {});
          store = await open(disk);
        } else {
          await failure(store.add(slowFile(one), { signal: stop.signal, onProgress }));
        }
        expectEqual(
          (await store.list()).map((entry) => entry.state),
          ["staging"],
          "begun",
        );
        // The other one is begun, too, and stopped; then what can be had without a file, is.
        const second = new AbortController();
        const other = new File([two], "tiny.gguf", { lastModified: date });
        const late = slowed(other);
        await failure(
          store.add(late, { signal: second.signal, onProgress: ({ done }) => done >= 3 * CHUNK && second.abort() }),
        );
        for (const { id } of await store.list()) {
          const found = await store.resume(id).catch(() => null);
          expect(found === null || found.id === sha256(one) || found.id === sha256(two), `${what}: a mixture`);
        }
        expectEqual((await store.add(other)).id, sha256(two), what);
      }
    }
  },
);

await report.run("C-2: cancel ends a transfer and forgets it; what is verified stays", async () => {
  const { store, ids, files } = await filled(1);
  const model = makeModel(64 * CHUNK, 5);
  let cancelled;
  const onProgress = ({ id }) => (cancelled ??= store.cancel(id));
  expectEqual((await failure(store.add(fileOf(model), { onProgress }))).code, "aborted", "stopped");
  await cancelled;
  await store.cancel(ids[0]);
  expectEqual(
    (await store.list()).map((entry) => entry.id),
    ids,
    "the list",
  );
  expectEqual((await files.list()).length, 5, "two slots and three files");
});

await report.run(
  "A6: two tabs: one works on an artifact, the other is told; different ones do not disturb",
  async () => {
    const files = new MemoryFiles();
    const [one, two] = [await open(files), await open(files)];
    const model = fileOf(makeModel(64 * CHUNK));
    let second;
    const first = one.add(model, {
      onProgress: ({ id }) => (second ??= failure(two.add(fileOf(makeModel(64 * CHUNK)))).then((e) => [e.code, id])),
    });
    const entry = await first;
    expectEqual((await second)[0], "busy", "the same one");
    const [a, b] = await Promise.all([
      one.add(fileOf(makeModel(9000, 2), "a.gguf")),
      two.add(fileOf(makeModel(9000, 3), "b.gguf")),
    ]);
    expectEqual((await two.list()).map((each) => each.id).sort(), [entry.id, a.id, b.id].sort(), "all three");
    await Promise.all([one.activate(a.id), two.activate(b.id), one.pin(a.id), two.file(a.id), one.verify(b.id)]);
    const active = (await one.active()).id;
    expect(active === a.id || active === b.id, "one of them is active");
  },
);

await report.run("A6: what is whole is used, while a slower transfer of the same bytes goes on", async () => {
  const store = await open();
  const model = makeModel(12 * CHUNK);
  const manifest = new Blob([jsonBytes(makeManifest({ "m.gguf": model }))]);
  let quick;
  const onProgress = ({ phase }) => {
    if (phase === "download") quick ??= store.add(fileOf(model, "quick.gguf"));
  };
  const slow = store.add({ manifest, files: [slowFile(model, "m.gguf")] }, { onProgress });
  while (quick === undefined) await new Promise((done) => setTimeout(done, 5));
  const { id } = await quick;
  expectEqual((await store.list()).map((entry) => entry.state).sort(), ["staging", "verified"], "both are there");
  expectEqual((await store.file(id)).size, model.length, "the whole one");
  expectEqual((await slow).id, id, "the slow one ends");
  expectEqual((await store.list()).length, 1, "as the same");
});

await report.run("C-7: activation: the pointer names what is whole, and what was before stays at hand", async () => {
  const { store, ids } = await filled(3);
  expectEqual(await store.active(), null, "none at first");
  expectEqual((await failure(store.rollback())).code, "not_found", "nothing to go back to");
  await store.activate(ids[0]);
  await store.activate(ids[2]);
  await store.activate(ids[2]);
  expectEqual((await store.rollback()).id, ids[0], "back");
  await store.remove(ids[0]);
  expectEqual(await store.active(), null, "removed by its user");
  expectEqual((await store.list()).length, 2, "two are left");
});

report.finish();
