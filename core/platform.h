// The five things the core asks of the world, named files, and places where records are kept. Hosts
// implement them; the core never names a host.
//
// All are abstract, passed by reference, never owned and never deleted through the base.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// Random access to the bytes of one file, download or buffer. A file may have neighbours: the other
// parts of a split model, the tokenizer of a llama2.c model.
class ByteSource {
 public:
  [[nodiscard]] virtual u64 size() const = 0;
  // Fills `out` with the bytes at `offset`. Loops over short reads itself.
  // Errors: kTruncated  the source ends before `out` is full.
  //         kIo         the device failed.
  //         kCancelled  the user stopped the load.
  [[nodiscard]] virtual Status read(u64 offset, Span<u8> out) = 0;
  // True where several cores may call read() at the same time, and gain by it.
  [[nodiscard]] virtual bool concurrent() const { return false; }
  // The name of the file without its folders, as the volume spells it; empty for what has none.
  [[nodiscard]] virtual Str name() const { return {}; }
  // Opens the file called `neighbour` of the same folder. It stays open as long as this source.
  // Errors: kNotFound  there is none, or this source has no neighbours.   kIo.
  //         kLimit     too many files are open.
  [[nodiscard]] virtual Result<ByteSource*> open_beside(Str neighbour) {
    return fail(ErrorCode::kNotFound, "no such file beside it").about(neighbour);
  }

 protected:
  ~ByteSource() = default;
};

// Keys that are not text. kChar carries a Unicode code point in KeyEvent::codepoint.
enum class Key : u8 {
  kNone,
  kChar,
  kEnter,
  kBackspace,
  kDelete,
  kTab,
  kEscape,
  kLeft,
  kRight,
  kUp,
  kDown,
  kHome,
  kEnd,
  kPageUp,
  kPageDown,
  kCtrl,  // codepoint is the letter, 'a'..'z'
  kF1,
  kF2,
  kF3,
  kF4,
  kF5,
  kF6,
  kF7,
  kF8,
  kF9,
  kF10,
};

struct KeyEvent {
  Key key = Key::kNone;
  u32 codepoint = 0;
};

// What a status bar shows. Texts are valid during the call only.
struct ConsoleStatus {
  Str model;           // empty: none is loaded
  u32 n_ctx_used = 0;  // tokens
  u32 n_ctx = 0;
  f64 tok_s = 0;       // of the last or the running answer; 0: none yet
  u64 bytes_free = 0;  // memory
  Str clock;           // "2025-06-15T12:34:56", or empty
  Str activity;        // "loading", "reading", "answering", or empty: waits for the user
};

class Console {
 public:
  // Shows UTF-8 text. '\n' ends a line; a small set of SGR escapes written by the core itself is
  // understood or dropped.
  virtual void write(Str utf8) = 0;
  // The next key, or Key::kNone at once when there is none.
  [[nodiscard]] virtual KeyEvent poll_key() = 0;
  // The next key; waits. Key::kNone means the input has ended.
  [[nodiscard]] virtual KeyEvent wait_key() = 0;
  // Columns of the screen, at least 20, and its rows of text.
  [[nodiscard]] virtual u32 n_column() const = 0;
  [[nodiscard]] virtual u32 n_row() const { return 24; }
  // Brings the status bar up to date, where the console has one. Cheap when nothing changed.
  virtual void show_status(const ConsoleStatus& status) { static_cast<void>(status); }
  // True once after each Esc or Ctrl-C that arrived during long work; other keys typed meanwhile
  // are kept for wait_key.
  [[nodiscard]] virtual bool take_interrupt() = 0;

 protected:
  ~Console() = default;
};

class Clock {
 public:
  // Microseconds from an arbitrary start; never goes back.
  [[nodiscard]] virtual u64 now_us() = 0;

 protected:
  ~Clock() = default;
};

// Whole pages of memory, for arenas.
class Pages {
 public:
  // A range of at least `bytes` bytes, page aligned, not cleared.
  // Errors: kOutOfMemory  no single range is that large.
  [[nodiscard]] virtual Result<Span<u8>> take(u64 bytes, const char* what) = 0;
  virtual void give_back(Span<u8> range) = 0;
  [[nodiscard]] virtual u64 bytes_free() const = 0;
  [[nodiscard]] virtual u64 largest_free() const = 0;

 protected:
  ~Pages() = default;
};

// Runs the tasks 0..n_task-1 of one job, on as many cores as the host has. Results never depend on
// who ran what.
class Workers {
 public:
  using Task = void (*)(void* job, u32 task);
  // Number of cores that take part, at least 1.
  [[nodiscard]] virtual u32 n_worker() const = 0;
  // Returns when every task has run.
  virtual void run(Task task, void* job, u32 n_task) = 0;

 protected:
  ~Workers() = default;
};

// The trivial Workers: everything on the calling core.
class SingleWorker final : public Workers {
 public:
  [[nodiscard]] u32 n_worker() const override { return 1; }
  void run(Task task, void* job, u32 n_task) override {
    for (u32 i = 0; i < n_task; ++i) task(job, i);
  }
};

// A file of a volume as /models lists it.
struct FileEntry {
  static constexpr u32 kMaxPath = 255;
  char path[kMaxPath + 1] = {};  // UTF-8, '/' between folders, relative to the volume's root
  u32 path_size = 0;
  u64 size_bytes = 0;
  u32 volume = 0;  // 0 is the volume the program came from

  [[nodiscard]] Str name() const { return {path, path_size}; }
};

// Named files. One file is open for reading at a time per OpenFile slot of the host.
class Volume {
 public:
  // Fills `out` with the model files (.gguf, .bin, .slm) of the root and of models/, of every
  // volume; returns how many.
  [[nodiscard]] virtual u32 list_models(Span<FileEntry> out) = 0;
  // Opens a file for reading; the source stays valid until close() or until the host ends.
  // Errors: kNotFound, kIo.
  [[nodiscard]] virtual Result<ByteSource*> open(u32 volume, Str path) = 0;
  virtual void close(ByteSource* source) = 0;

 protected:
  ~Volume() = default;
};

// Told how far a long work is.
class ProgressObserver {
 public:
  // `n_done` of `n_total` bytes are done. Returning false stops the work.
  virtual bool on_progress(u64 n_done, u64 n_total) = 0;

 protected:
  ~ProgressObserver() = default;
};

// The files behind records that must survive a power cut (core/state): for each name two slots,
// files of one fixed size that were allocated once, so that writing into them moves nothing else on
// the medium. This is the only thing that the program writes without being asked to.
class SlotFiles {
 public:
  static constexpr u32 kSlots = 2;
  static constexpr u32 kMaxName =
      8;  // of A-Z, 0-9, '-' and '_' (is_record_name(), core/state/record.h)
  struct Entry {
    char name[kMaxName + 1] = {};
    u32 name_size = 0;
    u64 slot_bytes = 0;

    [[nodiscard]] Str text() const { return {name, name_size}; }
  };

  // Why nothing can be written, in a sentence for the user; empty: it can.
  [[nodiscard]] virtual Str why_read_only() const = 0;
  // Fills `out` with the records whose name begins with `prefix`, in order of their names; returns
  // how many there are (it may be more than fit).
  [[nodiscard]] virtual u32 list(Str prefix, Span<Entry> out) = 0;
  // Bytes of each slot of `name`.
  // Errors: kNotFound, kIo.
  [[nodiscard]] virtual Result<u64> slot_bytes(Str name) = 0;
  // Errors: kNotFound, kTruncated, kIo.
  [[nodiscard]] virtual Status read(Str name, u32 slot, u64 offset, Span<u8> out) = 0;
  // Overwrites bytes of one slot; on return the medium has them (flushed, closed).
  // Errors: kNotFound, kReadOnly, kLimit (beyond the slot), kIo.
  [[nodiscard]] virtual Status write(Str name, u32 slot, u64 offset, Span<const u8> bytes) = 0;
  // Sees to it that both slots of a record are there with `bytes` or more. What is missing is
  // zeros; what an earlier call that was cut short has left is gone on with. `progress` is told
  // where this takes long, and may be null. Errors: kReadOnly, kLimit (no room; or this size can
  // not be had here), kCancelled, kIo.
  [[nodiscard]] virtual Status reserve(Str name, u64 bytes, ProgressObserver* progress) = 0;

 protected:
  ~SlotFiles() = default;
};

}  // namespace lbm
