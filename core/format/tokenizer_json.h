// Hugging Face's tokenizer.json as the metadata of a model without weights: the keys tokenizer.*
// that Tokenizer::create reads, whatever a vocabulary came as.
//
// Read are BPE, Unigram and WordPiece models, added tokens, the normalizers and pre-tokenizers that
// the core has (docs/formats/tokenizer.md lists them), and what the template of the post-processor
// adds. Anything that would change ids and that the core has not is an error that names the place
// in the JSON. What stands in the files beside it (chat template, end tokens) is not looked for.
#pragma once

#include "core/base/json_reader.h"
#include "core/format/header_builder.h"
#include "core/format/tokenizer_json_pieces.h"
#include "core/format/tokenizer_json_rules.h"
#include "core/platform.h"

namespace lbm {

class TokenizerJsonReader {
 public:
  TokenizerJsonReader(ByteSource& source, Arena& arena) : source_(source), arena_(arena) {}

  // Used once. The text and its tree stay in the arena beside the metadata. Leaves the arena as it
  // is on failure; ModelFile::open rewinds it.
  // Errors: those of JsonDocument; kLimit, kMissing, kBadType, kBadValue, kNumeric, kDuplicate,
  // kUnsupported with the place in the JSON ("/model/vocab/17") and its byte.
  [[nodiscard]] Result<ModelFile> read();

 private:
  using Type = TokenizerPieces::Type;
  static constexpr u32 kNone = ~u32{0};

  [[nodiscard]] Status read_text();
  [[nodiscard]] Status read_pieces();
  void read_model_name();
  [[nodiscard]] u32 id_limit() const;
  [[nodiscard]] u32 count_ids(u32 limit) const;
  void read_vocabulary(u32 limit);
  void read_unigram();
  void mark_unknown();
  void read_added_tokens(u32 limit);
  void read_added_token(const JsonValue& token, u32 limit);
  void check_byte_pairs();
  void check_merges();
  void mark_bytes();
  void read_frame();

  void put_keys(HeaderBuilder& out) const;
  void put_model_keys(HeaderBuilder& out) const;
  void put_pieces(HeaderBuilder& out) const;
  void put_piece(HeaderBuilder& out, u32 id) const;
  void put_padding(HeaderBuilder& out, u32 id) const;
  void put_merges(HeaderBuilder& out) const;
  void put_space_keys(HeaderBuilder& out) const;
  void put_trims(HeaderBuilder& out) const;
  void put_ids(HeaderBuilder& out) const;

  ByteSource& source_;
  Arena& arena_;
  Span<char> text_;
  JsonDocument document_;
  JsonValue root_;
  JsonValue json_model_;
  TokenizerModel model_ = TokenizerModel::kBytePairs;
  TokenizerRules rules_;
  TokenizerFrame frame_;
  TokenizerPieces pieces_;
  u32 unknown_ = kNone;
  u32 max_word_chars_ = 100;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
};

}  // namespace lbm
