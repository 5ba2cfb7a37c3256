// Cases of the ABI: models that are evaluated elsewhere.

import {
  CODES, DRAWN, Elsewhere, GREEDY, PROMPT, answerBySteps, expect, expectEqual, expectError,
} from "./abi_support.mjs";

const { INVALID_ARGUMENT, NUMERIC } = CODES;

export function addEvaluationCases({ lib, wasm, modelBytes, add, loaded, stillWorks }) {
  add("a model without weights answers as one with them, by logits from elsewhere", () => {
    const elsewhere = new Elsewhere(lib, wasm, modelBytes);
    expect(elsewhere.nWritten < modelBytes.length / 2, `${elsewhere.nWritten} bytes of the file were needed`);
    const { external, weight_bytes: nWeightByte } = elsewhere.module.diagnostics().model;
    expect(external && nWeightByte === 0, "no weights");
    const { module } = loaded();
    const chat = (to) => to.beginChat(to.setMessages([
      { role: "user", content: "one" }, { role: "assistant", content: "two" }, { role: "user", content: PROMPT },
    ]), { ...DRAWN, seed: 7n });
    const settings = [
      GREEDY, DRAWN, { ...GREEDY, repeatPenalty: 1.3 }, { ...DRAWN, noRepeatNgram: 2 }, { ...DRAWN, topK: 0 },
      { ...GREEDY, digest: false }, { ...DRAWN, digest: false }, { ...DRAWN, digest: false, repeatPenalty: 1.2 },
      { ...GREEDY, speculate: true },
    ];
    const begins = [...settings.map((setting) => (to) => to.beginRaw(PROMPT, setting)), chat];
    begins.forEach((begin, i) => {
      module.reset();
      elsewhere.module.reset();
      const expected = answerBySteps(lib, module, () => begin(module));
      const answer = elsewhere.answer(begin);
      for (const what of ["text", "stop", "digest"]) expectEqual(answer[what], expected[what], `${what} of case ${i}`);
      expectEqual(answer.ids.join(), expected.ids.join(), `tokens of case ${i}`);
    });
    expect(elsewhere.seen.includes(0) && elsewhere.seen.includes(1) && elsewhere.seen.includes(50),
      `wanted: ${[...new Set(elsewhere.seen)]}`);
  });

  add("what is given from elsewhere is checked", () => {
    const { module, ...elsewhere } = new Elsewhere(lib, wasm, modelBytes);
    const settings = { ...GREEDY, digest: false };
    const { exports } = module;
    expectEqual(exports.lbm_eval_done(), INVALID_ARGUMENT, "nothing was asked for");
    module.beginRaw(PROMPT, settings);
    expectEqual(module.step(), lib.STEP_EVALUATE, "a step");
    expectEqual(module.step(), lib.STEP_EVALUATE, "the same step");
    const { tokens, nPast, topK } = module.evaluation();
    expect(tokens.length > 1 && nPast === 0 && topK === 1, `${tokens.length} tokens after ${nPast}, top ${topK}`);
    expectEqual(exports.lbm_eval_candidates(0), 0, "no candidates");
    expectEqual(exports.lbm_eval_candidates(100_000), 0, "more candidates than there is room for");
    const give = (ids, logits) => () => module.giveEvaluation({ ids, logits });
    expectError(give([elsewhere.nVocab], [1]), INVALID_ARGUMENT, "a candidate beyond the vocabulary");
    expectError(give([3, 3], [1, 1]), INVALID_ARGUMENT, "a candidate twice");
    expectError(give([3], [NaN]), NUMERIC, "a logit that is no number");
    expectError(give([3], [Infinity]), NUMERIC, "a logit without end");
    expectError(() => module.giveEvaluation({ logits: new Float32Array(3) }), 0, "three logits");
    module.giveEvaluation({ ids: [3, 5], logits: [1, 2] });
    expectEqual(module.step(), lib.STEP_PROMPT, "the prompt");
    expectEqual(module.step(), 5, "the best candidate");
    module.cancel();
    expectEqual(module.diagnostics().answer.stop, "interrupted", "reason to stop");
    module.beginRaw(PROMPT, GREEDY);
    expectEqual(module.step(), lib.STEP_EVALUATE, "a step");
    expectEqual(exports.lbm_eval_candidates(8), 0, "candidates where a digest needs all logits");
    module.giveEvaluation({ logits: new Float32Array(elsewhere.nVocab).fill(NaN) });
    expectEqual(module.step(), lib.STEP_PROMPT, "the prompt");
    expectError(() => module.step(), NUMERIC, "logits that are no numbers");
    // A model with weights asks for nothing.
    expectEqual(loaded().module.exports.lbm_eval_logits(), 0, "room for logits");
  });

  add("a description has each tensor once, within the file", () => {
    const { module } = loaded();
    const { tensors, ...model } = module.description();
    expectEqual(model.n_vocab, module.diagnostics().model.n_vocab, "n_vocab");
    expectEqual(model.layers.length, model.n_layer, "layers");
    expectEqual(new Set(tensors.map(({ role }) => role)).size, tensors.length, "roles");
    let end = 0;
    for (const { role, offset, bytes } of tensors) {
      expect(offset >= end && offset + bytes <= modelBytes.length, `${role}: ${offset} + ${bytes} after ${end}`);
      end = offset + bytes;
    }
    for (const role of ["embedding", "output_norm.weight", "layers.0.wq", "layers.0.ffn.down", "layers.1.wo"]) {
      expect(tensors.some((tensor) => tensor.role === role), role);
    }
  });
}
