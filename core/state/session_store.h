// The conversations that are kept: one record each, the newest first.
//
// The current conversation is saved over and over into its own record. A new one takes a record
// that is free, else that of the oldest conversation without a name: names are what the user asked
// to keep. There is no index that could disagree with the records; scan() reads them all.
#pragma once

#include "core/state/session_text.h"
#include "core/state/state_store.h"

namespace lbm {

struct SessionEntry {
  static constexpr usize kTitleBytes = 64;
  static constexpr usize kLabelBytes = 48;

  u32 record = 0;  // of CHATnn
  u64 saved = 0;   // SessionHead::saved
  u32 n_message = 0;
  TextBuffer<SessionReader::kMaxNameBytes> name;
  TextBuffer<kLabelBytes> model, time;  // cut where longer
  TextBuffer<kTitleBytes> title;        // how the first question begins, in one line
};

class SessionStore {
 public:
  static constexpr u32 kNone = ~u32{0};
  // Records that stay free for conversations without a name.
  static constexpr u32 kMaxNamed = kStateChats - 4;

  // `buffer` holds one record while it is read or written, Record::kHeaderBytes + kChatBytes.
  SessionStore(StateStore& store, Span<u8> buffer);

  // Reads what is kept. Returns how many records are damaged: for a notice.
  [[nodiscard]] u32 scan();
  [[nodiscard]] u32 size() const { return n_entry_; }
  // 0 is the newest.
  [[nodiscard]] const SessionEntry& entry(u32 index) const { return *order_[index]; }
  // By number from 1, as /sessions shows them, or by name. kNone: there is none.
  [[nodiscard]] u32 find(Str what) const;

  // The text of a conversation, in the buffer until the next call of anything here.
  // Errors: those of Record::read and SessionReader::open.
  [[nodiscard]] Result<SessionReader> read(u32 index);

  // The conversation that save() writes: an entry, or kNone for a new one.
  void set_current(u32 index);
  [[nodiscard]] u32 current() const;

  // Takes the messages of what is to be saved, one by one, the oldest first.
  class Messages {
   public:
    [[nodiscard]] virtual u32 size() const = 0;
    [[nodiscard]] virtual SavedMessage at(u32 index) const = 0;

   protected:
    ~Messages() = default;
  };
  // Saves; head.saved is chosen here. Messages for which the record has no room, the oldest, are
  // left out. Errors: kLimit (every record has a name), those of StateStore.
  [[nodiscard]] Status save(SessionHead head, const Messages& messages);
  // Of the last save(): how many messages were left out; the title of the conversation that made
  // room for a new one, or empty.
  [[nodiscard]] u32 n_left_out() const { return n_left_out_; }
  [[nodiscard]] Str replaced() const { return replaced_.text(); }

 private:
  enum class Use : u8 { kFree, kSession, kForeign };  // kForeign: of a later version, left alone
  [[nodiscard]] Result<SessionReader> read_record(u32 record);
  void describe(u32 record, SessionReader reader);
  void sort();
  [[nodiscard]] u32 record_for_new() const;
  [[nodiscard]] Result<Str> write_text(const SessionHead& head, const Messages& messages,
                                       u64 capacity);

  StateStore& store_;
  Span<u8> buffer_;
  RecordName names_[kStateChats];
  Record records_[kStateChats];
  Use uses_[kStateChats] = {};
  SessionEntry entries_[kStateChats];  // by record
  SessionEntry* order_[kStateChats] = {};
  u32 n_entry_ = 0;
  u32 current_ = kNone;  // record
  u64 last_saved_ = 0;
  u32 n_left_out_ = 0;
  TextBuffer<SessionEntry::kTitleBytes> replaced_;
};

}  // namespace lbm
