// libFuzzer on .slm files. Nothing behind the checksum would ever be reached by chance, so all but
// the inputs of odd size get the right one.
#include "core/format/slm.h"
#include "tests/fuzz/read_model.h"
#include "tests/hosted/memory_source.h"

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  using namespace lbm;
  if (size > fuzz::kMaxInput) return 0;
  std::vector<u8> bytes(data, data + size);
  if (size % 2 == 0 && size >= slm::kHeaderBytes) {
    for (u32 i = 0; i < 8; ++i) bytes[slm::kChecksumAt + i] = 0;
    slm::Fnv1a hash;
    hash.update({bytes.data(), bytes.size()});
    for (u32 i = 0; i < 8; ++i)
      bytes[slm::kChecksumAt + i] = static_cast<u8>(hash.value() >> (8 * i));
  }
  test::ViewSource source({bytes.data(), bytes.size()});
  fuzz::try_model(source, size);
  return 0;
}
