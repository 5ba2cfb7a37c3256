// The artifact store when something ends it: at every step that changes the disk the tab is killed,
// the quota is used up, the disk fails, or the power goes. Afterwards the next session finds old or
// new, every artifact that it shows as whole is whole, nothing lies around for nothing, and doing the
// same again succeeds.

import { ArtifactStore } from "../../web/store/artifact_store.mjs";
import { MemoryFiles } from "../../web/store/memory_files.mjs";
import { WebReport, expect, expectEqual } from "../web/report.mjs";
import {
  CHUNK,
  FaultyFiles,
  Killed,
  PowerDisk,
  Signer,
  failure,
  jsonBytes,
  makeManifest,
  makeModel,
  sha256,
} from "./store_fixtures.mjs";

const report = new WebReport({ deadlineMs: 240_000 });
const fileOf = (seed, size = 2 * CHUNK + 100) =>
  new File([makeModel(size, seed)], `m${seed}.gguf`, { lastModified: 1 });
const idOf = (seed, size = 2 * CHUNK + 100) => sha256(makeModel(size, seed));
const signer = new Signer(5);

const open = (files, options) =>
  ArtifactStore.open(files, { chunkBytes: CHUNK, keys: [signer.publicKey], ...options });

function signed(seed, version) {
  const file = fileOf(seed);
  const bytes = jsonBytes(makeManifest({ "m.gguf": makeModel(2 * CHUNK + 100, seed) }, { version }));
  return { manifest: new Blob([bytes]), signature: signer.sign(bytes), files: [new File([file], "m.gguf")] };
}

async function spoil(disk) {
  const { name } = (await disk.list()).find((file) => file.name.endsWith(".data"));
  const file = await disk.open(name);
  file.write(CHUNK + 1, new Uint8Array([1, 2, 3, 4]));
  await file.flush();
  file.close();
}

// before: what is there; act: what is interrupted; active: what may be active afterwards; whole:
// what must be whole at any time.
const SCENARIOS = [
  {
    name: "the first import",
    before: async () => {},
    act: (store) => store.add(fileOf(1)),
    active: [null],
    whole: [],
  },
  {
    name: "an import beside an active one, and its activation",
    before: async (store) => store.activate((await store.add(fileOf(1))).id),
    act: async (store) => store.activate((await store.add(fileOf(2))).id),
    active: [idOf(1), idOf(2)],
    whole: [idOf(1)],
  },
  {
    name: "a signed new version, and its activation",
    before: async (store) => store.activate((await store.add(signed(1, "1.0.0"))).id),
    act: async (store) => store.activate((await store.add(signed(2, "1.1.0"))).id),
    active: [idOf(1), idOf(2)],
    whole: [idOf(1)],
  },
  {
    name: "a rollback, and the removal of what was active",
    before: async (store) => {
      for (const seed of [1, 2]) await store.activate((await store.add(fileOf(seed))).id);
    },
    act: async (store) => {
      await store.rollback();
      if ((await store.list()).some((entry) => entry.id === idOf(2))) await store.remove(idOf(2));
    },
    // Done again, it goes on to nothing: then 1 is there alone, and is active.
    again: async () => {},
    active: [idOf(1), idOf(2)],
    whole: [idOf(1)],
  },
  {
    name: "an import that evicts",
    before: async (store) => {
      for (const seed of [1, 2, 3]) await store.add(fileOf(seed));
      await store.activate(idOf(2));
    },
    act: (store) => store.add(fileOf(4, 4 * CHUNK)),
    isTight: true,
    active: [idOf(2)],
    whole: [idOf(2)],
  },
  {
    name: "a repair of what was damaged",
    before: async (store, disk) => {
      await store.add(fileOf(1));
      await spoil(disk);
    },
    act: async (store) => {
      const [entry] = await store.list();
      if (entry?.state === "verified") {
        await store.verify(entry.id).catch((error) => {
          if (error.code !== "damaged") throw error;
        });
      }
      await store.add(fileOf(1));
    },
    mayRefuse: true,
    active: [null],
    whole: [],
  },
];

async function prepare(scenario, disk = new MemoryFiles()) {
  await scenario.before(await open(disk), disk);
  if (scenario.isTight) {
    const { usage } = await disk.estimate();
    disk.quota = usage + 2 ** 20 + CHUNK; // the slack that the store keeps, and less than what comes
  }
  return disk;
}

// What must hold after anything.
async function check(disk, scenario, where, options = {}) {
  const store = await open(disk, options);
  const list = await store.list();
  const known = new Set();
  for (const entry of list) {
    if (entry.state === "staging") continue;
    const file = await store.file(entry.id).catch((error) => {
      if (!scenario.mayRefuse || error.code !== "damaged") throw error;
    });
    if (file === undefined) continue; // it is staging now
    const bytes = new Uint8Array(await file.arrayBuffer());
    expectEqual(sha256(bytes), entry.id, `${where}: ${entry.name} is whole`);
    known.add(entry.id);
  }
  for (const id of scenario.whole) expect(known.has(id), `${where}: what was there before is there`);
  const active = (await store.active())?.id ?? null;
  expect(scenario.active.includes(active), `${where}: active is ${active}`);
  const files = (await disk.list()).map((file) => file.name).filter((name) => !name.startsWith("index."));
  const metas = files.filter((name) => name.endsWith(".meta")).length;
  expect(
    metas === list.length && files.length <= 3 * list.length,
    `${where}: ${files.length} files of ${list.length} entries`,
  );
  return store;
}

async function checkAgain(store, scenario, where) {
  await (scenario.again ?? scenario.act)(store);
  const staging = (await store.list()).filter((entry) => entry.state === "staging");
  expectEqual(staging, [], `${where}: done again, nothing is left undone`);
}

async function countSteps(scenario) {
  const disk = await prepare(scenario);
  const session = new FaultyFiles(disk);
  await scenario.act(await open(session));
  return session.nStep;
}

// Runs the scenario with a fault; true where it came up.
async function interrupted(disk, scenario, fault) {
  const session = new FaultyFiles(disk, fault);
  try {
    await scenario.act(await open(session));
  } catch (error) {
    const isExpected = error instanceof Killed || typeof error.code === "string";
    if (!isExpected || session.nStep <= fault.at) throw error;
  }
  return session.nStep > fault.at;
}

let nPoint = 0;

for (const scenario of SCENARIOS) {
  const nStep = await countSteps(scenario);
  for (const [kind, ids] of [
    ["kill", "A2 C-7 CSS-3"],
    ["quota", "A6 C-6"],
    ["error", "A2"],
  ]) {
    await report.run(`${ids}: ${scenario.name}: ${kind} at each of ${nStep} steps leaves old or new`, async () => {
      for (let at = 0; at < nStep; ++at) {
        const disk = await prepare(scenario);
        const where = `${kind} at step ${at}`;
        expect(await interrupted(disk, scenario, { at, kind }), `${where}: came up`);
        await checkAgain(await check(disk, scenario, where), scenario, where);
        ++nPoint;
      }
    });
  }
  await report.run(
    `A2 C-7: ${scenario.name}: killed, and killed again at each step of putting it right`,
    async () => {
      for (let at = 0; at < nStep; ++at) {
        for (let second = 0; ; ++second) {
          const disk = await prepare(scenario);
          await interrupted(disk, scenario, { at, kind: "kill" });
          const session = new FaultyFiles(disk, { at: second, kind: "kill" });
          const error = await open(session).then(
            () => null,
            (thrown) => thrown,
          );
          if (error === null) break; // putting it right takes fewer steps
          await check(disk, scenario, `kill at ${at}, then at ${second}`);
          ++nPoint;
        }
      }
    },
  );
  await report.run(
    `A2 A7: ${scenario.name}: the power goes at each of ${nStep} steps, and writes that were not flushed are torn`,
    async () => {
      for (let at = 0; at < nStep; ++at) {
        for (const [seed, keep] of [() => false, (n) => n % 2 === 0, (n) => n % 3 !== 0, (n) => n === 0].entries()) {
          const disk = await prepare(scenario, new PowerDisk());
          const where = `power cut ${seed} at step ${at}`;
          await interrupted(disk, scenario, { at, kind: "kill" });
          await disk.cut(keep);
          disk.quota = 2 ** 31;
          await checkAgain(await check(disk, scenario, where), scenario, where);
          ++nPoint;
        }
      }
    },
  );
}

await report.run(
  "A2: both slots of the catalog are damaged: everything is found again without the network",
  async () => {
    const disk = new MemoryFiles();
    const store = await open(disk);
    await store.activate((await store.add(fileOf(1))).id);
    await store.add(signed(2, "1.0.0"));
    for (const slot of ["index.0", "index.1"]) {
      const file = await disk.open(slot);
      file.write(20, new Uint8Array(30));
      file.close();
    }
    const later = await open(disk);
    const list = await later.list();
    expectEqual(
      list.map((entry) => entry.state),
      ["staging", "staging"],
      "both are to be resumed",
    );
    for (const entry of list) await later.resume(entry.id);
    expectEqual((await later.list()).map((entry) => entry.id).sort(), [idOf(1), idOf(2)].sort(), "and are whole");
    expectEqual(
      (await later.list()).find((entry) => entry.id === idOf(2)).signature.keyId,
      signer.id,
      "with its signature",
    );
  },
);

await report.run("A2: a store that a newer program wrote is left alone", async () => {
  const disk = new MemoryFiles();
  await (await open(disk)).add(fileOf(1));
  const file = await disk.open("index.1");
  file.write(0, new TextEncoder().encode("lbm-record-2"));
  file.close();
  const before = JSON.stringify(await disk.list());
  expectEqual((await failure(open(disk))).code, "newer_store", "code");
  expectEqual(JSON.stringify(await disk.list()), before, "nothing was touched");
});

await report.run("A2: files of others in the folder are left alone", async () => {
  const disk = new MemoryFiles();
  (await disk.open("notes.txt")).close();
  await open(disk);
  expect((await disk.stat("notes.txt")) !== null, "still there");
});

report.note(`${nPoint} fault points`);
report.finish();
