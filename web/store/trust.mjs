// Whom the store believes, and what it remembers so that it can not be talked back.
//
// - Keys are pinned by the application. Several may be pinned at a time. One may be `retired` (what
//   it signed is refused from now on, its successor counts) or `revoked` (so is its successor).
// - Rotation: a key hands over to a new one by signing the file of the new public key. It is then
//   retired itself: one key has one successor.
// - Versions: what was signed under a name raises a mark that stays, also when the artifact is
//   removed. Older versions are refused (rollback), and so is the same version with other bytes.
// - A name that was signed once is never taken unsigned again.
// - Expiry: "expires:2027-06-30" or "expires:2027-06-30T12:00:00Z" in the trusted comment, which the
//   signature covers. A signer who renews it proves that this is still the newest version (freeze).

import { StoreError } from "./errors.mjs";
import { compareVersions } from "./manifest.mjs";
import { checkSignature, parsePublicKey, parseSignature } from "./signature.mjs";

const ROTATE = "lbm-rotate";
const MAX_MARKS = 10_000;
export const POLICIES = ["require", "warn", "none"];

// { publicKey, state } of what an application pins: texts, or objects of that form.
function parsePinned(pinned) {
  const { publicKey, state = "active" } = typeof pinned === "string" ? { publicKey: pinned } : pinned;
  if (!["active", "retired", "revoked"].includes(state)) {
    throw new StoreError("bad_key", `a pinned key is active, retired or revoked, and not '${state}'`);
  }
  return { ...parsePublicKey(publicKey), state };
}

export class Trust {
  #pinned;

  constructor(keys = []) {
    this.#pinned = keys.map(parsePinned);
  }

  // Keys by id, with what was handed over; `rotations` is [{ by, publicKey }] in their order.
  #keys(rotations) {
    const keys = new Map(this.#pinned.map((key) => [key.id, { ...key }]));
    for (const { by, publicKey } of rotations) {
      const old = keys.get(by);
      if (old === undefined) continue; // the application does not pin it any more
      const next = parsePublicKey(publicKey);
      const state = old.state === "revoked" ? "revoked" : "active";
      if (old.state === "active") old.state = "retired";
      if (!keys.has(next.id)) keys.set(next.id, { ...next, state });
    }
    return keys;
  }

  // The active key that made `parsed`; null where it is not known.
  #keyOf(parsed, rotations) {
    const key = this.#keys(rotations).get(parsed.keyId);
    if (key === undefined) return null;
    if (key.state !== "active") {
      throw new StoreError("untrusted_key", `the signature is by key ${key.id}, which is ${key.state}`);
    }
    return key;
  }

  // { keyId, comment, expires } of a file and the text of its signature, or null where it counts as
  // unsigned. A signature that is there and wrong is refused whatever the policy is.
  check(bytes, text, { policy, rotations, now, name }) {
    if (text === null) {
      if (policy !== "require") return null;
      throw new StoreError("unsigned", `${name} has no signature (.minisig), and one is required here`);
    }
    const parsed = parseSignature(text);
    const key = this.#keyOf(parsed, rotations);
    if (key === null) {
      if (policy !== "require") return null;
      throw new StoreError("untrusted_key", `${name} is signed by key ${parsed.keyId}, which nobody has pinned here`);
    }
    checkSignature(parsed, bytes, key);
    const expires = expiryOf(parsed.comment);
    if (expires !== null && now > expires) {
      const date = new Date(expires).toISOString();
      const why = "an old copy is being shown, or it was not renewed";
      throw new StoreError("expired", `the signature of ${name} ran out at ${date}: ${why}`);
    }
    return { keyId: key.id, comment: parsed.comment, expires };
  }

  // The rotation that the file of a new public key and its signature by an active key stand for.
  rotation(publicKeyText, signatureText, rotations) {
    const parsed = parseSignature(signatureText);
    const key = this.#keyOf(parsed, rotations);
    if (key === null) throw new StoreError("untrusted_key", `key ${parsed.keyId} is not pinned: it can not hand over`);
    checkSignature(parsed, new TextEncoder().encode(publicKeyText), key);
    // A signature of the file for another purpose is no order to trust it.
    if (parsed.comment.split(/\s/)[0] !== ROTATE) {
      throw new StoreError("bad_signature", `the trusted comment of a rotation begins with '${ROTATE}'`);
    }
    const next = parsePublicKey(publicKeyText);
    if (this.#keys(rotations).has(next.id)) throw new StoreError("bad_key", `key ${next.id} is known already`);
    return { by: key.id, publicKey: publicKeyText };
  }
}

// The moment after which a signature does not count; null: none is named.
function expiryOf(comment) {
  const text = /(?:^|\s)expires:(\S+)/.exec(comment)?.[1];
  if (text === undefined) return null;
  const found = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\dZ)?$/.exec(text);
  const time = found === null ? NaN : Date.parse(found[1] + (found[2] ?? "T23:59:59Z"));
  if (!Number.isNaN(time)) return time;
  throw new StoreError("bad_signature", `the trusted comment says 'expires:${text.slice(0, 40)}', which is no date`);
}

// Throws unless `name` may come in `version` with these contents. `marks` is { name: { version, id } }.
export function checkVersion(marks, { name, version, id, signature }, { allowRollback = false, policy } = {}) {
  const mark = Object.hasOwn(marks, name) ? marks[name] : null;
  if (mark === null) return;
  if (signature === null && policy !== "none") {
    throw new StoreError("unsigned", `${name} was signed before, and this one is not: it is refused`);
  }
  const order = compareVersions(version, mark.version);
  if (allowRollback || order > 0 || (order === 0 && id === mark.id)) return;
  const why = order < 0 ? `version ${mark.version} was here before` : "the same version was here with other bytes";
  throw new StoreError("rollback", `${name} ${version}: ${why}`, { newest: mark.version });
}

// The marks after `entry` came in.
export function raiseMark(marks, { name, version, id, signature }) {
  if (signature === null || version === null) return marks;
  const old = Object.hasOwn(marks, name) ? marks[name] : null;
  if (old !== null && compareVersions(version, old.version) < 0) return marks;
  if (old === null && Object.keys(marks).length >= MAX_MARKS) return marks;
  return { ...marks, [name]: { version, id } };
}
