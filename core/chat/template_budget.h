// What one render may still spend, and the first thing that went wrong.
//
// The engine has no exceptions, and passing a Result through every step of an interpreter costs
// more than the step. So the parts of the engine share one budget: an operation that fails records
// its error here and returns false, every caller returns false at once, and the border
// (ChatTemplate::parse and render) turns the record into a Result.
#pragma once

#include "core/base/arena.h"
#include "core/base/error.h"

namespace lbm {

class TemplateBudget {
 public:
  TemplateBudget(Arena& arena, u64 fuel, u32 depth, u64 text_bytes)
      : arena_(arena), fuel_(fuel), depth_left_(depth), max_text_bytes_(text_bytes) {}
  TemplateBudget(const TemplateBudget&) = delete;
  TemplateBudget& operator=(const TemplateBudget&) = delete;

  // Records the error unless there is one already. Always false, so that a failing function can
  // return it.
  bool fail(ErrorCode code, const char* what, Str subject = {}, const char* file = __builtin_FILE(),
            u32 line = __builtin_LINE());
  bool fail(const Error& error);

  // Takes `n` steps. False, and kLimit recorded, when the fuel is gone.
  [[nodiscard]] bool spend(u64 n) {
    if (n > fuel_) return out_of_fuel();
    fuel_ -= n;
    return true;
  }
  // The price of touching `n` bytes of text.
  [[nodiscard]] bool spend_bytes(u64 n) { return spend(1 + n / 32); }

  // `bytes` bytes, not cleared; nullptr and kOutOfMemory recorded when the arena is empty.
  [[nodiscard]] void* take(u64 bytes, usize alignment = 8);

  template <class T>
  [[nodiscard]] T* make() {
    void* memory = take(sizeof(T), alignof(T));
    return memory == nullptr ? nullptr : new (PlaceAt{memory}) T();
  }

  // `last` (of `old_bytes`, the newest allocation of the arena) made longer in place; false,
  // nothing recorded, if it is not the newest or there is no room behind it. `stamp` is
  // arena_stamp() from right after it was taken.
  [[nodiscard]] bool extend(void* last, u64 old_bytes, u64 new_bytes, u64 stamp);
  [[nodiscard]] u64 arena_stamp() const { return arena_.bytes_used(); }

  [[nodiscard]] Arena& arena() { return arena_; }
  [[nodiscard]] u64 max_text_bytes() const { return max_text_bytes_; }
  [[nodiscard]] bool ok() const { return error_.code == ErrorCode::kOk; }
  [[nodiscard]] const Error& error() const { return error_; }

  // Byte offset in the template of what is being done; errors carry it.
  void set_offset(u32 offset) { offset_ = offset; }
  [[nodiscard]] u32 offset() const { return offset_; }

 private:
  friend class TemplateNesting;
  bool out_of_fuel();

  Arena& arena_;
  u64 fuel_;
  u32 depth_left_;
  u32 offset_ = 0;
  u64 max_text_bytes_;
  Error error_;
};

// One level of recursion, for the time of a scope:
//   TemplateNesting level(budget);
//   if (!level.ok()) return false;
class TemplateNesting {
 public:
  explicit TemplateNesting(TemplateBudget& budget) : budget_(budget), ok_(budget.depth_left_ > 0) {
    if (ok_) {
      --budget_.depth_left_;
    } else {
      too_deep();
    }
  }
  ~TemplateNesting() {
    if (ok_) ++budget_.depth_left_;
  }
  TemplateNesting(const TemplateNesting&) = delete;
  TemplateNesting& operator=(const TemplateNesting&) = delete;
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  void too_deep();
  TemplateBudget& budget_;
  bool ok_;
};

}  // namespace lbm
