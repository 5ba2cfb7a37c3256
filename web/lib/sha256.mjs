// SHA-256 of little things (records, metadata), piece by piece and synchronous; crypto.subtle has neither
// and is missing outside of secure contexts. Model files are hashed in the module.

const N_ROUND = 64;
const BLOCK = 64;

// The first 32 bits of the fractional parts of roots of primes (FIPS 180-4, 4.2.2 and 5.3.3).
function primes(n) {
  const found = [];
  for (let i = 2; found.length < n; ++i) if (found.every((p) => i % p !== 0)) found.push(i);
  return found;
}
const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
const ROUND_CONSTANTS = Int32Array.from(primes(N_ROUND), (p) => fraction(Math.cbrt(p)));
const START = Int32Array.from(primes(8), (p) => fraction(Math.sqrt(p)));

export class Sha256 {
  #state = START.slice();
  #schedule = new Int32Array(N_ROUND);
  #rest = new Uint8Array(BLOCK);
  #nRest = 0;
  #nByte = 0;

  update(bytes) {
    this.#nByte += bytes.length;
    let at = 0;
    if (this.#nRest > 0) {
      at = Math.min(BLOCK - this.#nRest, bytes.length);
      this.#rest.set(bytes.subarray(0, at), this.#nRest);
      this.#nRest += at;
      if (this.#nRest < BLOCK) return this;
      this.#block(this.#rest, 0);
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.#block(bytes, at);
    this.#rest.set(bytes.subarray(at));
    this.#nRest = bytes.length - at;
    return this;
  }

  // 64 hexadecimal digits. Nothing can be added then.
  hex() {
    const nBit = this.#nByte * 8;
    const padded = new Uint8Array(this.#nRest < 56 ? BLOCK : 2 * BLOCK);
    padded.set(this.#rest.subarray(0, this.#nRest));
    padded[this.#nRest] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(nBit / 2 ** 32));
    view.setUint32(padded.length - 4, nBit >>> 0);
    for (let at = 0; at < padded.length; at += BLOCK) this.#block(padded, at);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #block(bytes, at) {
    const w = this.#schedule;
    for (let i = 0; i < 16; ++i, at += 4) {
      w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < N_ROUND; ++i) {
      const x = w[i - 15];
      const y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    const state = this.#state;
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    let e = state[4];
    let f = state[5];
    let g = state[6];
    let h = state[7];
    for (let i = 0; i < N_ROUND; ++i) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

export function sha256Hex(data) {
  return new Sha256().update(typeof data === "string" ? new TextEncoder().encode(data) : data).hex();
}
