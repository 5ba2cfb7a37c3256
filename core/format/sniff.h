// What a file is, by its first bytes. Its name is never asked: people rename files, and a wrong
// extension is no reason to refuse one.
#pragma once

#include "core/base/error.h"
#include "core/base/span.h"

namespace lbm {

enum class FileKind : u8 {
  kGguf,
  kSlm,
  kLlama2c,        // with the magic "ak42": versions 1 and 2
  kLlama2cLegacy,  // no magic: recognised by its seven numbers
  kTokenizerBin,   // the tokenizer of a llama2.c model
  kSafetensors,
  kZip,     // PyTorch checkpoints are zip archives
  kPickle,  // and were pickles before
  kGzip,
  kOldGgml,
  kLoraAdapter,
  kClif,
  kScxm,
  kJson,
  kWebPage,
  kLfsPointer,
  kTooShort,  // fewer than 4 bytes
  kUnknown,
};

inline constexpr usize kSniffBytes = 32;

// `head` is the start of the file: kSniffBytes, or all of a shorter one.
[[nodiscard]] FileKind sniff(Span<const u8> head, u64 file_size);

// "GGUF", "safetensors" ...
[[nodiscard]] Str file_kind_name(FileKind kind);

// Why a file of this kind can not be opened as a model, and what helps. For kUnknown the first
// bytes stand in the message. `kind` is none of those that can.
[[nodiscard]] Error refuse_kind(FileKind kind, Span<const u8> head, u64 file_size);

}  // namespace lbm
