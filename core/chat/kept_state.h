// What the REPL keeps over a restart, as records (core/state): the conversation, the settings, the
// lines that were entered, the journal. Here is what turns them into bytes and back; when they are
// kept and what the user is told is in repl_state_files.cpp.
#pragma once

#include "core/base/arena.h"
#include "core/chat/conversation.h"
#include "core/chat/input_history.h"
#include "core/chat/settings.h"
#include "core/state/journal.h"
#include "core/state/session_store.h"
#include "core/state/state_store.h"

namespace lbm {

class KeptState {
 public:
  // Bytes that create() takes.
  static constexpr u64 kBytes = kChatBytes + kLogBytes + 32 * kKiB;

  // Errors: kOutOfMemory.
  [[nodiscard]] static Result<KeptState*> create(Arena& arena, SlotFiles& files,
                                                 CommitObserver* observer);

  [[nodiscard]] StateStore& store() { return store_; }
  [[nodiscard]] SessionStore& sessions() { return sessions_; }
  [[nodiscard]] Journal& journal() { return journal_; }
  // Bytes for whoever works on one record; everything here uses them.
  [[nodiscard]] Span<u8> buffer() const { return buffer_; }

  // Saves `conversation` as the current session. Errors: SessionStore::save().
  [[nodiscard]] Status save(const Conversation& conversation, const SessionHead& head);
  // Puts the messages of session `index` in the place of those of `conversation`, which stays as it
  // was after an error. Returns how many turns did not fit or were not whole.
  // Errors: SessionStore::read().
  [[nodiscard]] Result<u32> load(u32 index, Conversation& conversation);

  // A conversation as text in `out`, and such a text (session_text.h) in the place of the messages
  // of a conversation; returns as load(). Errors: kLimit; those of SessionReader::open().
  [[nodiscard]] static Result<Str> write_text(const Conversation& conversation,
                                              const SessionHead& head, Span<char> out);
  [[nodiscard]] static Result<u32> read_text(Str text, Conversation& conversation);

  // Settings that were set by a command. Those that a host gave win over what was kept. Returns how
  // many were kept; of what is damaged or no longer a setting nothing is set.
  [[nodiscard]] Status save_settings(const Settings& settings);
  [[nodiscard]] Result<u32> load_settings(Settings& settings);

  // The model that was loaded last, by file_label(); empty: it is not known. load_settings() reads
  // it; it is written where it is another one, beside the settings as they were kept.
  [[nodiscard]] Str last_model() const { return last_model_.text(); }
  [[nodiscard]] Status save_last_model(Str label);

  // The lines that were entered, where they changed since.
  [[nodiscard]] Status save_history(const InputHistory& history);
  [[nodiscard]] Status load_history(InputHistory& history);

 private:
  friend class Arena;
  KeptState(SlotFiles& files, CommitObserver* observer, Span<u8> buffer, Span<u8> log);
  [[nodiscard]] Span<char> text_room(const Record& record) const;
  [[nodiscard]] Result<FieldReader> open_fields(Record& record, Str kind, Span<u8> room);

  StateStore store_;
  Span<u8> buffer_;
  SessionStore sessions_;
  Journal journal_;
  Record settings_;
  TextBuffer<FileEntry::kMaxPath + 16> last_model_;
  Record history_;
  Sha256Digest kept_history_;  // of what the record has
};

}  // namespace lbm
