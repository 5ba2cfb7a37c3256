// What the functions of a module share: its memory, its threads, the kernels in use, the engine,
// and the last error.
#pragma once

#include "core/chat/engine.h"
#include "web/memory.h"
#include "web/workers.h"

namespace lbm::web {

// The bytes of a file that are in memory already.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(Span<const u8> bytes) : bytes_(bytes) {}

  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  [[nodiscard]] bool concurrent() const override { return true; }

 private:
  Span<const u8> bytes_;
};

// A module imports no clock: times are taken outside.
class NoClock final : public Clock {
 public:
  [[nodiscard]] u64 now_us() override { return 0; }
};

[[nodiscard]] LinearMemory& memory();
[[nodiscard]] SharedWorkers& workers();

[[nodiscard]] u32 usable_tables(const KernelTable* (&tables)[8]);

// The engine; null before the first use_table(), and after drop_engine().
[[nodiscard]] Engine* engine();
[[nodiscard]] bool has_model();
void drop_engine();
// An engine with kernel table `index`; the one there is, where it has that table already. One with
// another table is dropped, with its model.
// Errors: kInvalidArgument  there is no such table.
[[nodiscard]] Status use_table(u32 index);

// Keeps what went wrong, or that nothing did; returns its code.
u32 report(const Status& status);
// Ends with a zero; empty where nothing went wrong.
[[nodiscard]] const char* last_message();
[[nodiscard]] u32 last_code();

}  // namespace lbm::web
