// Small texts that must be whole or not there at all.
//
// A sealed record carries its length and SHA-256, so that one that was torn is seen. What changes is
// kept in two slots that are written in turns: whatever happens to a write, the other slot still
// holds what was before.

import { StoreError } from "./errors.mjs";
import { sha256Text } from "./sha256.mjs";

const HEAD = /^lbm-record-([0-9]+) ([0-9]+) ([0-9a-f]{64})\n/;
const FORM = 1;
const MAX_RECORD_BYTES = 256 * 1024 * 1024;

export function seal(value) {
  const text = JSON.stringify(value);
  return new TextEncoder().encode(`lbm-record-${FORM} ${text.length} ${sha256Text(text)}\n${text}`);
}

// The value of a sealed record, undefined where it is damaged. Throws StoreError newer_store for one
// that a later program wrote: it must not be taken for damage.
export function unseal(bytes) {
  const text = new TextDecoder().decode(bytes);
  const head = HEAD.exec(text);
  if (head === null) return undefined;
  if (Number(head[1]) > FORM) {
    throw new StoreError("newer_store", "the store was written by a newer version of this program: reload the page");
  }
  if (Number(head[1]) !== FORM) return undefined;
  const body = text.slice(head[0].length);
  if (body.length !== Number(head[2]) || sha256Text(body) !== head[3]) return undefined;
  return JSON.parse(body);
}

export async function readRecord(files, name) {
  const blob = await files.blob(name);
  if (blob === null || blob.size > MAX_RECORD_BYTES) return undefined;
  return unseal(new Uint8Array(await blob.arrayBuffer()));
}

export async function writeRecord(files, name, value) {
  const file = await files.open(name);
  try {
    const bytes = seal(value);
    await file.write(0, bytes);
    await file.truncate(bytes.length);
    await file.flush();
  } finally {
    await file.close();
  }
}

// One value in two slots, `base`.0 and `base`.1. Its member `seq` counts the writes.
export class TwoSlots {
  #files;
  #names;

  constructor(files, base) {
    this.#files = files;
    this.#names = [`${base}.0`, `${base}.1`];
  }

  // { value, isDamaged }: the newer of the two; undefined where there is none. isDamaged says that a
  // slot is there and can not be read, so that a newer value may have been lost.
  async read() {
    const values = [];
    let isDamaged = false;
    for (const name of this.#names) {
      const value = await readRecord(this.#files, name);
      if (value === undefined && (await this.#files.blob(name)) !== null) isDamaged = true;
      values.push(value);
    }
    const [a, b] = values;
    return { value: (b?.seq ?? 0) > (a?.seq ?? 0) ? b : a, isDamaged };
  }

  // Puts `value` over the older slot. `seq` of the value must be one more than that of the last one.
  async write(value) {
    await writeRecord(this.#files, this.#names[value.seq % 2], value);
  }
}
