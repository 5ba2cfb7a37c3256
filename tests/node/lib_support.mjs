// What the tests of web/lib share: arguments, expectations, the tiny model, and answers of lbm to hold
// those of the library against.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { LbmError } from "../../web/lib/lbm.mjs";

const NAMES = ["lbm", "modules", "golden", "model"];

export const { values: options } = parseArgs({
  options: Object.fromEntries(NAMES.map((name) => [name, { type: "string" }])),
});
export const modules = pathToFileURL(`${resolve(options.modules)}/`);

export const N_CTX = 128;
export const N_OUTPUT = 16;
export const PROMPT = "one two three one two three one two";
export const GREEDY = { temperature: 0, maxTokens: N_OUTPUT, digest: true };
export const DRAWN = {
  temperature: 1.5, topK: 50, topP: 0.9, minP: 0, seed: 12345678901n, maxTokens: N_OUTPUT, digest: true,
};
export const DRAWN_FLAGS = ["--temp", "1.5", "--top-k", "50", "--top-p", "0.9", "--min-p", "0", "--seed",
  "12345678901"];

// The model that a test needs: a tiny golden one, else a generated one (tests/families), else the default one,
// else none; and another one.
const generated = resolve(options.modules, "..", "families");
const first = (...paths) => paths.find((path) => path !== undefined && existsSync(path));
const ofGolden = (name) => options.golden && resolve(options.golden, name);
export const tiny = first(ofGolden("llama-Q4_1.gguf"), join(generated, "llama-linear.gguf"),
  options.model && resolve(options.model));
export const otherTiny = first(ofGolden("llama-Q8_0.gguf"), join(generated, "llama-yarn.gguf"));

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}
export function expectEqual(actual, expected, what) {
  expect(actual === expected, `${what}: ${actual} instead of ${expected}`);
}
export async function expectRejection(promise, test, what) {
  const error = await Promise.resolve(promise).then(() => null, (reason) => reason);
  expect(error !== null, `${what}: no error`);
  expect(test(error), `${what}: ${error.stack}`);
  return error;
}
export const isLbmError = (kind, words = /./) => (error) =>
  error instanceof LbmError && (kind === undefined || error.kind === kind) && words.test(error.message);
export const isAbort = (error) => error.name === "AbortError";

// All of an answer: ids, text, what diagnostics say of it, and its record.
export async function collect(answer) {
  const tokens = [];
  for (;;) {
    const { done, value } = await answer.next();
    if (done) {
      const ids = tokens.map(({ id }) => id).filter((id) => id !== null);
      return { ids, text: tokens.map(({ text }) => text).join(""), ...value, record: await answer.record };
    }
    tokens.push(value);
  }
}

export function lbmRun(path, ...more) {
  const command = ["run", "-m", path, "-c", String(N_CTX), "-p", PROMPT, "-n", String(N_OUTPUT), "--json", ...more];
  return JSON.parse(execFileSync(options.lbm, command, { stdio: ["ignore", "pipe", "ignore"] }));
}

// An export of a module under the name of another, and the other way round: what traps can be called then.
export function withSwappedExports(bytes, first, second) {
  const swapped = Uint8Array.from(bytes);
  const find = (name) => {
    const text = new TextEncoder().encode(name);
    const pattern = [text.length, ...text, 0]; // length, name, kind: function
    const at = swapped.findIndex((_, i) => pattern.every((byte, j) => swapped[i + j] === byte));
    let end = at + pattern.length;
    while (swapped[end] & 0x80) ++end;
    return { at: at + pattern.length, end: end + 1 };
  };
  const [a, b] = [find(first), find(second)];
  expectEqual(a.end - a.at, b.end - b.at, "bytes of two function indices");
  const kept = swapped.slice(a.at, a.end);
  swapped.copyWithin(a.at, b.at, b.end);
  swapped.set(kept, b.at);
  return swapped;
}
