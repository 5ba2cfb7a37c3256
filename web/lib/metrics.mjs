// How well a tokenizer fits texts.

const WORD = /[^\s]+/gu;

// coverage: the share of ids that are not the unknown token. entropy: bits of an id, by how often each comes
// in these texts. fertility: ids for a word (what stands between white space).
export async function tokenizerMetrics(tokenizer, texts, { unknownId = tokenizer.unknownId } = {}) {
  const batch = await tokenizer.encode([...texts]);
  const counts = new Map();
  let nToken = 0;
  for (const ids of batch) {
    nToken += ids.length;
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const nUnknown = counts.get(unknownId) ?? 0;
  const nWord = texts.reduce((sum, text) => sum + (text.match(WORD)?.length ?? 0), 0);
  let entropy = 0;
  for (const n of counts.values()) entropy -= (n / nToken) * Math.log2(n / nToken);
  return {
    nText: batch.length,
    nToken,
    nDistinct: counts.size,
    nUnknown,
    nWord,
    coverage: nToken === 0 ? 1 : (nToken - nUnknown) / nToken,
    entropy,
    fertility: nWord === 0 ? 0 : nToken / nWord,
  };
}

// What stands for text that a vocabulary has nothing for, as formats understand a file that does not say
// so; null: there is none (every byte has a token).
const DEFAULT_UNKNOWN = { llama: 0, bert: 100, t5: 2 };

export function unknownIdOf(values) {
  return values["tokenizer.ggml.unknown_token_id"] ?? DEFAULT_UNKNOWN[values["tokenizer.ggml.model"]] ?? null;
}
