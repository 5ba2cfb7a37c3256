// The manifest of an artifact: the same JSON that `lbm manifest make` writes
// (docs/formats/manifest.md), with the same rules.

import { StoreError } from "./errors.mjs";
import { sha256Text } from "./sha256.mjs";
import { Fields, isDigest, parseStrictJson } from "./strict_json.mjs";

const SCHEMA = "lbm-manifest-1";
const KINDS = ["model", "tokenizer", "adapter", "module", "kernels", "dataset"];
const SOURCE_KINDS = ["deterministic-smoke", "trained", "evaluated"];
export const MIN_CHUNK_BYTES = 4096;
const MAX_CHUNK_BYTES = 256 * 1024 * 1024;
// A chunk stands in memory until its hash is known to be right.
export const MAX_CHUNK_IN_MEMORY = 64 * 1024 * 1024;
const MAX_FILE_BYTES = 2 ** 46;
const MAX_FILES = 4096;

function parseFile(json, path) {
  const fields = new Fields(json, path);
  const file = {
    path: fields.plainName("path"),
    size: fields.number("size", 0, MAX_FILE_BYTES),
    sha256: fields.digest("sha256"),
    chunkBytes: fields.number("chunk_size", MIN_CHUNK_BYTES, MAX_CHUNK_BYTES),
    chunks: fields.array("chunks"),
  };
  if (file.chunkBytes > MAX_CHUNK_IN_MEMORY) {
    fields.fail("chunk_size", `a browser takes chunks of at most ${MAX_CHUNK_IN_MEMORY} bytes`);
  }
  const nChunk = Math.ceil(file.size / file.chunkBytes);
  if (file.chunks.length !== nChunk) {
    fields.fail("chunks", `${file.chunks.length} chunks, where size and chunk_size make ${nChunk}`);
  }
  const bad = file.chunks.findIndex((chunk) => !isDigest(chunk));
  if (bad >= 0) fields.fail(`chunks[${bad}]`, "a SHA-256 is 64 hexadecimal digits, small letters");
  fields.done();
  return file;
}

// An artifact may claim quality only with the record of an evaluation (gate A-4).
function checkEvidence(fields, manifest, name) {
  const evidence = fields.array("evidence", false);
  evidence.forEach((item, i) => {
    const inner = new Fields(item, `${name}: evidence[${i}]`);
    inner.text("name");
    inner.digest("sha256");
    inner.text("scope");
    inner.done();
  });
  if ((manifest.claimsQuality || manifest.sourceKind === "evaluated") && evidence.length === 0) {
    fields.fail("evidence", "a claim of quality needs the record of an evaluation (name, sha256, scope)");
  }
  if (manifest.claimsQuality && manifest.sourceKind !== "evaluated") {
    fields.fail("trained_quality_claim", "only an artifact of source_kind 'evaluated' may claim quality");
  }
}

// Fields whose inside belongs to others: their kind is checked, no more.
function checkReserved(fields, name) {
  fields.array("deps", false);
  fields.array("authority", false);
  const io = fields.optional("io");
  if (io !== undefined) new Fields(io, `${name}: io`);
  const resources = fields.optional("resources");
  if (resources !== undefined) {
    const inner = new Fields(resources, `${name}: resources`);
    for (const key of ["ram", "kv_per_token", "disk"]) inner.number(key, 0, MAX_FILE_BYTES, 0);
    inner.done();
  }
  if ((fields.optional("signature") ?? null) !== null) {
    fields.fail("signature", "null is the only value; a signature is a file of its own (.minisig)");
  }
}

// Throws StoreError bad_manifest with the field and the reason for anything that the specification
// does not allow.
export function parseManifest(bytes, name = "manifest") {
  const fields = new Fields(parseStrictJson(bytes, name), name);
  fields.choice("schema", [SCHEMA]);
  const manifest = {
    name: fields.plainName("name"),
    version: fields.text("version"),
    kind: fields.choice("kind", KINDS),
    licence: fields.text("licence"),
    sourceKind: fields.choice("source_kind", SOURCE_KINDS),
    source: fields.text("source"),
    claimsQuality: fields.flag("trained_quality_claim"),
    quantization: fields.text("quantization", false),
    tool: fields.text("tool"),
  };
  if (!isVersion(manifest.version)) fields.fail("version", "needs MAJOR.MINOR.PATCH");
  for (const key of ["base_sha256", "tokenizer_sha256"]) {
    if ((fields.optional(key) ?? null) !== null) fields.digest(key);
  }
  const files = fields.array("files");
  if (files.length < 1 || files.length > MAX_FILES) fields.fail("files", `1 to ${MAX_FILES} files are needed`);
  manifest.files = files.map((file, i) => parseFile(file, `${name}: files[${i}]`));
  const paths = new Set(manifest.files.map((file) => file.path));
  if (paths.size !== manifest.files.length) fields.fail("files", "a path stands there twice");
  checkEvidence(fields, manifest, name);
  checkReserved(fields, name);
  fields.done();
  return manifest;
}

export const isVersion = (text) => text.length <= 32 && /^[0-9]+\.[0-9]+\.[0-9]+$/.test(text);

// < 0, 0 or > 0, number by number.
export function compareVersions(left, right) {
  const [a, b] = [left, right].map((text) => text.split(".").map(BigInt));
  const i = a.findIndex((number, k) => number !== b[k]);
  return i < 0 ? 0 : a[i] < b[i] ? -1 : 1;
}

// What an artifact is called by: the SHA-256 of its file; where it has several, that of the list
// which `sha256sum` prints of them, in the order of the manifest.
export function artifactId(files) {
  if (files.length === 0) throw new StoreError("bad_manifest", "an artifact without files");
  if (files.length === 1) return files[0].sha256;
  return sha256Text(files.map((file) => `${file.sha256}  ${file.path}\n`).join(""));
}
