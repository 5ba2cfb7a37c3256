// The element types of GGUF, with their sizes. Ids are those of the file format.
#pragma once

#include "core/base/types.h"

namespace lbm {

enum class DType : u8 {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};
inline constexpr u32 kDTypeLimit = 43;  // one past the largest id

struct DTypeTraits {
  const char* name = nullptr;  // nullptr: no such id, or one that was removed from the format
  u32 block_size = 0;          // elements per block
  u32 block_bytes = 0;
  bool is_weight = false;  // may be the type of a matrix that this build runs
};

[[nodiscard]] constexpr DTypeTraits dtype_traits(DType type) {
  switch (type) {
    case DType::kF32: return {"F32", 1, 4, true};
    case DType::kF16: return {"F16", 1, 2, true};
    case DType::kBF16: return {"BF16", 1, 2, true};
    case DType::kQ4_0: return {"Q4_0", 32, 18, true};
    case DType::kQ4_1: return {"Q4_1", 32, 20, true};
    case DType::kQ5_0: return {"Q5_0", 32, 22, true};
    case DType::kQ5_1: return {"Q5_1", 32, 24, true};
    case DType::kQ8_0: return {"Q8_0", 32, 34, true};
    case DType::kQ8_1: return {"Q8_1", 32, 36, false};
    case DType::kQ2_K: return {"Q2_K", 256, 84, true};
    case DType::kQ3_K: return {"Q3_K", 256, 110, true};
    case DType::kQ4_K: return {"Q4_K", 256, 144, true};
    case DType::kQ5_K: return {"Q5_K", 256, 176, true};
    case DType::kQ6_K: return {"Q6_K", 256, 210, true};
    case DType::kQ8_K: return {"Q8_K", 256, 292, false};
    case DType::kIQ2_XXS: return {"IQ2_XXS", 256, 66, true};
    case DType::kIQ2_XS: return {"IQ2_XS", 256, 74, true};
    case DType::kIQ3_XXS: return {"IQ3_XXS", 256, 98, true};
    case DType::kIQ1_S: return {"IQ1_S", 256, 50, true};
    case DType::kIQ4_NL: return {"IQ4_NL", 32, 18, true};
    case DType::kIQ3_S: return {"IQ3_S", 256, 110, true};
    case DType::kIQ2_S: return {"IQ2_S", 256, 82, true};
    case DType::kIQ4_XS: return {"IQ4_XS", 256, 136, true};
    case DType::kI8: return {"I8", 1, 1, false};
    case DType::kI16: return {"I16", 1, 2, false};
    case DType::kI32: return {"I32", 1, 4, false};
    case DType::kI64: return {"I64", 1, 8, false};
    case DType::kF64: return {"F64", 1, 8, false};
    case DType::kIQ1_M: return {"IQ1_M", 256, 56, true};
    case DType::kTQ1_0: return {"TQ1_0", 256, 54, true};
    case DType::kTQ2_0: return {"TQ2_0", 256, 66, true};
    case DType::kMXFP4: return {"MXFP4", 32, 17, true};
    case DType::kNVFP4: return {"NVFP4", 64, 36, true};
    case DType::kQ1_0: return {"Q1_0", 128, 18, true};
    case DType::kQ2_0: return {"Q2_0", 64, 18, true};
  }
  return {};
}

}  // namespace lbm
