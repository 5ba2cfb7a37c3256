// See machine.h.
#include "web/machine.h"

#include "core/base/fmt.h"
#include "kernels/cpu_features.h"
#include "kernels/select.h"

namespace lbm::web {
namespace {

constinit LinearMemory g_memory;
constinit SharedWorkers g_workers;
constinit KernelTable g_kernels = {};
constinit u32 g_table = 0;
constinit Engine* g_engine = nullptr;
alignas(Engine) constinit u8 g_engine_bytes[sizeof(Engine)] = {};

constinit char g_message[1024] = {};  // ends with a zero
constinit u32 g_code = 0;

}  // namespace

Status MemorySource::read(u64 offset, Span<u8> out) {
  if (offset > size() || out.size() > size() - offset)
    return fail(ErrorCode::kTruncated, "the file ends before this").at(offset);
  __builtin_memcpy(out.data(), bytes_.data() + static_cast<usize>(offset), out.size());
  return {};
}

LinearMemory& memory() { return g_memory; }
SharedWorkers& workers() { return g_workers; }

u32 usable_tables(const KernelTable* (&tables)[8]) {
  return usable_kernel_tables(detect_cpu_features(), tables);
}

Engine* engine() { return g_engine; }
bool has_model() { return g_engine != nullptr && g_engine->loaded(); }

void drop_engine() {
  if (g_engine != nullptr) g_engine->~Engine();
  g_engine = nullptr;
}

Status use_table(u32 index) {
  const KernelTable* tables[8];
  const u32 n_table = usable_tables(tables);
  if (index >= n_table)
    return fail(ErrorCode::kInvalidArgument, "there is no such kernel table").with(index, n_table);
  if (g_engine != nullptr && g_table == index) return {};
  drop_engine();
  g_table = index;
  g_kernels = *tables[index];
  g_engine = new (PlaceAt{g_engine_bytes}) Engine(g_memory, g_workers, g_kernels);
  return {};
}

u32 report(const Status& status) {
  __builtin_memset(g_message, 0, sizeof(g_message));
  g_code = static_cast<u32>(status.error().code);
  if (status.ok()) return 0;
  char text[sizeof(g_message) / 2];
  TextWriter({g_message, sizeof(g_message) - 1}).append(format_error(status.error(), text));
  return g_code;
}

const char* last_message() { return g_message; }
u32 last_code() { return g_code; }

}  // namespace lbm::web
