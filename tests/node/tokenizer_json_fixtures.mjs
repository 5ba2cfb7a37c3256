// Small tokenizer.json files, as Hugging Face's library writes them: { bpe, unigram, wordPiece }.

const METASPACE = "\u2581";

// Every byte as a printable character: bytes_to_unicode() of GPT-2.
function byteCharacters() {
  const isPlain = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPlain(byte) ? byte : next++));
}

const added = (...tokens) => tokens.map(([id, content, more = {}]) => ({
  id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...more,
}));
const frame = (before, after) => ({
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: before[0], type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: after[0], type_id: 0 } }],
  pair: [],
  special_tokens: Object.fromEntries([before, after].map(([text, id]) =>
    [text, { id: text, ids: [id], tokens: [text] }])),
});
const file = (parts) => ({
  version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: null,
  post_processor: null, decoder: null, ...parts,
});

function bpe() {
  const merges = [["o", "n"], ["on", "e"], ["t", "w"], ["tw", "o"], ["\u0120", "t"], ["h", "r"], ["e", "e"],
    ["\u0120", "two"], ["\u00e4", "\u00b8"], ["\u010a", "\u010a"]];
  const pieces = ["<s>", "</s>", ...byteCharacters(), ...merges.map((pair) => pair.join(""))];
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const n = pieces.length;
  return file({
    added_tokens: added([0, "<s>"], [1, "</s>"], [n + 3, "<tool>", { special: false, lstrip: true }]),
    pre_tokenizer: { type: "Sequence", pretokenizers: [
      { type: "Digits", individual_digits: true },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true }] },
    post_processor: frame(["<s>", 0], ["</s>", 1]),
    model: { type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: false, byte_fallback: false, ignore_merges: false, vocab, merges },
  });
}

function unigram() {
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, -20.25 - byte / 1000]);
  const words = ["one", "two", "three", "o", "n", "e", "t", "w", "h", "r", "\u4e16", "\u00e4"].flatMap((word, i) =>
    [[METASPACE + word, -3.0625 - i], [word, -4.123456789012345e0 - i * 0.1]]);
  return file({
    added_tokens: added([0, "<unk>"], [1, "</s>"]),
    pre_tokenizer: { type: "Metaspace", replacement: METASPACE, prepend_scheme: "always", split: true },
    model: { type: "Unigram", unk_id: 0, byte_fallback: true,
      vocab: [["<unk>", 0], ["</s>", 0.0], [METASPACE, -2.5e0], ...words, ...bytes] },
  });
}

function wordPiece() {
  const pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "two", "thr", "##ee", "t", "##wo", "##o", "o", "##n",
    "##e", ","];
  return file({
    added_tokens: added([0, "[PAD]"], [1, "[UNK]"], [2, "[CLS]"], [3, "[SEP]"]),
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null,
      lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: frame(["[CLS]", 2], ["[SEP]", 3]),
    model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])) },
  });
}

export const tokenizerJson = { bpe: bpe(), unigram: unigram(), wordPiece: wordPiece() };
