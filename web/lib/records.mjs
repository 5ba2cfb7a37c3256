// What a run was made of and what came out, so that it can be named, checked and made again.
//
// A record is JSON of integers, strings, booleans, arrays and objects. Its canonical form has sorted keys
// and no space (RFC 8785 without fractions), so a hash of it does not depend on who wrote it; numbers with
// fractions are strings. `run_id` names a run by all that was known before it; `proof` covers the entire
// record.

import { ANSWER_DEFAULTS, LbmError } from "./lbm_module.mjs";
import { Sha256, sha256Hex } from "./sha256.mjs";

export const RECORD_VERSION = 2;

export function canonicalJson(value) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (Number.isSafeInteger(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
    return `{${members.join(",")}}`;
  }
  throw new LbmError(`a record has no place for ${typeof value} ${String(value)}`);
}

// Different kinds of data never have the same hash: each begins with what it is.
function tagged(tag, bytes) {
  const text = (data) => (typeof data === "string" ? new TextEncoder().encode(data) : data);
  return new Sha256().update(text(`${tag}\0`)).update(text(bytes)).hex();
}
export function hashOfInput(input) {
  return tagged("lbm.input.v1", canonicalJson(input));
}
export function hashOfTokens(ids) {
  const bytes = new DataView(new ArrayBuffer(4 * ids.length));
  ids.forEach((id, i) => bytes.setUint32(4 * i, id, true));
  return tagged("lbm.tokens.v1", new Uint8Array(bytes.buffer));
}

// snake_case in records, camelCase in settings; numbers with fractions are decimals in records.
const SETTINGS = {
  temperature: "decimal", topK: "integer", topP: "decimal", minP: "decimal", repeatPenalty: "decimal",
  repeatLastN: "integer", noRepeatNgram: "integer", maxTokens: "integer", ignoreEnd: "flag", parseSpecial: "flag",
};
const snakeCase = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const TO_RECORD = { decimal: String, integer: Number, flag: Boolean };
const FROM_RECORD = { decimal: Number, integer: Number, flag: Boolean };

function seedText(seed) {
  return BigInt.asUintN(64, BigInt(seed)).toString(16).padStart(16, "0");
}

// What is known before a run. `facts` are those of the engine: see Engine.info.
export function beginRecord(facts, input, settings) {
  const sampling = {};
  for (const [name, kind] of Object.entries(SETTINGS)) {
    sampling[snakeCase(name)] = TO_RECORD[kind](settings[name] ?? ANSWER_DEFAULTS[name]);
  }
  const governance = { kv: facts.kv, n_ctx: facts.nCtx };
  const head = {
    type: "run",
    version: RECORD_VERSION,
    abi_version: facts.abiVersion,
    kernels: facts.kernels,
    kernel_hash: facts.kernelHash,
    model_hash: facts.modelHash,
    tokenizer_hash: facts.tokenizerHash,
    config_hash: facts.configHash,
    governance,
    governance_hash: sha256Hex(canonicalJson(governance)),
    backend: facts.backend,
    numerics: facts.backend === "webgpu" ? "G" : "S",
    input,
    input_hash: hashOfInput(input),
    seed: seedText(settings.seed ?? 0),
    sampling,
  };
  return { ...head, run_id: sha256Hex(canonicalJson(head)).slice(0, 32) };
}

export function endRecord(head, outcome) {
  const body = { ...head, ...outcome, output_hash: hashOfTokens(outcome.output) };
  return { ...body, proof: sha256Hex(canonicalJson(body)) };
}

const HEAD_KEYS = [
  "type", "version", "abi_version", "kernels", "kernel_hash", "model_hash", "tokenizer_hash", "config_hash",
  "governance", "governance_hash", "backend", "numerics", "input", "input_hash", "seed", "sampling"];

// Sentences about what does not fit together; none for a record that is as it was written.
export function checkRecord(record) {
  const problems = [];
  const { proof, ...body } = record;
  const expect = (right, sentence) => right || problems.push(sentence);
  expect(record.type === "run" && record.version === RECORD_VERSION, `this is no run of version ${RECORD_VERSION}`);
  if (problems.length > 0) return problems;
  try {
    const head = Object.fromEntries(HEAD_KEYS.map((key) => [key, body[key]]));
    expect(proof === sha256Hex(canonicalJson(body)), "the proof is of another record");
    expect(body.run_id === sha256Hex(canonicalJson(head)).slice(0, 32), "the run id is of another run");
    expect(body.input_hash === hashOfInput(body.input), "the input is another one");
    expect(body.output_hash === hashOfTokens(body.output), "the tokens are other ones");
    expect(body.n_out === body.output.length, "the number of tokens is another one");
  } catch (error) {
    problems.push(error.message);
  }
  return problems;
}

// The arguments of generate() that a record was made with.
export function callOfRecord(record) {
  const settings = { seed: BigInt(`0x${record.seed}`) };
  for (const [name, kind] of Object.entries(SETTINGS)) {
    settings[name] = FROM_RECORD[kind](record.sampling[snakeCase(name)]);
  }
  const { input } = record;
  if (input.kind === "raw") return { input: input.text, settings: { ...settings, raw: true } };
  return { input: input.messages, settings };
}

// What an answer came from, in a record's words.
export function inputOfCall(input, raw) {
  if (raw) return { kind: "raw", text: input };
  const messages = typeof input === "string" ? [{ role: "user", content: input }] : input;
  return { kind: "chat", messages: messages.map(({ role, content }) => ({ role, content })) };
}

const IDENTITIES = [
  "model_hash", "tokenizer_hash", "config_hash", "governance_hash", "kernel_hash", "kernels", "backend"];

// Makes a run again with `model`. The same model on the same backend gives the same tokens; elsewhere the
// first difference is reported (`firstDivergence`), and is no error.
export async function replay(model, record, { signal } = {}) {
  const problems = checkRecord(record);
  if (problems.length > 0) throw new LbmError(`the record can not be made again: ${problems.join("; ")}`, 0, "record");
  const { input, settings } = callOfRecord(record);
  const wasCut = record.stop === "interrupted" || record.stop === "error";
  const ids = [];
  let again = null;
  if (!wasCut || record.n_out > 0) {
    if (wasCut) settings.maxTokens = record.n_out;
    const answer = model.generate(input, { ...settings, signal });
    for await (const { id } of answer) if (id !== null) ids.push(id);
    again = await answer.record;
  }
  const n = Math.max(ids.length, record.n_out);
  let at = 0;
  while (at < n && ids[at] === record.output[at]) ++at;
  return {
    equal: at === n,
    nEqual: at,
    firstDivergence: at === n ? null : { at, expected: record.output[at] ?? null, actual: ids[at] ?? null },
    differs: again === null ? [] : IDENTITIES.filter((key) => again[key] !== record[key]),
    record: again,
  };
}

// Which model this is, part by part: its files, tokenizer, configuration and weights with version and hash.
export function describeManifest(facts) {
  const { values } = facts;
  return {
    schema: "lbm.manifest.v1",
    kind: "model",
    name: values["general.name"] ?? facts.name,
    version: values["general.version"] ?? "",
    licence: values["general.license"] ?? "",
    architecture: values["general.architecture"] ?? "",
    files: [{ path: facts.name, size: facts.bytes, sha256: facts.modelHash }],
    tokenizer: { version: facts.tokenizerHash ?? "", sha256: facts.tokenizerHash },
    config: { version: facts.ggufVersion === null ? "" : `gguf ${facts.ggufVersion}`, sha256: facts.configHash },
    weights: { version: values["general.version"] ?? facts.modelHash ?? "", sha256: facts.modelHash },
    runtime: { abi_version: facts.abiVersion, module: facts.module, sha256: facts.kernelHash },
  };
}
