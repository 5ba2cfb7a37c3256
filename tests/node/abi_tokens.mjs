// Cases of the ABI: texts to tokens in batches, shuffles, hashes.

import {
  CODES, expect, expectEqual, expectError, hex,
} from "./abi_support.mjs";

const { INVALID_ARGUMENT, LIMIT } = CODES;

export function addTokenCases({ lib, wasm, modelBytes, add, loaded, stillWorks }) {
  const { LbmModule } = lib;
  add("MVP-8: a batch is encoded and decoded as its texts one by one, in one call", () => {
    const { module } = loaded();
    const texts = ["one two", "", "three \u{1F600} four", "one", ""];
    const ids = module.encodeAll(texts, { addSpecial: true });
    texts.forEach((text, i) => expectEqual(ids[i].join(), module.encode(text, { addSpecial: true }).join(), text));
    const plain = module.encodeAll(texts);
    const decoded = plain.map((one) => module.decode(one));
    expectEqual(JSON.stringify(module.decodeAll(plain)), JSON.stringify(decoded), "texts");
    expectEqual(module.encodeAll([]).length, 0, "no texts");
    const words = new Uint8Array(new Uint32Array([5, 3]).buffer);
    module.withBytes(words, (ends) => module.withBytes(new Uint8Array(8), (text) => module.withBuffer(400, (out) => {
      const code = module.exports.lbm_encode_batch(text, 8, ends, 2, 0, out, 100);
      expectEqual(code, -100 - INVALID_ARGUMENT, "ends that do not ascend");
    })));
    stillWorks(module);
  });

  add("MVP-11: a shuffle is a function of its seed, by the generator of the core", () => {
    const module = new LbmModule(wasm);
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    const order = module.shuffle(numbers, 42n).join();
    expectEqual(module.shuffle(numbers, 42n).join(), order, "the same seed");
    expect(module.shuffle(numbers, 43n).join() !== order, "another seed");
    expect(module.shuffle(numbers, 42n + (1n << 32n)).join() !== order, "a seed of more than 32 bits");
    expectEqual([...module.shuffle(numbers, 1n)].sort((a, b) => a - b).join(), numbers.join(), "the numbers");
    expectEqual(module.shuffle([], 1n).length, 0, "no numbers");
    // Each number comes first about as often as any other: 600 shuffles of 6.
    const first = new Array(6).fill(0);
    for (let seed = 0; seed < 600; ++seed) ++first[module.shuffle([0, 1, 2, 3, 4, 5], BigInt(seed))[0]];
    expect(first.every((n) => n > 60 && n < 140), first.join());
  });

  add("SHA-256 of several things at once, in pieces", () => {
    const module = new LbmModule(wasm);
    const text = (s) => new TextEncoder().encode(s);
    const a = module.sha256();
    const b = module.sha256();
    a.update(text("a"));
    b.update(text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"));
    a.update(text("bc"));
    // FIPS 180-4, the examples of one and of two blocks.
    expectEqual(hex(a.digest()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc");
    expectEqual(hex(b.digest()), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", "two blocks");
    expectError(() => a.digest(), INVALID_ARGUMENT, "a hash that has ended");
    expectError(() => a.update(text("x")), INVALID_ARGUMENT, "more of it");
    const open = Array.from({ length: 8 }, () => module.sha256());
    expectError(() => module.sha256(), LIMIT, "a ninth");
    open.forEach((hash) => hash.digest());
    module.sha256().digest();
  });
}
