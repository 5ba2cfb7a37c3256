// The records of this program, over whatever keeps them for the host; and the rule about errors:
// the first write that fails is the last. From then on everything is read and nothing written, and
// the user is told once (docs/state.md).
//
//   SETTINGS         what /save settings kept, and which model was loaded last
//   HISTORY          the lines that were entered
//   CHAT00..CHAT15   conversations (session_store.h)
//   LOG00..LOG15     segments of the journal (journal.h)
//   SNAPSHOT         one KV cache (kv_snapshot.h)
//
// scripts/make_image.py puts files of these sizes on the STATE partition; where there is none, they
// are made when they are first needed.
#pragma once

#include "core/base/fmt.h"
#include "core/state/record.h"

namespace lbm {

inline constexpr u32 kStateChats = 16;
inline constexpr u32 kStateLogs = 16;
inline constexpr u64 kSettingsBytes = 64 * kKiB;
inline constexpr u64 kHistoryRecordBytes = 128 * kKiB;
inline constexpr u64 kChatBytes = 512 * kKiB;
inline constexpr u64 kLogBytes = 64 * kKiB;
inline constexpr u64 kSnapshotBytes = 64 * kMiB;

// "CHAT07"
struct RecordName {
  char text[8] = {};
  u32 size = 0;
  [[nodiscard]] Str str() const { return {text, size}; }
};
[[nodiscard]] RecordName numbered_record(Str stem, u32 number);

// Told of every record that reached the medium.
class CommitObserver {
 public:
  virtual void on_commit(Str name, u64 generation) = 0;

 protected:
  ~CommitObserver() = default;
};

class StateStore {
 public:
  // Both outlive the store; `observer` may be null.
  StateStore(SlotFiles& files, CommitObserver* observer) : files_(&files), observer_(observer) {}

  [[nodiscard]] SlotFiles& files() const { return *files_; }
  // Why nothing is written, in a sentence without its end; empty: it is.
  [[nodiscard]] Str why_read_only() const;
  // why_read_only(), the first time after it became so; then empty, until it can be written again.
  [[nodiscard]] Str take_notice();

  // Opens `record`; where its files do not exist, or were not finished, they are made, `bytes` for
  // each slot. Errors: kReadOnly, kLimit (no room), kCancelled (by `progress`), kIo. All leave the
  // store as it was.
  [[nodiscard]] Status open(Record& record, u64 bytes, ProgressObserver* progress = nullptr);
  // Record::write(), told to the observer. Errors: as there; all but kLimit end writing.
  [[nodiscard]] Status write(Record& record, Span<u8> bytes, usize size);
  // What the result of a Record's own begin() .. commit() means to the store.
  [[nodiscard]] Status note(const Record& record, const Status& committed);

 private:
  SlotFiles* files_;
  CommitObserver* observer_;
  bool has_failed_ = false;
  bool was_told_ = false;
  TextBuffer<256> reason_;
};

}  // namespace lbm
