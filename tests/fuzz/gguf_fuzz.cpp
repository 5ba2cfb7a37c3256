// libFuzzer on everything that reads a GGUF file before its weights: container, configuration,
// vocabulary, tensor names (read_model.h).
#include "tests/fuzz/read_model.h"
#include "tests/hosted/memory_source.h"

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  using namespace lbm;
  if (size > fuzz::kMaxInput) return 0;
  test::ViewSource source({data, size});
  fuzz::try_model(source, size);
  return 0;
}
