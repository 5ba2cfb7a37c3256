// What the tests in Chromium share: the options of scripts/run_tests.py, answers of lbm to compare
// with, and a server of the built folder.
//
// Every test script takes --lbm PROGRAM --modules BUILD/web [--golden DIR] [--model FILE].

import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

import { DOCUMENT_POLICY, WORKER_POLICY } from "../../web/page/build/policy.mjs";
import { startServer } from "./static_server.mjs";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

// The policies of the page (docs/page.md), as `lbm serve` sends them: one for documents, one for workers.
function contentPolicy(path) {
  return { "Content-Security-Policy": /(\/|\.html)$/.test(path) ? DOCUMENT_POLICY : WORKER_POLICY };
}

export function readOptions(more = {}) {
  const names = ["lbm", "modules", "golden", "model"];
  const { values } = parseArgs({
    options: { ...Object.fromEntries(names.map((name) => [name, { type: "string" }])), ...more },
  });
  const build = join(ROOT, "build");
  const options = { lbm: join(build, "lbm"), modules: join(build, "web"), ...values };
  for (const name of ["lbm", "modules", "golden", "model"]) {
    if (options[name] !== undefined) options[name] = resolve(options[name]);
  }
  return options;
}

// A model of some hundred kilobytes with random weights, which `make test` has generated.
export function tinyModel(options, name = "llama-linear") {
  const path = join(options.modules, "..", "families", `${name}.gguf`);
  if (!existsSync(path)) throw new Error(`${path} is missing: make build-tests`);
  return path;
}

// What lbm itself answers: { text, output_ids, digest, stop_reason, ... }.
export async function hostedAnswer(options, model, prompt, more) {
  const command = ["run", "-m", model, "-p", prompt, "--json", ...more.map(String)];
  const { stdout } = await promisify(execFile)(options.lbm, command, { maxBuffer: 1 << 24 });
  return JSON.parse(stdout);
}

// What lbm itself makes of texts: an array of ids for each.
export function hostedIds(options, model, texts) {
  const input = texts.map((text) => `${JSON.stringify(text)}\n`).join("");
  const output = execFileSync(options.lbm, ["tokenize", "-q", "-m", model, "--jsonl"], { input, encoding: "utf8" });
  return output.trim().split("\n").map((line) => JSON.parse(line));
}

// The built folder, as a static server sends it; with the sources where the build has no copies.
export async function servePage(options, { files = {}, folders: more = {}, isolated = true, headers = contentPolicy } = {}) {
  const folders = { ...more, "/": options.modules, "/tests/": join(ROOT, "tests"), "/web/": join(ROOT, "web") };
  for (const name of ["lib", "store", "gpu"]) {
    if (!existsSync(join(options.modules, name))) folders[`/${name}/`] = join(ROOT, "web", name);
  }
  const blank = new TextEncoder().encode("<!doctype html><html lang=en><title>test</title>");
  return startServer({ folders, files: { "/blank.html": blank, ...files }, isolated, headers });
}
