// CLIF-1, the weight container of CSS-LLM: a header of 64 bytes before a payload that nothing
// describes. docs/formats/clif.md
//
// It can be explained and not be run or converted: it has no names, no shapes, no heads, no
// tokenizer. Everything that the header does say is checked.
#pragma once

#include "core/base/sha256.h"
#include "tools/output.h"

#include "core/platform.h"

namespace lbm::cli {

struct ClifHeader {
  static constexpr u32 kBytes = 64;

  u32 n_embd = 0;
  u32 n_layer = 0;
  u32 n_vocab = 0;
  u32 quant_scheme = 0;       // 4: int4
  bool has_checksum = false;  // not all zero
  u8 checksum[32] = {};
  u64 payload_bytes = 0;

  // Of the embedding alone, in int4 without scales: what a payload has at least.
  [[nodiscard]] u64 min_payload_bytes() const { return u64{n_vocab} * n_embd / 2; }
};

// True when `source` begins with "FILC": the magic is a number, stored low byte first.
[[nodiscard]] bool is_clif(ByteSource& source);

// Errors, with the byte offset of the field:
//   kTruncated  shorter than the header.   kBadMagic.   kBadVersion  not 1.
//   kBadValue   a dimension of 0 or beyond reason; reserved bytes that are not 0.
//   kUnsupported  a quantization scheme other than int4 (the numbers are not defined).
[[nodiscard]] Result<ClifHeader> read_clif(ByteSource& source);

// For `lbm inspect`.
[[nodiscard]] Json describe_clif(ByteSource& source, const ClifHeader& header);

// Why there is no conversion: kUnsupported at the payload.
[[nodiscard]] Error clif_import_refusal();

}  // namespace lbm::cli
