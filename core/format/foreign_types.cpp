#include "core/format/foreign_types.h"

namespace lbm {
namespace {

const char* removed_type(u32 id) {
  switch (id) {
    case 4: return "Q4_2";
    case 5: return "Q4_3";
    case 31: return "Q4_0_4_4";
    case 32: return "Q4_0_4_8";
    case 33: return "Q4_0_8_8";
    case 36: return "IQ4_NL_4_4";  // I2_S in files of BitNet
    case 37: return "IQ4_NL_4_8";
    case 38: return "IQ4_NL_8_8";
    default: return nullptr;
  }
}

const char* ik_type(u32 id) {
  switch (id) {
    case 97: return "Q8_0_X4";
    case 98: return "Q8_1_X4";
    case 99: return "Q8_2_X4";
    case 133: return "Q6_0";
    case 134: return "IQ1_BN";
    case 135: return "IQ2_BN";
    case 136: return "Q8_K64";
    case 137: return "IQ2_K";
    case 138: return "IQ3_K";
    case 139: return "IQ4_K";
    case 140: return "IQ5_K";
    case 141: return "IQ6_K";
    case 142: return "IQ2_TN";
    case 143: return "IQ1_TN";
    case 144: return "IQ4_KS";
    case 145: return "IQ2_KS";
    case 146: return "IQ4_KSS";
    case 147: return "Q8_K16";
    case 148: return "Q8_K32";
    case 149: return "Q8_KR8";
    case 150: return "Q8_K128";
    case 151: return "Q8_KV";
    case 152: return "IQ5_KS";
    case 153: return "IQ2_KT";
    case 154: return "IQ3_KT";
    case 155: return "IQ4_KT";
    case 156: return "IQ3_KS";
    case 157: return "IQ2_KL";
    case 158: return "IQ1_KT";
    case 202: return "Q4_0_R8";
    case 206: return "Q5_0_R4";
    case 208: return "Q8_0_R8";
    case 210: return "Q2_K_R4";
    case 211: return "Q3_K_R4";
    case 212: return "Q4_K_R4";
    case 213: return "Q5_K_R4";
    case 214: return "Q6_K_R4";
    case 216: return "IQ2_XXS_R4";
    case 217: return "IQ2_XS_R4";
    case 218: return "IQ3_XXS_R4";
    case 219: return "IQ1_S_R4";
    case 220: return "IQ4_NL_R4";
    case 221: return "IQ3_S_R4";
    case 222: return "IQ2_S_R4";
    case 223: return "IQ4_XS_R8";
    case 229: return "IQ1_M_R4";
    case 230: return "BF16_R16";
    case 233: return "Q6_0_R4";
    case 335: return "IQ2_BN_R4";
    case 337: return "IQ2_K_R4";
    case 338: return "IQ3_K_R4";
    case 339: return "IQ4_K_R4";
    case 340: return "IQ5_K_R4";
    case 344: return "IQ4_KS_R4";
    case 352: return "IQ5_KS_R4";
    case 353: return "MXFP4_R8";
    case 397: return "Q8_K_R16";
    case 398: return "Q8_KV_R8";
    case 399: return "Q8_K_R8";
    default: return nullptr;
  }
}

}  // namespace

ForeignType foreign_type(u32 id) {
  if (const char* name = removed_type(id); name != nullptr) {
    return {name,
            "tensor type was removed from the format; quantize the original model again, as Q4_0 "
            "or IQ4_NL; type"};
  }
  if (const char* name = ik_type(id); name != nullptr) {
    return {name,
            "tensor type of ik_llama.cpp only; take a file made for llama.cpp, or quantize the "
            "original model for it, as Q4_K_M; type"};
  }
  return {nullptr,
          "unknown tensor type, of a fork or newer than this build; take a file made for "
          "llama.cpp; type"};
}

}  // namespace lbm
