// The hostile corpus in WebAssembly: 32-bit sizes, the same codes. tests/node/hostile_test.mjs puts
// the pack into memory.
#include "core/base/fmt.h"
#include "tests/format/gguf_builder.h"
#include "tests/hostile/pack.h"
#include "web/export.h"
#include "web/memory.h"

namespace lbm::test {
namespace {

constexpr u64 kArenaBytes = 64 * kMiB;
constinit web::LinearMemory g_pages;
constinit char g_report[4096] = {};  // ends with a zero
constinit usize g_report_size = 0;

void keep(Str line) {
  TextWriter text({g_report + g_report_size, sizeof(g_report) - 1 - g_report_size});
  text.append(line);
  g_report_size += text.text().size();
}

}  // namespace

// Room for a pack of `n_byte` bytes, or null.
LBM_EXPORT(hostile_room) u8* hostile_room(u32 n_byte) {
  const Result<Span<u8>> room = g_pages.take(n_byte, "pack");
  return room.ok() ? room.value().data() : nullptr;
}

// How many of its files are not as they should be; the highest number where nothing could be tried.
// hostile_report() says which, and hostile_n_file() how many there are.
constinit u32 g_n_file = 0;
LBM_EXPORT(hostile_replay) u32 hostile_replay(const u8* pack, u32 n_byte) {
  const Result<Span<u8>> memory = g_pages.take(kArenaBytes, "arena");
  if (!memory.ok()) return ~0u;
  Arena arena{memory.value()};
  BufferSource source({pack, n_byte});
  const Result<PackResult> result = replay_pack(source, arena, g_pages, keep);
  if (!result.ok()) return ~0u;
  g_n_file = result.value().n_file;
  return result.value().n_wrong;
}
LBM_EXPORT(hostile_n_file) u32 hostile_n_file() { return g_n_file; }
LBM_EXPORT(hostile_report) const char* hostile_report() { return g_report; }

}  // namespace lbm::test
