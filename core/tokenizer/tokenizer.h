// Text to token ids and back, as the model's own vocabulary defines it.
//
//   bytes --(special tokens split off)--> fragments --pretokenize--> words --merge--> ids
//
// Four models: BPE ("gpt2" over bytes, "gemma4" over characters: ranks of merges), SentencePiece
// ("llama": scores of merges), unigram ("t5": the best sum of scores) and WordPiece ("bert": the
// longest piece first). Encoding takes time linear in the text up to a logarithm and a bounded
// stack, whatever the text is.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/format/model_file.h"

namespace lbm {

// A run of text that came either from the template (its special tokens count) or from a person
// (they are plain text).
struct TextSegment {
  Str text;
  bool markup = false;
};

struct EncodeOptions {
  bool add_special = false;    // BOS and EOS as the file asks
  bool parse_special = false;  // text that spells a special token becomes that token
};

class Tokenizer {
 public:
  static constexpr u32 kNoToken = ~u32{0};

  // Checks and indexes the vocabulary of `file`. Everything is taken from `arena`, on which nothing
  // is lost on failure; the metadata of `file` must outlive the tokenizer too (pieces are views
  // into it). Errors: kMissing, kBadType, kLimit, kBadValue, kMismatch, kDuplicate; kUnsupported
  // for a tokenizer model or pre-tokenizer this build has not got, by name.
  [[nodiscard]] static Result<Tokenizer*> create(Arena& arena, const ModelFile& file);

  // Encodes `text`. Work memory comes from `scratch` and is given back. Room for text.size() + 3
  // ids is enough for BPE and SentencePiece with a vocabulary that spells a space as one token and
  // has no special tokens of a single byte; max_ids() is enough for all. Errors: kLimit  `out` is
  // too small (its contents are then unspecified), or the text is above 1 GiB.
  //         kOutOfMemory  scratch is too small.
  [[nodiscard]] Result<u32> encode(Str text, EncodeOptions options, Span<u32> out,
                                   Arena& scratch) const;

  // Encodes the segments as one text; control tokens are recognised in markup only. BOS/EOS are
  // never added: a template writes its own. Errors: as encode().
  [[nodiscard]] Result<u32> encode_segments(Span<const TextSegment> segments, Span<u32> out,
                                            Arena& scratch) const;

  // Ids that a text of n bytes may have at most.
  [[nodiscard]] u64 max_ids(u64 n_byte) const;

  // Bytes of scratch that encode() takes for a text of n bytes.
  [[nodiscard]] u64 scratch_bytes(u64 n_byte) const;

  // The bytes a token stands for; empty for an id beyond the vocabulary. Control tokens give their
  // spelling when `show_special`, else nothing. `buffer` is used where the bytes are not stored as
  // such (byte tokens, byte-level BPE); a piece is never longer than max_piece_bytes().
  [[nodiscard]] Str piece(u32 id, bool show_special, Span<char> buffer) const;
  [[nodiscard]] u32 max_piece_bytes() const;

  // The text of `ids`. SentencePiece drops the one space that it added at the front when
  // `at_start`. Where the pre-tokenizer's models were trained so (gpt-2, llama-bpe and others),
  // spaces before punctuation are dropped as in the reference; piece() never does that, so joined
  // pieces are the exact text. Errors: kLimit  `out` is too small.
  [[nodiscard]] Result<Str> decode(Span<const u32> ids, bool show_special, bool at_start,
                                   Span<char> out) const;

  [[nodiscard]] u32 n_vocab() const;
  [[nodiscard]] u32 bos() const;  // kNoToken where the vocabulary has none
  [[nodiscard]] u32 eos() const;
  [[nodiscard]] bool add_bos() const;
  [[nodiscard]] bool add_eos() const;
  // True for every token that ends an answer: eos, eot, eom and tokens spelled like <|im_end|>,
  // <|eot_id|>, <end_of_turn> ...
  [[nodiscard]] bool is_end_of_generation(u32 id) const;
  [[nodiscard]] bool is_control(u32 id) const;
  // What stands for something that no piece spells: the unknown token, tokens of one byte that is
  // only a part of a character.
  [[nodiscard]] bool is_fallback(u32 id) const;
  // The id whose spelling is exactly `piece`, or kNoToken.
  [[nodiscard]] u32 find(Str piece) const;
  // What a user should know about this tokenizer, for example that the file left something out;
  // empty for most files.
  [[nodiscard]] Str notice() const;
  [[nodiscard]] Str model_name() const;         // "gpt2", "llama", "t5", "bert"
  [[nodiscard]] Str pretokenizer_name() const;  // "smollm", "gpt-2", "default" ...

  struct Impl;  // tokenizer_impl.h

 private:
  friend class Arena;
  explicit Tokenizer(const Impl* impl) : impl_(impl) {}  // made by create() only
  const Impl* impl_ = nullptr;
};

}  // namespace lbm
