// The JavaScript API (web/lib/lbm.mjs): the same list with a worker and without one.
//
//   lib_test.mjs --lbm BUILD/lbm --modules BUILD/web [--golden DIR] [--model FILE]

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, openAsBlob, readFileSync, readdirSync, rmSync, symlinkSync,
  writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import {
  LbmError, capabilities, capabilityLines, createModel,
} from "../../web/lib/lbm.mjs";
import * as library from "../../web/lib/lbm.mjs";
import {
  DRAWN, DRAWN_FLAGS, GREEDY, N_CTX, N_OUTPUT, PROMPT, collect, expect, expectEqual, expectRejection, isAbort,
  isLbmError, lbmRun, modules, otherTiny, tiny, withSwappedExports,
} from "./lib_support.mjs";
import { TestReport } from "./module.mjs";

const report = new TestReport();
const LIBRARY = fileURLToPath(new URL("../../web/lib/", import.meta.url));
const OUT_OF_RANGE = 16; // ErrorCode::kBadValue
const RAW = { ...GREEDY, raw: true };

// ---- without a model -------------------------------------------------------------------------------

report.run("MVP-33: capabilities() tells what this engine has, a line for each thing", () => {
  const found = capabilities();
  expect(found.simd && found.sharedMemory && found.module.endsWith(".wasm"), JSON.stringify(found));
  const text = capabilityLines(found).join("\n");
  for (const word of ["WebGPU", "SIMD", "threads", "OPFS", "memory"]) expect(text.includes(word),
    `${word} in: ${text}`);
  const gpu = { available: true, adapter: { name: "a card", f16: true }, notes: ["It is hot."] };
  const withGpu = capabilityLines(found, gpu).join("\n");
  expect(withGpu.includes("WebGPU yes (a card, f16 yes)") && withGpu.includes("hot"), withGpu);
  expect(found.notes.some((note) => note.includes("WebGPU")), "a reason for the WebGPU that is missing");
});

// In another process: what capabilities() says, and what the module finds in its own test of itself.
const RELAXED_SCRIPT = `
  const [library, helper, file] = process.argv.slice(1);
  const { capabilities } = await import(library);
  const { Lbm } = await import(helper);
  let usable = false;
  try {
    usable = (await Lbm.start(file)).tables().includes("wasm_relaxed");
  } catch {}
  console.log(JSON.stringify({ chosen: capabilities().relaxedSimd, usable, notes: capabilities().notes }));`;

report.run("relaxed SIMD counts where the module finds its products right, and there alone", () => {
  const files = [join(LIBRARY, "lbm.mjs"), fileURLToPath(new URL("module.mjs", import.meta.url)),
    fileURLToPath(new URL("lbm-relaxed.wasm", modules))];
  const relaxed = "--experimental-wasm-relaxed-simd"; // an option of Node.js 20 that later ones may not know
  for (const flags of [[], [relaxed], [relaxed, "--no-liftoff"]]) {
    const command = [...flags, "--input-type=module", "-e", RELAXED_SCRIPT, ...files];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
    if (flags.length > 0 && /bad option/.test(stderr)) continue;
    expectEqual(status, 0, stderr);
    const { chosen, usable, notes } = JSON.parse(stdout);
    expectEqual(chosen, usable, `relaxed SIMD with ${flags.join(" ") || "no flags"}`);
    expect(chosen || notes.some((note) => /relaxed SIMD/.test(note)), `a note: ${notes}`);
    console.log(`relaxed SIMD with ${flags.join(" ") || "no flags"}: ${chosen}`);
  }
});

function sources(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => /\.(mjs|jsx|js)$/.test(name) && !/(^|\/)(node_modules|dist)\//.test(name))
    .map((name) => [name, readFileSync(join(folder, name), "utf8")]);
}
report.run("MVP-11: nothing in web/ draws from Math.random", () => {
  const users = sources(join(LIBRARY, "..")).filter(([,
    text]) => /Math\s*\.\s*random|\[\s*["']random["']\s*\]/.test(text));
  expectEqual(users.map(([name]) => name).join(), "", "files that use it");
});
report.run("MVP-28: the library imports itself and the GPU backend alone: no page, no package", () => {
  for (const [name, text] of sources(LIBRARY)) {
    for (const [, from] of text.matchAll(/(?:from|import)\s+"([^"]+)"/g)) {
      expect(/^\.\/[a-z_0-9]+\.mjs$/.test(from), `${name} imports ${from}`);
    }
    expect(!/\b(document|localStorage|innerHTML)\b/.test(text), `${name} knows a page`);
  }
});

report.run("MVP-9: lbm.d.ts declares what lbm.mjs exports, and nothing else", () => {
  const types = readFileSync(join(LIBRARY, "lbm.d.ts"), "utf8");
  const declared = types.matchAll(/^export declare (?:class|const|function) (\w+)/gm);
  const names = new Set(Array.from(declared, ([, name]) => name));
  expectEqual([...names].sort().join(), Object.keys(library).sort().join(), "names");
});

// ---- with one --------------------------------------------------------------------------------------

async function checkApi(worker) {
  const name = (what) => `${worker ? "worker" : "in-thread"}: ${what}`;
  const run = (what, test) => report.runAsync(name(what), test);
  const settings = { worker, modules, nCtx: N_CTX, threads: 1 };
  const expected = lbmRun(tiny, "--raw", "--temp", "0");
  const events = [];
  const model = await createModel(tiny, { ...settings, onEvent: (event) => events.push(event) });
  const expectFresh = async (of = model) =>
    expectEqual((await collect(of.generate(PROMPT, RAW))).digest, expected.digest, "digest of the next answer");

  await run("MVP-2, MVP-33: the capabilities and the choice of a backend are told, with the reason", () => {
    const [first] = events;
    expectEqual(first.type, "capabilities", "the first event");
    expect(first.lines.length > 1 && first.capabilities.simd, "lines");
    const loaded = events.find(({ type }) => type === "load");
    expectEqual(loaded.backend, "wasm", "backend");
    expect(/WebGPU/.test(loaded.reasons.join()), `a reason: ${loaded.reasons}`);
  });
  await run("MVP-30, MVP-35, MVP-39: generate() in Node gives the answer of lbm run, token by token", async () => {
    const cases = [
      [PROMPT, RAW, ["--raw", "--temp", "0"]],
      [PROMPT, { ...DRAWN, raw: true }, ["--raw", ...DRAWN_FLAGS]],
      [PROMPT, GREEDY, ["--chat", "--temp", "0"]],
      [[{ role: "user", content: PROMPT }], GREEDY, ["--chat", "--temp", "0"]],
    ];
    for (const [input, how, flags] of cases) {
      const hosted = lbmRun(tiny, ...flags);
      const answer = await collect(model.generate(input, how));
      expectEqual(answer.ids.join(), hosted.output_ids.join(), `tokens, ${flags}`);
      expectEqual(answer.text, hosted.text, `text, ${flags}`);
      expectEqual(answer.digest, hosted.digest, `digest, ${flags}`);
      expectEqual(answer.stop, hosted.stop_reason, `reason to stop, ${flags}`);
    }
  });
  await run("B-3: events come in order and the record comes last", async () => {
    const prompts = [];
    const long = "one two three ".repeat(10);
    const onPrompt = (state) => prompts.push(state.n_prompt_done);
    const answer = model.generate(long, { ...RAW, maxTokens: 4, onPrompt });
    let recordIsThere = false;
    answer.record.then(() => (recordIsThere = true), () => {});
    const ids = [];
    for await (const { id } of answer) {
      expect(!recordIsThere, "no record before the end");
      if (id !== null) ids.push(id);
    }
    const record = await answer.record;
    expect(prompts.length > 1 && prompts.every((n, i) => i === 0 || n > prompts[i - 1]),
      `pieces of the prompt: ${prompts}`);
    expectEqual(record.output.join(), ids.join(), "tokens of the record");
  });
  await run("B-2: an aborted answer ends within one token", async () => {
    const abort = new AbortController();
    const answer = model.generate(PROMPT, { ...RAW, maxTokens: 0, ignoreEnd: true, signal: abort.signal });
    let n = 0;
    await expectRejection((async () => {
      for await (const { id } of answer) if (id !== null && ++n === 3) abort.abort();
    })(), isAbort, "the answer");
    const record = await answer.record;
    expectEqual(n, 3, "tokens that were given out");
    expectEqual(record.stop, "interrupted", "reason to stop");
    // A worker may have been ahead of this thread, by no more than it is allowed to.
    expect(record.n_out >= 3 && record.n_out <= (worker ? 68 : 3), `${record.n_out} tokens were made`);
    await expectFresh();
  });
  await run("B-2: an answer is stopped in the middle of its prompt", async () => {
    const abort = new AbortController();
    const how = { ...RAW, signal: abort.signal, onPrompt: () => abort.abort() };
    const answer = model.generate("one two three ".repeat(10), how);
    await expectRejection(answer.next(), isAbort, "the answer");
    const { n_out: n, run_id: id } = await answer.record;
    expect(worker || n === 0, `${n} tokens were made`); // a worker may have been ahead here, too
    expectEqual(id.length, 32, "digits of the run id");
    await expectFresh();
  });
  await run("B-5: after a loop that is left, and after errors, the next answer is that of a fresh model", async () => {
    for await (const { id } of model.generate(PROMPT, RAW)) if (id !== null) break;
    await expectFresh();
    const refused = model.generate(PROMPT, { ...RAW, topP: 7 });
    await expectRejection(refused.next(), (error) => error.code === OUT_OF_RANGE, "top_p 7");
    await expectRejection(refused.record, isLbmError(), "the record of an answer that never began");
    await expectFresh();
    await expectRejection(model.generate("word ".repeat(N_CTX * 2), RAW).next(), isLbmError(),
      "a prompt that is too long");
    await expectRejection(model.generate([], GREEDY).next(), isLbmError(), "no message");
    await expectFresh();
    const fresh = await createModel(tiny, settings);
    const [here, there] = await Promise.all([model, fresh].map((one) => collect(one.generate(PROMPT, { ...DRAWN,
      raw: true }))));
    expectEqual(here.digest, there.digest, "a drawn answer");
    await fresh.free();
  });
  await run("one answer at a time: a second one is refused, and the first goes on", async () => {
    const first = model.generate(PROMPT, RAW);
    await first.next();
    await expectRejection(model.generate(PROMPT, RAW).next(), isLbmError("busy"), "a second answer");
    await expectRejection(model.reset(), isLbmError("busy"), "a reset");
    await expectRejection(model.load(tiny, { nCtx: N_CTX }), isLbmError("busy"), "a load");
    expect((await model.encode("one")).length > 0, "encode() works in the meantime");
    const rest = await collect(first);
    expectEqual(rest.record.digest, expected.digest, "digest of the first");
  });
  await run("a consumer that is slow loses nothing", async () => {
    const answer = model.generate(PROMPT, RAW);
    const ids = [];
    for await (const { id } of answer) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      if (id !== null) ids.push(id);
    }
    expectEqual(ids.join(), expected.output_ids.join(), "tokens");
  });
  await run("MVP-29: encode, decode, diagnostics, reset, load and free are promises", async () => {
    const promises = [model.encode("a"), model.decode([1]), model.diagnostics(), model.reset()];
    expect(promises.every((promise) => promise instanceof Promise), "promises");
    const [, , diagnostics] = await Promise.all(promises);
    expectEqual(diagnostics.backend, "wasm", "backend");
    expectEqual((await model.diagnostics()).model.n_past, 0, "tokens after a reset");
    await expectFresh();
  });
  await run("MVP-3, G-4: a model comes from a URL, a path, a Blob, a Response, bytes or chunks", async () => {
    const bytes = readFileSync(tiny);
    function* chunks() {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    }
    const given = {
      "a file's Blob": await openAsBlob(tiny),
      "a Blob": new Blob([bytes]),
      "bytes": bytes,
      "an ArrayBuffer": new Uint8Array(bytes).buffer,
      "a Response": new Response(bytes, { headers: { "content-length": String(bytes.length) } }),
      "a Response of unknown length": new Response(bytes),
      "chunks": { size: bytes.length, chunks: chunks() },
      "a Blob with its size": { size: bytes.length, blob: new Blob([bytes]) },
      "a URL": new URL(`file://${tiny}`),
    };
    for (const [what, source] of Object.entries(given)) {
      const progress = [];
      await model.load(source, { nCtx: N_CTX, onProgress: (step) => progress.push(step) });
      const last = progress.at(-1);
      expect(last.phase === "load" && last.done === bytes.length && last.total === bytes.length,
        `${what}: ${JSON.stringify(last)}`);
      await expectFresh();
    }
    expectEqual(bytes.length > 0 && bytes.buffer.byteLength > 0, true,
      "bytes that were not transferred are still there");
    await expectRejection(model.load(7), isLbmError(), "a number");
  });
  await run("B-4: a buffer that is given with transfer is detached here; others are not", async () => {
    const kept = new Uint8Array(readFileSync(tiny)).buffer;
    await model.load(kept, { nCtx: N_CTX });
    expect(kept.byteLength > 0, "the buffer is still here");
    const moved = new Uint8Array(kept);
    await model.load(moved, { nCtx: N_CTX, transfer: true });
    expectEqual(moved.byteLength + kept.byteLength, 0, "bytes that are still here");
    await expectFresh();
    const ids = await model.encode(PROMPT);
    expect(ids instanceof Uint32Array && ids.buffer.byteLength === 4 * ids.length, "ids own their buffer");
  });
  await run("load() that fails, or is aborted, leaves the model", async () => {
    await expectRejection(model.load(new Uint8Array(1000), { nCtx: N_CTX }), isLbmError(), "a broken file");
    await expectRejection(model.load(`file://${tiny}.none`), (error) => error instanceof Error,
      "a file that is not there");
    await expectFresh();
    const abort = new AbortController();
    const slow = { size: 1 << 20, chunks: (async function* () {
      yield readFileSync(tiny).subarray(0, 1000);
      abort.abort();
      await new Promise((resolve) => setTimeout(resolve, 5));
      yield new Uint8Array(1000);
    })() };
    await expectRejection(model.load(slow, { signal: abort.signal }), isAbort, "an aborted load");
    const failing = { size: 1000, chunks: (async function* () {
      yield new Uint8Array(10);
      throw new Error("the cable is out");
    })() };
    await expectRejection(model.load(failing), (error) => error instanceof LbmError || /cable/.test(error.message),
      "a source that fails");
    await expectFresh();
    expectEqual(model.info.nCtx, N_CTX, "n_ctx");
    await expectRejection(createModel(tiny, { ...settings, signal: AbortSignal.abort() }), isAbort, "an aborted start");
    await expectRejection(createModel(tiny, { ...settings, backend: "abacus" }), isLbmError(), "a backend");
    await expectRejection(createModel(tiny, { ...settings, threads: 0 }), isLbmError(), "no threads");
  });
  if (otherTiny) {
    await run("load() puts another model in the place of the first", async () => {
      const before = model.info.modelHash;
      await model.load(otherTiny, { nCtx: N_CTX });
      const answer = await collect(model.generate(PROMPT, RAW));
      expectEqual(answer.digest, lbmRun(otherTiny, "--raw", "--temp", "0").digest, "digest");
      expect(model.info.modelHash !== before && answer.record.model_hash === model.info.modelHash, "another hash");
      await model.load(tiny, { nCtx: N_CTX });
      await expectFresh();
    });
  }

  await run("free() leaves nothing to ask, and frees at once during an answer", async () => {
    const busy = await createModel(tiny, settings);
    const answer = busy.generate(PROMPT, { ...RAW, maxTokens: 0, ignoreEnd: true });
    await answer.next();
    await busy.free();
    await expectRejection((async () => {
      for await (const token of answer) expect(token, "a token on its way");
    })(), isLbmError(), "the answer");
    for (const ask of [() => busy.encode("a"), () => busy.diagnostics(), () => busy.load(tiny),
      () => busy.generate("a").next()]) {
      await expectRejection(ask(), isLbmError("freed"), String(ask));
    }
    expectEqual(busy.info, null, "info");
    await busy.free();
  });
  await run("a module that traps rejects what is asked, with the reason; a new model is as good as any", async () => {
    const file = readFileSync(new URL("lbm.wasm", modules));
    const broken = withSwappedExports(file, "lbm_reset", "lbm_serve"); // waits, which needs shared memory
    const doomed = await createModel(tiny, { ...settings, module: broken });
    const answer = doomed.generate(PROMPT, RAW);
    await answer.next();
    await collect(answer);
    const pending = [doomed.reset(), doomed.encode("a")];
    await expectRejection(pending[0], isLbmError("panic", /module has failed.*wait/), "the call that traps");
    await pending[1].catch((error) => expect(isLbmError("panic")(error), error.stack));
    await expectRejection(doomed.diagnostics(), isLbmError("panic"), "the next call");
    await expectRejection(doomed.generate(PROMPT, RAW).next(), isLbmError("panic"), "the next answer");
    await doomed.free();
    const again = await createModel(tiny, settings);
    await expectFresh(again);
    await again.free();
  });
  await model.free();
}

// The program of docs/web.md, beside a folder build/web as `make web` makes one.
function checkProgramOfTheDocs() {
  const docs = readFileSync(new URL("../../docs/web.md", import.meta.url), "utf8");
  const program = docs.match(/```js\n(\/\/ chat\.mjs[^]*?)```/)[1];
  const folder = mkdtempSync(join(tmpdir(), "lbm-docs-"));
  try {
    cpSync(LIBRARY, join(folder, "build/web/lib"), { recursive: true });
    for (const name of readdirSync(modules).filter((name) => /^lbm.*\.wasm$/.test(name))) {
      symlinkSync(fileURLToPath(new URL(name, modules)), join(folder, "build/web", name));
    }
    writeFileSync(join(folder, "chat.mjs"), program);
    const output = execFileSync(process.execPath, [...process.execArgv, "chat.mjs", tiny, "one two three"],
      { cwd: folder, encoding: "utf8", timeout: 60_000 });
    expect(/\n\[[0-9a-f]{32}: (eog|length|context|loop)\]\n$/.test(output), output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (!tiny) console.log("skipped: no golden data and no model");
else report.run("MVP-35, MVP-39: the program of docs/web.md runs, without a page", checkProgramOfTheDocs);
if (tiny) for (const worker of [false, true]) await checkApi(worker);

report.finish();
