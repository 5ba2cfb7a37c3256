// The journal: what happened, one JSON object a line, append-only, each line bound to the one
// before.
//
//   {"journal":1,"segment":3,"first":97,"prev":"<64 hex>"}
//   {"n":97,"t":"2026-01-31T12:34:56","e":"model tiny.gguf loaded","h":"<64 hex>"}
//
// "h" is SHA-256 of the line before's "h" (32 bytes; of the first line of a segment: its "prev")
// and of this line's bytes up to ,"h". Who changes, drops or reorders a line breaks the chain at
// that line. It shows damage and careless edits, and is no signature: who can write the medium can
// compute it anew.
//
// The lines lie in segments, records LOG00..LOG15, used in a ring: an append rewrites one segment
// into its other slot, and the oldest segment makes room once all are full. What is left always
// begins with a segment's head, whose "prev" says what came before.
#pragma once

#include "core/state/state_store.h"

namespace lbm {

class Journal {
 public:
  static constexpr usize kMaxEventBytes = 512;
  static constexpr usize kMaxTimeBytes = 32;

  // `buffer` holds the newest segment: Record::kHeaderBytes + kLogBytes.
  Journal(StateStore& store, Span<u8> buffer);

  // Finds and checks the newest segment. What is damaged is left, and the journal goes on in a new
  // segment; returns false then, for a notice.
  [[nodiscard]] bool open();

  // Adds a line in memory; flush() brings it to the medium. Longer events and times are cut.
  // A segment that is full is flushed and a new one begun. Errors: those of StateStore.
  [[nodiscard]] Status add(Str time, Str event);
  [[nodiscard]] Status flush();
  // Lines so far, those included that made room.
  [[nodiscard]] u64 n_line() const { return next_line_ - 1; }

  // Takes the lines, the oldest first, as they are written.
  class Reader {
   public:
    virtual void on_line(Str line) = 0;

   protected:
    ~Reader() = default;
  };
  struct Chain {
    u64 n_line = 0;
    u64 first_line = 0;    // number of the oldest
    u64 broken_line = 0;   // number of the first line that does not continue the chain; 0: none
    u32 n_unreadable = 0;  // segments
  };
  // Reads all segments through `scratch` (kLogBytes) and checks the chain. Heads of segments go to
  // `reader`, too.
  [[nodiscard]] Chain read(Span<u8> scratch, Reader& reader);

 private:
  [[nodiscard]] Str text() const { return Str(buffer_.slice(Record::kHeaderBytes, n_text_)); }
  [[nodiscard]] Status begin_segment();
  void start(u64 segment, u64 first_line, const Sha256Digest& last);

  StateStore& store_;
  Span<u8> buffer_;
  RecordName names_[kStateLogs];
  Record records_[kStateLogs];
  usize n_text_ = 0;
  u64 segment_ = 0;  // 0: none yet
  u64 next_line_ = 1;
  Sha256Digest last_;  // "h" of the newest line
  bool is_dirty_ = false;
};

}  // namespace lbm
