#include "core/model/families.h"

namespace lbm {
namespace {

constexpr Family kFamilies[] = {
    {"llama", RopeLayout::kNeighbours},
};

}  // namespace

const Family* find_family(Str architecture) {
  for (const Family& family : kFamilies) {
    if (Str(family.architecture) == architecture) return &family;
  }
  return nullptr;
}

Str supported_architectures() { return "llama"; }

}  // namespace lbm
