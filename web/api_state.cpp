// See api_state.h.
#include "web/api_state.h"

namespace lbm::web {
namespace {

constinit Buffers g_buffers;
constinit ChatDesk* g_desk = nullptr;
alignas(ChatDesk) constinit u8 g_desk_bytes[sizeof(ChatDesk)] = {};
constinit ModelLoad* g_load = nullptr;
alignas(ModelLoad) constinit u8 g_load_bytes[sizeof(ModelLoad)] = {};

}  // namespace

Buffers& buffers() { return g_buffers; }

ChatDesk& desk() {
  if (g_desk == nullptr) g_desk = new (PlaceAt{g_desk_bytes}) ChatDesk;
  return *g_desk;
}

ModelLoad& model_load() {
  if (g_load == nullptr) g_load = new (PlaceAt{g_load_bytes}) ModelLoad(desk());
  return *g_load;
}

Status no_model() {
  return fail(ErrorCode::kInvalidArgument, "no model is loaded; load one first");
}

i32 count_or_error(const Result<u32>& n) {
  if (n.ok()) {
    static_cast<void>(report({}));
    return static_cast<i32>(n.value());
  }
  return kFirstError - static_cast<i32>(report(n.error()));
}

}  // namespace lbm::web
