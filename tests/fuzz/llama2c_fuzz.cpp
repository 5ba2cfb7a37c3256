// libFuzzer on the models of llama2.c with their tokenizers: u32 size of the model, the model, the
// tokenizer.
#include "tests/fuzz/read_model.h"
#include "tests/hosted/memory_source.h"

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  using namespace lbm;
  if (size < 4 || size > fuzz::kMaxInput) return 0;
  u32 n_model = 0;
  for (u32 i = 0; i < 4; ++i) n_model |= u32{data[i]} << (8 * i);
  const Span<const u8> rest(data + 4, size - 4);
  const usize n = n_model < rest.size() ? n_model : rest.size();
  test::ViewSource model(rest.first(n));
  test::ViewSource tokenizer(rest.from(n));
  OpenOptions options;
  options.tokenizer = &tokenizer;
  fuzz::try_model(model, size, options);
  return 0;
}
