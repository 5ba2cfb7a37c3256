// The SMBIOS tables, as firmware writes them and as it should not.
#include "efi/smbios.h"

#include "tests/test.h"

using namespace lbm;
using namespace lbm::efi;

namespace {

// Type 1 with two strings, a memory module of 8 GiB at 3200 MT/s, the end.
const u8 kTable[] = {
    1,    8,    0, 0, 1, 2, 0, 0, 'M', 'a', 'k', 'e',  'r',  0,    'B', 'o', 'x', ' ', '9', 0, 0,
    17,   0x22, 1, 0, 0, 0, 0, 0, 0,   0,   0,   0,    0x00, 0x20, 0,   0,   0,   0,   0,   0, 0,
    0x80, 0x0C, 0, 0, 0, 0, 0, 0, 0,   0,   0,   0x80, 0x0C, 0,    0,   127, 4,   2,   0,   0, 0,
};

}  // namespace

TEST_CASE("smbios: names and memory", "[smbios]") {
  const SmbiosFacts facts = read_smbios(kTable);
  CHECK(facts.maker == "Maker");
  CHECK(facts.product == "Box 9");
  CHECK(facts.bios_vendor.empty());
  CHECK(facts.n_memory_module == 1);
  CHECK(facts.memory_mib == 8192);
  CHECK(facts.memory_mt_s == 3200);
}

TEST_CASE("smbios: a table that ends anywhere, or has any byte wrong, is read as far as it goes",
          "[smbios]") {
  for (usize n = 0; n <= sizeof(kTable); ++n) {
    const SmbiosFacts facts = read_smbios(Span<const u8>(kTable).first(n));
    CHECK((facts.maker.empty() || facts.maker == "Maker"));
  }
  u8 table[sizeof(kTable)];
  for (usize i = 0; i < sizeof(kTable); ++i) {
    __builtin_memcpy(table, kTable, sizeof(kTable));
    for (const u32 value : {0u, 1u, 3u, 0x7Fu, 0xFFu}) {
      table[i] = static_cast<u8>(value);
      const SmbiosFacts facts = read_smbios(table);
      CHECK(facts.n_memory_module <= 8);
    }
  }
  CHECK(read_smbios({}).n_memory_module == 0);
}
