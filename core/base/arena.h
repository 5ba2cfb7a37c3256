// Arena: memory of one lifetime, taken from front to back and given back all at once.
//
// On bare metal RAM has holes, so an arena may own several page ranges; no allocation straddles two
// of them. Lifetimes nest: model > session > turn. A turn marks, takes and rewinds. After seal()
// every further allocation is a broken invariant, which is how the tests prove that decoding
// allocates nothing.
#pragma once

#include "core/base/arith.h"
#include "core/base/check.h"
#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm {

class Arena {
 public:
  static constexpr u32 kMaxRanges = 64;
  static constexpr usize kDefaultAlignment = 64;  // a cache line, and the widest vector

  Arena() = default;
  explicit Arena(Span<u8> range) { add_range(range); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Adds memory that outlives the arena. Ranges beyond kMaxRanges are ignored (false).
  bool add_range(Span<u8> range);

  // `bytes` bytes, zeroed, in one range, first fit.
  // Errors: kOutOfMemory  no range has that much left; nothing changes. `what` names the purpose in
  // the message.
  [[nodiscard]] Result<Span<u8>> take_bytes(u64 bytes, const char* what,
                                            usize alignment = kDefaultAlignment);

  // The same without clearing, for what is overwritten at once (weights).
  [[nodiscard]] Result<Span<u8>> take_raw(u64 bytes, const char* what,
                                          usize alignment = kDefaultAlignment);

  // `n` zeroed elements. T must be trivially copyable and have all-zero bytes as a valid value.
  template <class T>
  [[nodiscard]] Result<Span<T>> take(u64 n, const char* what) {
    static_assert(__is_trivially_copyable(T));
    u64 bytes = 0;
    if (!checked_mul(n, sizeof(T), bytes)) return fail(ErrorCode::kOverflow, what).with(n);
    Result<Span<u8>> raw = take_bytes(bytes, what);
    if (!raw.ok()) return raw.error();
    return Span<T>(reinterpret_cast<T*>(raw.value().data()), static_cast<usize>(n));
  }

  // Copies `text` into the arena.
  [[nodiscard]] Result<Str> take_text(Str text, const char* what);

  // One object, constructed in place; its destructor never runs.
  template <class T, class... Args>
  [[nodiscard]] Result<T*> make(const char* what, Args&&... args) {
    Result<Span<u8>> raw = take_bytes(
        sizeof(T), what, alignof(T) > kDefaultAlignment ? alignof(T) : kDefaultAlignment);
    if (!raw.ok()) return raw.error();
    return new (PlaceAt{raw.value().data()}) T(lbm::forward<Args>(args)...);
  }

  // Enlarges the newest allocation `last` in place.
  // Errors: kOutOfMemory  the range is full; nothing changes. `last` must be the newest allocation.
  [[nodiscard]] Result<Span<u8>> grow(Span<u8> last, u64 new_bytes, const char* what);

  struct Mark {
    usize used[kMaxRanges];
  };
  [[nodiscard]] Mark mark() const;
  // Gives back everything that was taken after `mark`.
  void rewind(const Mark& mark);
  void reset();
  // Forgets its ranges; whoever added them may give them back.
  void drop_ranges() { n_range_ = 0; }

  void seal() { sealed_ = true; }
  void unseal() { sealed_ = false; }

  [[nodiscard]] u64 bytes_used() const;
  [[nodiscard]] u64 bytes_capacity() const;
  [[nodiscard]] u64 bytes_free() const { return bytes_capacity() - bytes_used(); }
  // The largest single allocation that would still succeed.
  [[nodiscard]] u64 largest_free() const;

 private:
  struct Range {
    u8* base = nullptr;
    usize size = 0;
    usize used = 0;
  };
  Range ranges_[kMaxRanges];
  u32 n_range_ = 0;
  bool sealed_ = false;
};

}  // namespace lbm
