// Signatures of minisign, as the artifact store checks them, and Ed25519 at its edges.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkSignature, parsePublicKey, parseSignature, verifyEd25519 } from "../../web/store/signature.mjs";
import { WebReport, expect, expectEqual } from "../web/report.mjs";
import { CHUNK, Signer, failure, jsonBytes, makeManifest, makeModel } from "./store_fixtures.mjs";

const report = new WebReport();
const hex = (text) => new Uint8Array(Buffer.from(text, "hex"));
const ours = new Signer(1);
const model = makeModel(2 * CHUNK + 7);

async function codeOf(f) {
  return (await failure((async () => f())())).code;
}

// ---- Ed25519 ---------------------------------------------------------------------------------------

// RFC 8032, section 7.1: secret key, public key, message, signature.
const RFC_8032 = [
  [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
      "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
      "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
  [
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589" +
      "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  ],
];
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
// Points whose order divides 8, in all their encodings, proper and not.
const SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

const toNumber = (bytes) => bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);

function littleEndian(number, size) {
  return Uint8Array.from({ length: size }, (_, i) => Number((number >> BigInt(8 * i)) & 255n));
}

await report.run("A5 C-5: Ed25519 has the signatures of RFC 8032, and no bit of one may be another", () => {
  for (const [key, message, signature] of RFC_8032) {
    expect(verifyEd25519(hex(signature), hex(message), hex(key)), `a proper one of ${message}`);
    expect(!verifyEd25519(hex(signature), hex(`${message}00`), hex(key)), "another message");
  }
  const [key, message, signature] = RFC_8032[2].map(hex);
  for (let bit = 0; bit < 512; ++bit) {
    const other = signature.slice();
    other[bit >> 3] ^= 1 << (bit & 7);
    expect(!verifyEd25519(other, message, key), `bit ${bit} of the signature`);
  }
  for (let bit = 0; bit < 256; ++bit) {
    const other = key.slice();
    other[bit >> 3] ^= 1 << (bit & 7);
    expect(!verifyEd25519(signature, message, other), `bit ${bit} of the key`);
  }
});

await report.run("A5: S beyond the order of the group is refused (no second form of a signature)", () => {
  const [key, message, signature] = RFC_8032[1].map(hex);
  const s = toNumber(signature.subarray(32));
  for (let k = 1n; s + k * ORDER < 2n ** 256n; ++k) {
    const other = signature.slice();
    other.set(littleEndian(s + k * ORDER, 32), 32);
    expect(!verifyEd25519(other, message, key), `S + ${k} L`);
  }
});

await report.run("A5: keys and R of small order, and encodings that are not canonical, are refused", () => {
  const [key, message, signature] = RFC_8032[1].map(hex);
  for (const point of SMALL_ORDER.map(hex)) {
    for (const s of [signature.subarray(32), new Uint8Array(32), littleEndian(1n, 32)]) {
      expect(!verifyEd25519(new Uint8Array([...point, ...s]), message, point), "key and R");
      expect(!verifyEd25519(new Uint8Array([...point, ...s]), message, key), "R");
      expect(!verifyEd25519(new Uint8Array([...signature.subarray(0, 32), ...s]), message, point), "key");
    }
  }
});

await report.run("A5: whoever has the key can not make a signature whose R is of small order", () => {
  // R + k A = S B holds up to a multiple of 8 for S = k a: checkers that allow it disagree with others.
  const seed = new Uint8Array(32).fill(1);
  const a = createHash("sha512").update(seed).digest().subarray(0, 32);
  a[0] &= 248;
  a[31] = (a[31] & 127) | 64;
  const message = new TextEncoder().encode("m");
  for (const point of ["26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", SMALL_ORDER[1]].map(hex)) {
    const hash = createHash("sha512").update(point).update(ours.raw).update(message).digest();
    const s = (toNumber(hash) * toNumber(a)) % ORDER;
    expect(!verifyEd25519(new Uint8Array([...point, ...littleEndian(s, 32)]), message, ours.raw), "R of small order");
  }
});

await report.run("A5: a signature or a key of another length is refused", () => {
  const [key, message, signature] = RFC_8032[1].map(hex);
  for (let n = 0; n < 64; ++n) expect(!verifyEd25519(signature.subarray(0, n), message, key), `${n} bytes`);
  expect(!verifyEd25519(new Uint8Array([...signature, 0]), message, key), "65 bytes");
  expect(!verifyEd25519(signature, message, key.subarray(1)), "a short key");
});

// ---- minisign --------------------------------------------------------------------------------------

await report.run("C-5 A5: signatures of minisign, of the hash (ED) and of the file itself (Ed)", () => {
  const bytes = new TextEncoder().encode("a file\n");
  const key = parsePublicKey(ours.publicKey);
  expectEqual(key.id, ours.id, "id");
  expectEqual(parsePublicKey(ours.publicKeyFile).id, key.id, "of a file");
  for (const legacy of [false, true]) {
    const parsed = parseSignature(ours.sign(bytes, { legacy, comment: "timestamp:5\tfile:x" }));
    checkSignature(parsed, bytes, key);
    expectEqual(
      [parsed.keyId, parsed.comment, parsed.isPrehashed],
      [key.id, "timestamp:5\tfile:x", !legacy],
      "parsed",
    );
  }
});

await report.run("C-5 A5: the signature covers every byte of the file and of the trusted comment", async () => {
  const bytes = new TextEncoder().encode("a short file");
  const key = parsePublicKey(ours.publicKey);
  const text = ours.sign(bytes);
  for (let bit = 0; bit < 8 * bytes.length; ++bit) {
    const other = bytes.slice();
    other[bit >> 3] ^= 1 << (bit & 7);
    expectEqual(await codeOf(() => checkSignature(parseSignature(text), other, key)), "bad_signature", `bit ${bit}`);
  }
  for (const other of [bytes.subarray(1), new Uint8Array([...bytes, 10]), new Uint8Array(0)]) {
    expectEqual(
      await codeOf(() => checkSignature(parseSignature(text), other, key)),
      "bad_signature",
      "another length",
    );
  }
  const comment = text.replace("timestamp:1", "timestamp:2");
  expectEqual(await codeOf(() => checkSignature(parseSignature(comment), bytes, key)), "bad_signature", "comment");
});

await report.run("A5: a signature file that is cut off at any byte is refused", async () => {
  const bytes = new TextEncoder().encode("a file");
  const key = parsePublicKey(ours.publicKey);
  const text = ours.sign(bytes);
  for (let n = 0; n < text.length - 1; ++n) {
    expectEqual(
      await codeOf(() => checkSignature(parseSignature(text.slice(0, n)), bytes, key)),
      "bad_signature",
      `${n}`,
    );
  }
  checkSignature(parseSignature(text.trimEnd()), bytes, key); // the last line end is no part of it
});

await report.run("A5: base64 and algorithms that minisign does not write are refused", async () => {
  const lines = ours.sign(new Uint8Array(3)).split("\n");
  const raw = Buffer.from(lines[1], "base64");
  const other = (bytes) => [lines[0], bytes.toString("base64"), ...lines.slice(2)].join("\n");
  const spoilt = [
    other(Buffer.concat([Buffer.from("XX"), raw.subarray(2)])),
    other(raw.subarray(0, 73)),
    other(Buffer.concat([raw, Buffer.alloc(1)])),
    lines.with(1, `${lines[1]} `).join("\n"),
    lines.with(1, lines[1].replace(/=*$/, "")).join("\n") + "x",
    lines.with(0, "comment: x").join("\n"),
    lines.with(2, "trusted: x").join("\n"),
    `${lines.join("\n")}\nmore`,
    "",
    "x".repeat(20000),
  ];
  for (const [i, text] of spoilt.entries())
    expectEqual(await codeOf(() => parseSignature(text)), "bad_signature", `${i}`);
  for (const text of [
    "",
    "RW",
    ours.publicKey.slice(4),
    `${ours.publicKey}AA`,
    `x\n${ours.publicKey}\n`,
    "RWQ" + "A".repeat(53),
  ]) {
    expectEqual(await codeOf(() => parsePublicKey(text)), "bad_key", text);
  }
});

function hasMinisign() {
  try {
    execFileSync("minisign", ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
if (hasMinisign()) {
  await report.run("C-5: what the program minisign signs is taken, and what it verifies is what is made here", () => {
    const folder = mkdtempSync(join(tmpdir(), "lbm-minisign-"));
    try {
      const path = (name) => join(folder, name);
      execFileSync("minisign", ["-G", "-W", "-p", path("pub"), "-s", path("key")], { stdio: "ignore" });
      writeFileSync(path("m.json"), jsonBytes(makeManifest({ "m.gguf": model })));
      execFileSync(
        "minisign",
        ["-S", "-W", "-s", path("key"), "-m", path("m.json"), "-t", "tiny 1.0.0 expires:2099-01-01"],
        { stdio: "ignore" },
      );
      const parsed = parseSignature(readFileSync(path("m.json.minisig"), "utf8"));
      const key = parsePublicKey(readFileSync(path("pub"), "utf8"));
      checkSignature(parsed, readFileSync(path("m.json")), key);
      expectEqual([parsed.keyId, parsed.comment], [key.id, "tiny 1.0.0 expires:2099-01-01"], "parsed");
      writeFileSync(path("m.json.minisig"), ours.sign(readFileSync(path("m.json"))));
      execFileSync("minisign", ["-V", "-q", "-P", ours.publicKey, "-m", path("m.json")], { stdio: "ignore" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
} else {
  report.skip("the program minisign is not here (scripts/deps.sh release)");
}

// Vectors of Project Wycheproof, where somebody put the file there: LBM_WYCHEPROOF=ed25519_test.json
const wycheproof = process.env.LBM_WYCHEPROOF ?? "";
if (existsSync(wycheproof)) {
  await report.run("A5: Wycheproof, all of ed25519_test.json", () => {
    let n = 0;
    for (const group of JSON.parse(readFileSync(wycheproof, "utf8")).testGroups) {
      for (const test of group.tests) {
        const isRight = verifyEd25519(hex(test.sig), hex(test.msg), hex(group.publicKey.pk));
        expectEqual(isRight, test.result === "valid", `test ${test.tcId} (${test.comment})`);
        ++n;
      }
    }
    report.note(`${n} vectors`);
  });
} else {
  report.skip("no file of Wycheproof (LBM_WYCHEPROOF=ed25519_test.json)");
}

report.finish();
