// Reading tokenizer.model, the vocabulary of SentencePiece: a protocol buffer of which few fields
// matter here.
//
//   ModelProto       1: SentencePiece, repeated   2: TrainerSpec   3: NormalizerSpec
//   SentencePiece    1: piece (text)   2: score (f32)   3: type
//   TrainerSpec      3: model type (1 unigram, 2 BPE)
//   NormalizerSpec   2: precompiled_charsmap   3: add_dummy_prefix   4: remove_extra_whitespaces
// Source: sentencepiece_model.proto of the SentencePiece project.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm::cli {

struct SentencePiece {
  // Ids as GGUF has them too.
  enum Type : u8 {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  std::string text;
  f32 score = 0;
  Type type = kNormal;
};

struct SentencePieceModel {
  std::vector<SentencePiece> pieces;
  bool is_unigram = true;
  std::string charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

// Errors: kTruncated  a field is longer than what holds it; at() is where it starts.
//         kBadType    a field has another wire type than its meaning needs.
//         kBadValue   a number that is no varint of 64 bits, a type that is none, no pieces.
//         kNumeric    a score is not finite.   kLimit  more pieces than a vocabulary may have.
[[nodiscard]] Result<SentencePieceModel> parse_sentencepiece_model(Span<const u8> bytes);

}  // namespace lbm::cli
