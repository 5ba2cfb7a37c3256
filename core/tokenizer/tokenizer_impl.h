// What a Tokenizer holds once its file was checked. Read-only from then on: encoding keeps its
// state in an Encoder.
#pragma once

#include "core/tokenizer/byte_pairs.h"
#include "core/tokenizer/pretokenizer.h"
#include "core/tokenizer/special_tokens.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/vocab.h"

namespace lbm {

struct Tokenizer::Impl {
  enum class Kind : u8 { kBytePairs, kSentencePiece };

  // Reads everything from `file`. Errors: those of Tokenizer::create().
  [[nodiscard]] Status load(Arena& arena, const ModelFile& file);

  // Whether text may become the token by merging: it is no control token and no stand-in for a
  // byte.
  [[nodiscard]] bool is_mergeable(u32 id) const {
    return id != kNoToken && !vocab.is_restricted(id) && vocab.type(id) != TokenType::kByte;
  }

  Kind kind = Kind::kBytePairs;
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;  // SentencePiece: text starts with a space
  bool has_all_bytes = false;     // byte_tokens has no kNoToken
  Str model_name;
  Vocab vocab;
  const Pretokenizer* pretokenizer = nullptr;  // byte-level BPE only
  BytePairs pairs;                             // byte-level BPE only
  SpecialTokens specials;
  u32 byte_tokens[256] = {};
  u32 replacement_token =
      kNoToken;  // byte-level BPE: U+FFFD as one token, for malformed bytes that have none

 private:
  [[nodiscard]] Status load_kind(const ModelFile& file);
  [[nodiscard]] Status load_flags(const ModelFile& file);
  [[nodiscard]] Status load_byte_tokens();
  void load_byte_level_tokens();
  [[nodiscard]] Status load_fallback_tokens();
};

}  // namespace lbm
