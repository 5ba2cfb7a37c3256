// The hostile corpus on bare metal, read by the firmware from the volume that scripts/qemu.py
// attaches: the same codes at the same offsets as on the host.
#include "core/base/fmt.h"
#include "efi/debug_devices.h"
#include "tests/bare/machine.h"
#include "tests/hostile/pack.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr Str kPack = "hostile.pak";
constexpr u64 kArenaBytes = 64 * kMiB;

FileEntry g_entries[8];

// The pack, on whichever volume has it.
Result<ByteSource*> open_pack() {
  (void)bare::volume().list_models(g_entries);  // looks for volumes that the firmware left out
  for (u32 volume = 0; volume < 8; ++volume) {
    Result<ByteSource*> opened = bare::volume().open(volume, kPack);
    if (opened.ok()) return opened.value();
  }
  return fail(ErrorCode::kNotFound, "no volume has the pack").about(kPack);
}

}  // namespace

TEST_CASE("hostile files are refused on bare metal as on the host", "[efi][hostile]") {
  char text[8];
  if (efi::read_fw_cfg("opt/lbm/hostile", text) == 0) return;  // none is attached
  const Result<ByteSource*> pack = open_pack();
  REQUIRE(pack.ok());
  const Result<Span<u8>> memory = bare::pages().take(kArenaBytes, "hostile files");
  REQUIRE(memory.ok());
  Arena arena{memory.value()};
  const Result<test::PackResult> result = test::replay_pack(
      *pack.value(), arena, bare::pages(), [](Str line) { bare::console().write(line); });
  REQUIRE(result.ok());
  CHECK(result.value().n_file > 300);
  CHECK(result.value().n_wrong == 0);
  CHECK(arena.bytes_used() == 0);
  TextBuffer<64> line;
  line.print("{} hostile files\n", result.value().n_file);
  efi::debug_write(line.text());
  bare::volume().close(pack.value());
  bare::pages().give_back(memory.value());
}
