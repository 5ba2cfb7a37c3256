// A conversation as text, the payload of a CHAT record. Version 1:
//
//   lbm-session 1\n
//   saved 12\n                    counts up over all conversations: the newest has the highest
//   name 7\nholiday\n             fields: fields.h
//   model 26\n...\n   time 19\n2026-01-31T12:34:56\n   system 5\n...\n
//   user 5\nHello\n
//   reasoning 3\n...\n            belongs to the answer that follows
//   assistant 2\nHi\n             or: partial 2\nHi\n, an answer that was stopped
//   end\n
//
// Fields before the messages may be missing; words that this version does not know are skipped, so
// a later one may add some. Texts are bytes, whatever is in them. Every byte is a stranger's: a
// reader that opened has seen all of it.
#pragma once

#include "core/state/fields.h"

namespace lbm {

struct SavedMessage {
  bool from_user = false;
  bool complete = true;
  Str text;
  Str reasoning;
};

struct SessionHead {
  static constexpr u64 kMaxSaved = u64{1} << 53;  // of `saved`

  u64 saved = 0;
  Str name;   // given by the user; empty: none
  Str model;  // file
  Str time;   // of the last turn, "2026-01-31T12:34:56"
  Str system;
};

class SessionWriter {
 public:
  explicit SessionWriter(Span<char> out) : out_(out, "lbm-session 1") {}

  void head(const SessionHead& head);
  void message(const SavedMessage& message);
  // The whole text. Errors: kLimit  it did not fit.
  [[nodiscard]] Result<Str> finish() { return out_.finish(); }
  // Bytes that a message takes, at most.
  [[nodiscard]] static u64 message_bytes(const SavedMessage& message);
  // Bytes of everything but messages, at most.
  [[nodiscard]] static u64 frame_bytes(const SessionHead& head);

 private:
  FieldWriter out_;
};

class SessionReader {
 public:
  static constexpr usize kMaxNameBytes = 64;
  static constexpr usize kMaxLabelBytes = 255;  // of model and time

  // Checks all of `text`, which outlives the reader. All texts are views of it.
  // Errors, with the offset: kBadMagic, kBadVersion, kTruncated, kBadSyntax, kLimit.
  [[nodiscard]] static Result<SessionReader> open(Str text);

  [[nodiscard]] const SessionHead& head() const { return head_; }
  [[nodiscard]] u32 n_message() const { return n_message_; }
  // The next message; false: there are no more.
  [[nodiscard]] bool next(SavedMessage& out);

 private:
  explicit SessionReader(const FieldReader& fields) : fields_(fields) {}
  [[nodiscard]] Status take_head(const Field& field);

  FieldReader fields_;
  usize first_message_ = 0;
  SessionHead head_;
  u32 n_message_ = 0;
};

}  // namespace lbm
