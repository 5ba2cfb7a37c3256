// What the C functions of api.cpp and api_tokens.cpp work on: the buffers of JavaScript, the desk
// where answers are made, and the load that is on its way.
#pragma once

#include "web/buffers.h"
#include "web/chat_desk.h"
#include "web/model_load.h"

namespace lbm::web {

// Functions that return a count or a token return minus an ErrorCode below this.
inline constexpr i32 kFirstError = -100;

[[nodiscard]] Buffers& buffers();
[[nodiscard]] ChatDesk& desk();
[[nodiscard]] ModelLoad& model_load();

[[nodiscard]] Status no_model();
// A copy of the record at `at`, out of a buffer.
template <class T>
[[nodiscard]] Result<T> record_at(const u8* at) {
  const Result<Span<const u8>> bytes = buffers().bytes(at, sizeof(T));
  if (!bytes.ok()) return bytes.error();
  T record;
  __builtin_memcpy(static_cast<void*>(&record), bytes.value().data(), sizeof(record));
  return record;
}
// Reports, and returns the count or what stands for the error.
[[nodiscard]] i32 count_or_error(const Result<u32>& n);

}  // namespace lbm::web
