// The record of one answer while it is made: its tokens and its times.

import { beginRecord, endRecord } from "./records.mjs";

const microseconds = (ms) => Math.round(ms * 1000);

export class AnswerRun {
  #head;
  #ids = [];
  #start = performance.now();
  #firstToken = null;

  constructor(facts, input, settings) {
    this.#head = beginRecord(facts, input, settings);
  }

  add(id) {
    this.#firstToken ??= performance.now();
    this.#ids.push(id);
  }

  // `state`: what the module says of the answer, null where it says nothing any more. `error`: what ended
  // it, if something did. `notes`: what happened on the way.
  end(state, error, notes) {
    const now = performance.now();
    return endRecord(this.#head, {
      n_in: state?.n_prompt ?? 0,
      n_evaluated: state?.n_evaluated ?? 0,
      n_out: this.#ids.length,
      output: this.#ids,
      stop: error !== null ? "error" : state?.stop ?? "interrupted",
      digest: state?.digest ?? null,
      error: error?.message ?? null,
      notes,
      timings: {
        first_token_us: this.#firstToken === null ? null : microseconds(this.#firstToken - this.#start),
        decode_us: this.#firstToken === null ? null : microseconds(now - this.#firstToken),
        total_us: microseconds(now - this.#start),
      },
    });
  }
}
