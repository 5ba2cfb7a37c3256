// Detached signatures of minisign: Ed25519 over the BLAKE2b-512 of a file ("ED"), or over the file
// itself ("Ed", what old versions wrote), and a second one over the first and the trusted comment.
// https://jedisct1.github.io/minisign/ is the format.
//
// Ed25519 is checked as RFC 8032 has it, at its strictest: canonical encodings, S below the order
// of the group, and neither the key nor R of small order. Two checkers then never disagree.

import { ed25519 } from "@noble/curves/ed25519.js";
import { blake2b } from "@noble/hashes/blake2.js";
import { StoreError } from "./errors.mjs";
import { toHex } from "./sha256.mjs";

export const MAX_SIGNATURE_BYTES = 16 * 1024;
const COMMENT = "untrusted comment: ";
const TRUSTED = "trusted comment: ";

function bad(what) {
  return new StoreError("bad_signature", `the signature ${what}`);
}

// RFC 4648, strict: whole groups, padding at the end alone, no bits beyond it. Null for other text.
function decodeBase64(text) {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return null;
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return btoa(String.fromCharCode(...bytes)) === text ? bytes : null;
}

function checkPoint(bytes, name) {
  try {
    const point = ed25519.Point.fromBytes(bytes, false);
    if (!point.isSmallOrder()) return;
  } catch {
    // Said below.
  }
  throw bad(`has ${name} that is no proper point of the curve`);
}

// True where `signature` (64 bytes) of `message` was made with the secret half of `key`.
export function verifyEd25519(signature, message, key) {
  try {
    if (signature.length !== 64 || key.length !== 32) return false;
    checkPoint(key, "a key");
    checkPoint(signature.subarray(0, 32), "an R");
    return ed25519.verify(signature, message, key, { zip215: false }); // refuses S that is too large
  } catch {
    return false;
  }
}

// As minisign prints it: 16 hexadecimal digits of a little-endian number.
const idOf = (bytes) => toHex(bytes.toReversed()).toUpperCase();

// { id, key }: of the line "RW...", or of a file minisign.pub.
export function parsePublicKey(text) {
  const lines = String(text).split(/\r?\n/).filter((line) => line !== "");
  const line = lines[0]?.startsWith(COMMENT) ? lines[1] : lines[0];
  const bytes = decodeBase64(line ?? "");
  const isKey = bytes !== null && bytes.length === 42 && bytes[0] === 0x45 && bytes[1] === 0x64;
  if (!isKey || lines.length > 2) throw new StoreError("bad_key", "this is no public key of minisign");
  try {
    checkPoint(bytes.subarray(10), "a key");
  } catch {
    throw new StoreError("bad_key", "this public key is no proper point of the curve");
  }
  return { id: idOf(bytes.subarray(2, 10)), key: bytes.slice(10) };
}

// { keyId, comment, ... } of the text of a .minisig file. Nothing of it is believed yet.
export function parseSignature(text) {
  if (text.length > MAX_SIGNATURE_BYTES) throw bad(`is longer than ${MAX_SIGNATURE_BYTES} bytes`);
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  if (lines.length !== 4) throw bad(`has ${lines.length} lines instead of 4: cut off, or not of minisign`);
  if (!lines[0].startsWith(COMMENT) || !lines[2].startsWith(TRUSTED)) throw bad("lacks its comments");
  const bytes = decodeBase64(lines[1]);
  const global = decodeBase64(lines[3]);
  if (bytes?.length !== 74) throw bad("is cut off, or not in base64");
  if (global?.length !== 64) throw bad("of the trusted comment is cut off, or not in base64");
  const algorithm = String.fromCharCode(bytes[0], bytes[1]);
  if (algorithm !== "ED" && algorithm !== "Ed") throw bad("is of an algorithm that is not Ed25519");
  return {
    isPrehashed: algorithm === "ED",
    keyId: idOf(bytes.subarray(2, 10)),
    signature: bytes.slice(10),
    comment: lines[2].slice(TRUSTED.length),
    global,
  };
}

// Throws StoreError bad_signature unless `parsed` is a signature of all of `bytes` by `key`, and so
// is its comment.
export function checkSignature(parsed, bytes, { key }) {
  const message = parsed.isPrehashed ? blake2b(bytes, { dkLen: 64 }) : bytes;
  if (!verifyEd25519(parsed.signature, message, key)) {
    throw bad("does not fit: the file is not the one that was signed, or the key is another");
  }
  const comment = new TextEncoder().encode(parsed.comment);
  const signed = new Uint8Array(64 + comment.length);
  signed.set(parsed.signature);
  signed.set(comment, 64);
  if (!verifyEd25519(parsed.global, signed, key)) throw bad("does not fit its trusted comment");
}
