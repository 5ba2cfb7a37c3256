#include "core/chat/template_budget.h"

namespace lbm {

// Kept out of line: an Error is large, and the interpreter recurses.
bool TemplateBudget::fail(ErrorCode code, const char* what, Str subject, const char* file,
                          u32 line) {
  if (!ok()) return false;
  error_ = lbm::fail(code, what, file, line).about(subject).at(offset_);
  return false;
}

bool TemplateBudget::fail(const Error& error) {
  if (!ok()) return false;
  error_ = error;
  if (error_.offset == Error::kNoOffset) error_.at(offset_);
  return false;
}

bool TemplateBudget::out_of_fuel() {
  fuel_ = 0;
  return fail(ErrorCode::kLimit, "template runs too long: out of steps, line");
}

void* TemplateBudget::take(u64 bytes, usize alignment) {
  Result<Span<u8>> memory = arena_.take_raw(bytes, "chat template", alignment);
  if (memory.ok()) return memory.value().data();
  fail(memory.error());
  return nullptr;
}

bool TemplateBudget::extend(void* last, u64 old_bytes, u64 new_bytes, u64 stamp) {
  if (arena_.bytes_used() != stamp) return false;
  const Span<u8> newest(static_cast<u8*>(last), static_cast<usize>(old_bytes));
  return arena_.grow(newest, new_bytes, "chat template").ok();
}

void TemplateNesting::too_deep() {
  budget_.fail(ErrorCode::kLimit, "template nests too deep, line");
}

}  // namespace lbm
