// libFuzzer on the other files that are handed around: manifests, CLIF-1, SCXM. The first byte
// chooses.
#include <string>

#include "tests/hosted/memory_source.h"
#include "tools/clif.h"
#include "tools/manifest.h"
#include "tools/scxm.h"

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  using namespace lbm;
  if (size == 0) return 0;
  test::ViewSource source({data + 1, size - 1});
  switch (data[0] % 3) {
    case 0: (void)cli::read_clif(source); break;
    case 1: (void)cli::read_scxm(source); break;
    default:
      try {
        (void)cli::parse_manifest({reinterpret_cast<const char*>(data) + 1, size - 1}, "m.json");
      } catch (const cli::CommandError&) {
        // The only way in which it may say no.
      }
  }
  return 0;
}
