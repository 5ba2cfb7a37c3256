// What a Tokenizer holds once its file was checked. Read-only from then on: encoding keeps its
// state in an Encoder.
#pragma once

#include "core/tokenizer/byte_pairs.h"
#include "core/tokenizer/charsmap.h"
#include "core/tokenizer/piece_index.h"
#include "core/tokenizer/pretokenizer.h"
#include "core/tokenizer/special_tokens.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/unigram.h"
#include "core/tokenizer/vocab.h"
#include "core/tokenizer/word_piece.h"

namespace lbm {

struct Tokenizer::Impl {
  enum class Kind : u8 { kBytePairs, kSentencePiece, kUnigram, kWordPiece };
  // Whether text, and what follows a special token, begins with a space that is not in it: never;
  // always; where it begins with none itself; the same, but only at the very start.
  enum class SpacePrefix : u8 { kNever, kAlways, kMissing, kFirst };

  // Reads everything from `file`. Errors: those of Tokenizer::create().
  [[nodiscard]] Status load(Arena& arena, const ModelFile& file);

  // Whether text may become the token by merging: it is no control token and no stand-in for a
  // byte.
  [[nodiscard]] bool is_mergeable(u32 id) const {
    return id != kNoToken && !vocab.is_restricted(id) && vocab.type(id) != TokenType::kByte;
  }

  // Spaces are U+2581 in pieces, and bytes that nothing spells are tokens <0x00> to <0xFF>.
  [[nodiscard]] bool escapes_spaces() const {
    return kind != Kind::kBytePairs || !pretokenizer->byte_level;
  }
  // Bytes that one byte of text may be made of when pieces are looked for.
  [[nodiscard]] u64 growth() const;

  Kind kind = Kind::kBytePairs;
  bool add_bos = false;
  bool add_eos = false;
  SpacePrefix space_prefix = SpacePrefix::kNever;
  bool merge_spaces = false;       // unigram: runs of spaces are one, those at the ends none
  bool split_words = false;        // unigram: no piece goes on over a space
  bool split_white_space = false;  // unigram: all white space is a space
  bool byte_fallback = false;      // unigram: what no piece spells is bytes
  bool ignore_merges = false;      // BPE: a word that is a vocabulary entry is that token
  bool trims_unicode = false;      // beside special tokens: all white space, not that of C only
  bool clean_spaces = false;       // decoding drops the spaces before punctuation
  bool normalize = false;          // text is brought into normalization form C first
  bool has_all_bytes = false;      // byte_tokens has no kNoToken
  Str model_name;
  Str notice;
  Vocab vocab;
  const Pretokenizer* pretokenizer = nullptr;  // BPE only
  BytePairs pairs;                             // BPE only
  PieceIndex index;                            // unigram and WordPiece only
  Charsmap charsmap;                           // unigram only
  f64 unknown_score = 0;                       // unigram only
  WordRules word_rules;                        // WordPiece only
  SpecialTokens specials;
  u32 byte_tokens[256] = {};
  u32 replacement_token =
      kNoToken;  // byte-level BPE: U+FFFD as one token, for malformed bytes that have none

 private:
  [[nodiscard]] Status load_kind(const ModelFile& file);
  [[nodiscard]] Status load_pretokenizer(const ModelFile& file);
  [[nodiscard]] Status load_flags(const ModelFile& file);
  [[nodiscard]] Status load_space_prefix(const ModelFile& file);
  [[nodiscard]] Status load_normalizer(const ModelFile& file);
  [[nodiscard]] Status check_ids() const;
  [[nodiscard]] Status load_trimming(const ModelFile& file);
  [[nodiscard]] Status load_pieces(Arena& arena, const ModelFile& file);
  [[nodiscard]] Status load_byte_tokens();
  void load_byte_level_tokens();
  [[nodiscard]] Status load_fallback_tokens();
};

}  // namespace lbm
