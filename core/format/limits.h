// Every limit that a model file is held to, once.
//
// They are generous to real models (the largest vocabularies have 262,144 pieces and 10 MiB of
// metadata) and tight enough that a hostile file can neither exhaust memory nor time. Two kinds of
// refusal follow from them, and docs/formats/gguf.md keeps them apart: a number beyond a limit of
// this file is [limit]; one within it that the bytes of the file can not hold is [truncated], which
// is what a broken download looks like.
#pragma once

#include "core/base/types.h"

namespace lbm {

// The container.
constexpr u64 kMaxMetadataBytes = 64 * kMiB;  // byte 0 to the end of the tensor table; fits u32
constexpr u64 kMaxMetaCount = 65536;
constexpr u64 kMaxTensorCount = 65536;
constexpr u64 kMaxKeyBytes = 65535;
constexpr u64 kMaxStringBytes = 1 * kMiB;
constexpr u64 kMaxTemplateBytes = 256 * kKiB;  // tokenizer.chat_template and its named variants
constexpr u64 kMaxTensorNameBytes = 63;
constexpr u32 kMaxDims = 4;
constexpr u64 kMaxDim = u64{1} << 40;
constexpr u64 kMaxAlignment = 65536;
constexpr u64 kDefaultAlignment = 32;
constexpr u64 kMaxParts = 64;  // files of one model

// The model in it; read_config() and Tokenizer::create() apply these.
constexpr u64 kMaxVocabulary = 1048576;
constexpr u64 kMaxLayers = 1024;
constexpr u64 kMaxContext = 1048576;
constexpr u64 kMaxMergesPerPiece = 4;

}  // namespace lbm
