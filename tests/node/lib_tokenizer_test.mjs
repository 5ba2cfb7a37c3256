// Tokenizers of the JavaScript API: the same list with a worker and without one.
//
//   lib_tokenizer_test.mjs --lbm BUILD/lbm --modules BUILD/web [--golden DIR] [--model FILE]

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { createModel, loadTokenizer, tokenizerMetrics } from "../../web/lib/lbm.mjs";
import {
  N_CTX, PROMPT, expect, expectEqual, expectRejection, isLbmError, lbmRun, modules, options, tiny,
} from "./lib_support.mjs";
import { TestReport } from "./module.mjs";
import { tokenizerJson } from "./tokenizer_json_fixtures.mjs";

const report = new TestReport();
const HARD_TEXTS = [
  "", "a", "one two  three\n\n", "h\u00e4llo \u4e16\u754c", "\ufeffmark", "\u0000\u0001\u001f", "e\u0301 \u00e9",
  "\u{1f600}\u{1f468}\u200d\u{1f469}\u200d\u{1f467}",
    "\u0627\u0644\u0633\u0644\u0627\u0645 \u05e9\u05dc\u05d5\u05dd", "\t  x\r\n"];

async function checkTokenizer(worker) {
  const name = (what) => `${worker ? "worker" : "in-thread"}: ${what}`;
  const run = (what, test) => report.runAsync(name(what), test);
  const settings = { worker, modules, nCtx: N_CTX, threads: 1 };
  const expected = lbmRun(tiny, "--raw", "--temp", "0");
  const model = await createModel(tiny, settings);
  const tokenizer = await loadTokenizer(new Blob([readFileSync(tiny)]), settings);
  await run("MVP-9: loadTokenizer(url | blob), encode() and decode() are there", async () => {
    const byUrl = await loadTokenizer(`file://${tiny}`, settings);
    for (const one of [tokenizer, byUrl]) {
      const ids = await one.encode(PROMPT, { addSpecial: true, parseSpecial: true });
      expectEqual(ids.join(), expected.prompt_ids.join(), "ids");
      expectEqual(await one.decode(await one.encode(PROMPT)), PROMPT, "text");
    }
    expectEqual(byUrl.nVocab, (await model.diagnostics()).model.n_vocab, "nVocab");
    await byUrl.free();
    await expectRejection(byUrl.encode("a"), isLbmError("freed"), "after free()");
    await expectRejection(tokenizer.decode([-1]), isLbmError(), "an id below 0");
    await expectRejection(tokenizer.decode([tokenizer.nVocab]), isLbmError(), "an id beyond the vocabulary");
  });
  await run("a tokenizer comes from the head of a file; the weights are not read", async () => {
    const file = readFileSync(tiny);
    let nRead = 0;
    function* chunks() {
      for (; nRead < file.length; nRead += 4096) yield file.subarray(nRead, nRead + 4096);
    }
    const one = await loadTokenizer({ size: file.length, chunks: chunks() }, settings);
    expect(nRead < file.length / 2, `${nRead} of ${file.length} bytes were read`);
    expectEqual(one.version, tokenizer.version, "version");
    expectEqual((await one.encode(PROMPT)).join(), (await tokenizer.encode(PROMPT)).join(), "ids");
    await one.free();
  });
  await run("MVP-5: the version of a tokenizer is the SHA-256 of its artifact", async () => {
    expect(/^[0-9a-f]{64}$/.test(tokenizer.version), `${tokenizer.version}`);
    expectEqual(tokenizer.version, model.tokenizer.version, "version of the same tokenizer in a model");
  });
  await run("MVP-7: encode() and decode() are stateless, and UTF-8 comes back as it was", async () => {
    const before = (await tokenizer.encode(PROMPT)).join();
    for (const text of HARD_TEXTS) {
      expectEqual(await tokenizer.decode(await tokenizer.encode(text)), text, JSON.stringify(text));
      expectEqual((await tokenizer.encode(PROMPT)).join(), before, `ids after ${JSON.stringify(text)}`);
    }
    expectEqual(await tokenizer.decode(await tokenizer.encode("\ud800")), "\ufffd", "half a character");
  });
  await run("MVP-8: a batch gives what its items give", async () => {
    const batch = await tokenizer.encode(HARD_TEXTS);
    for (const [i, text] of HARD_TEXTS.entries()) {
      expectEqual(batch[i].join(), (await tokenizer.encode(text)).join(), JSON.stringify(text));
    }
    expectEqual(JSON.stringify(await tokenizer.decode(batch)), JSON.stringify(HARD_TEXTS), "texts");
    expectEqual((await tokenizer.encode([])).length + (await tokenizer.decode([])).length, 0, "an empty batch");
    const many = Array.from({ length: 500 }, (_, i) => `${PROMPT} ${i}`);
    const time = async (f) => {
      const start = performance.now();
      await f();
      return Math.round(performance.now() - start);
    };
    const together = await time(() => tokenizer.encode(many));
    const apart = await time(async () => {
      for (const text of many) await tokenizer.encode(text);
    });
    console.log(`${name(`500 texts in a batch: ${together} ms, one by one: ${apart} ms`)}`);
  });
  await run("MVP-10, MVP-36: coverage, entropy and fertility of a tokenizer", async () => {
    const metrics = await tokenizerMetrics(tokenizer, [PROMPT, "one"]);
    const ids = [...(await tokenizer.encode(PROMPT)), ...(await tokenizer.encode("one"))];
    expectEqual(metrics.nToken, ids.length, "tokens");
    expectEqual(metrics.fertility, ids.length / 9, "tokens of a word");
    expect(metrics.coverage > 0 && metrics.coverage <= 1, `coverage ${metrics.coverage}`);
    console.log(`${name(`metrics ${JSON.stringify(metrics)}`)}`);
  });
  await tokenizer.free();
  await model.free();
}

// ---- tokenizer.json

const JSON_TEXTS = [
  ...HARD_TEXTS, PROMPT, "  one  two", "<s>one <tool> two</s>", "12 345, THREE \u00c4", "[CLS] one, Two",
];
const MARKUP = [{ addSpecial: true, parseSpecial: true }, ["--add-special", "--parse-special"]];
const folder = mkdtempSync(join(tmpdir(), "lbm-tokenizer-"));

// What lbm makes of JSON_TEXTS with the tokenizer in the file `path`.
function lbmIds(path, ...flags) {
  const input = JSON_TEXTS.map((text) => `${JSON.stringify(text)}\n`).join("");
  const out = execFileSync(options.lbm, ["tokenize", "-q", "--tokenizer", path, "--jsonl", ...flags], { input });
  return out.toString().trim().split("\n").map((line) => JSON.parse(line).join());
}

async function checkJson(kind, worker) {
  const name = (what) => `${worker ? "worker" : "in-thread"}: ${kind}: ${what}`;
  const settings = { worker, modules };
  const text = JSON.stringify(tokenizerJson[kind]);
  const path = join(folder, `${kind}.json`);
  writeFileSync(path, text);
  for (const [where, source] of [["URL", pathToFileURL(path).href], ["Blob", new Blob([text])]]) {
    await report.runAsync(name(`MVP-5: loadTokenizer(${where}) of a tokenizer.json gives the ids of lbm`), async () => {
      const tokenizer = await loadTokenizer(source, settings);
      for (const [more, flags] of [[{}, []], MARKUP]) {
        const expected = lbmIds(path, ...flags);
        const ids = await tokenizer.encode(JSON_TEXTS, more);
        for (const [i, one] of JSON_TEXTS.entries()) {
          expectEqual(ids[i].join(), expected[i], `${JSON.stringify(one)} ${flags}`);
        }
      }
      const hash = createHash("sha256").update(text).digest("hex");
      expectEqual(tokenizer.version, hash, "the version is the SHA-256 of the file");
      await tokenizer.free();
    });
  }
}

async function checkBadJson(worker) {
  const name = (what) => `${worker ? "worker" : "in-thread"}: ${what}`;
  const settings = { worker, modules };
  const changed = (change) => {
    const json = structuredClone(tokenizerJson.bpe);
    change(json);
    return new Blob([JSON.stringify(json)]);
  };
  await report.runAsync(name("MVP-5: a tokenizer.json that is wrong is refused with its place"), async () => {
    for (const [change, words] of [
      [(json) => (json.model.vocab.a = -1), /\/model\/vocab\/a '-1'.* \[bad_value\]/],
      [(json) => (json.normalizer = { type: "NFKD" }), /\/normalizer 'NFKD'.*\[unsupported\]/],
      [(json) => (json.pre_tokenizer.pretokenizers[0].type = "UnicodeScripts"),
        /\/pre_tokenizer\/pretokenizers\/0 'UnicodeScripts'.*\[unsupported\]/],
      [(json) => delete json.model, /\/model: is missing .*\[missing\]/],
    ]) {
      await expectRejection(loadTokenizer(changed(change), settings), isLbmError(undefined, words), `${change}`);
    }
    const cut = new Blob(['{"model": ']);
    await expectRejection(loadTokenizer(cut, settings), isLbmError(undefined, /at byte 10 \[bad_syntax\]/), "cut");
    await expectRejection(createModel(changed(() => {}), { ...settings, nCtx: N_CTX, threads: 1 }),
      isLbmError(undefined, /JSON/), "as a model");
  });
}

for (const worker of [false, true]) {
  for (const kind of Object.keys(tokenizerJson)) await checkJson(kind, worker);
  await checkBadJson(worker);
}
rmSync(folder, { recursive: true });

// ---- GGUF

if (!tiny) console.log("skipped: no golden data and no model");
else for (const worker of [false, true]) await checkTokenizer(worker);

await report.runAsync("MVP-10: the figures of a toy tokenizer are those of the definitions", async () => {
  const toy = { unknownId: 0, encode: async (texts) => texts.map((text) => Uint32Array.from(text.split(" "), Number)) };
  const metrics = await tokenizerMetrics(toy, ["1 1 2 2", "0 3 3 0"]);
  expectEqual(metrics.coverage, 0.75, "6 of 8 ids are known");
  expectEqual(metrics.entropy, 2, "bits of four equal ids");
  expectEqual(metrics.fertility, 1, "an id for each word");
});
report.finish();
