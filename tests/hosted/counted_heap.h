// What a piece of code takes from the heap: operator new of the test program counts.
#pragma once

#include "core/base/types.h"

namespace lbm::test {

class HeapUse {
 public:
  HeapUse();
  // The most that was taken at once since then, beyond what was taken before; as malloc rounds it.
  [[nodiscard]] u64 peak() const;

 private:
  u64 before_;
};

}  // namespace lbm::test
