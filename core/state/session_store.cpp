// See session_store.h.
#include "core/state/session_store.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

constexpr Str kStem = "CHAT";

// The beginning of `text` in one line: white space and control bytes become blanks, and a character
// that does not fit whole is left out.
void put_title(Str text, TextWriter& out) {
  text = text.trimmed();
  usize n = static_cast<usize>(min_u64(text.size(), SessionEntry::kTitleBytes));
  while (n > 0 && n < text.size() && (static_cast<u8>(text[n]) & 0xC0) == 0x80) --n;
  for (const char c : text.first(n)) {
    const char shown = static_cast<u8>(c) < 0x20 ? ' ' : c;
    out.append({&shown, 1});
  }
}

void put_label(Str text, TextWriter& out) {
  out.clear();
  out.append(text.first(static_cast<usize>(min_u64(text.size(), SessionEntry::kLabelBytes))));
}

}  // namespace

SessionStore::SessionStore(StateStore& store, Span<u8> buffer) : store_(store), buffer_(buffer) {
  for (u32 i = 0; i < kStateChats; ++i) {
    names_[i] = numbered_record(kStem, i);
    records_[i] = Record(store.files(), names_[i].str());
    entries_[i].record = i;
  }
}

u32 SessionStore::scan() {
  u32 n_damaged = 0;
  current_ = kNone;
  last_saved_ = 0;
  for (u32 i = 0; i < kStateChats; ++i) {
    uses_[i] = Use::kFree;
    if (!records_[i].open().ok()) continue;
    if (records_[i].damaged()) ++n_damaged;
    if (!records_[i].present()) continue;
    const Result<SessionReader> reader = read_record(i);
    if (reader.ok()) {
      uses_[i] = Use::kSession;
      describe(i, reader.value());
      last_saved_ = max_u64(last_saved_, entries_[i].saved);
    } else if (reader.error().code == ErrorCode::kBadVersion) {
      uses_[i] = Use::kForeign;
    } else {
      ++n_damaged;
    }
  }
  sort();
  return n_damaged;
}

Result<SessionReader> SessionStore::read_record(u32 record) {
  const Result<Span<u8>> bytes = records_[record].read_all(buffer_);
  if (!bytes.ok()) return bytes.error();
  return SessionReader::open(Str(bytes.value()));
}

// By value: reading messages moves a reader on.
void SessionStore::describe(u32 record, SessionReader reader) {
  SessionEntry& entry = entries_[record];
  entry.saved = reader.head().saved;
  entry.n_message = reader.n_message();
  entry.name.clear();
  entry.name.append(reader.head().name);
  put_label(reader.head().model, entry.model);
  put_label(reader.head().time, entry.time);
  entry.title.clear();
  SavedMessage message;
  while (reader.next(message)) {
    if (!message.from_user) continue;
    put_title(message.text, entry.title);
    return;
  }
}

void SessionStore::sort() {
  n_entry_ = 0;
  for (u32 i = 0; i < kStateChats; ++i) {
    if (uses_[i] != Use::kSession) continue;
    u32 at = n_entry_++;
    for (; at > 0 && order_[at - 1]->saved < entries_[i].saved; --at) order_[at] = order_[at - 1];
    order_[at] = &entries_[i];
  }
}

u32 SessionStore::find(Str what) const {
  u64 number = 0;
  for (u32 i = 0; i < n_entry_; ++i) {
    if (!what.empty() && order_[i]->name.text() == what) return i;
  }
  if (parse_u64(what, number) && number >= 1 && number <= n_entry_)
    return static_cast<u32>(number - 1);
  return kNone;
}

Result<SessionReader> SessionStore::read(u32 index) {
  LBM_CHECK(index < n_entry_);
  return read_record(order_[index]->record);
}

void SessionStore::set_current(u32 index) {
  current_ = index == kNone ? kNone : order_[index]->record;
}

u32 SessionStore::current() const {
  for (u32 i = 0; i < n_entry_; ++i) {
    if (order_[i]->record == current_) return i;
  }
  return kNone;
}

// A free record, else that of the oldest conversation without a name.
u32 SessionStore::record_for_new() const {
  for (u32 i = 0; i < kStateChats; ++i) {
    if (uses_[i] == Use::kFree) return i;
  }
  for (u32 i = n_entry_; i-- > 0;) {
    if (order_[i]->name.text().empty()) return order_[i]->record;
  }
  return kNone;
}

// Into the buffer, behind the room for a header. The newest messages that fit, from a question on.
Result<Str> SessionStore::write_text(const SessionHead& head, const Messages& messages,
                                     u64 capacity) {
  const u64 room = min_u64(capacity, buffer_.size() - Record::kHeaderBytes);
  u64 used = SessionWriter::frame_bytes(head);
  u32 first = messages.size();
  for (u32 i = messages.size(); i-- > 0;) {
    const SavedMessage message = messages.at(i);
    used += SessionWriter::message_bytes(message);
    if (used > room) break;
    if (message.from_user) first = i;
  }
  n_left_out_ = first;
  u8* const start = buffer_.data() + Record::kHeaderBytes;
  SessionWriter writer({reinterpret_cast<char*>(start), static_cast<usize>(room)});
  writer.head(head);
  for (u32 i = first; i < messages.size(); ++i) writer.message(messages.at(i));
  return writer.finish();
}

Status SessionStore::save(SessionHead head, const Messages& messages) {
  n_left_out_ = 0;
  replaced_.clear();
  const u32 record = current_ != kNone ? current_ : record_for_new();
  if (record == kNone) {
    return fail(ErrorCode::kLimit, "every place has a conversation with a name").with(kStateChats);
  }
  const bool is_opened = uses_[record] == Use::kSession;
  if (!is_opened) {
    const Status opened = store_.open(records_[record], kChatBytes);
    if (!opened.ok()) return opened;
  }
  // What is written has to be read again: a stranger's record may have the last number of all, and
  // "1:" and the longest path of a model are more than a label.
  head.saved = min_u64(last_saved_ + 1, SessionHead::kMaxSaved);
  TextBuffer<SessionReader::kMaxLabelBytes> model;
  head.model = model.append(head.model).text();
  const Result<Str> text = write_text(head, messages, records_[record].capacity());
  if (!text.ok()) return text.error();
  const Status written = store_.write(records_[record], buffer_, text.value().size());
  if (!written.ok()) return written;
  if (current_ == kNone && is_opened) replaced_.append(entries_[record].title.text());
  last_saved_ = head.saved;
  current_ = record;
  const Result<SessionReader> reader = SessionReader::open(text.value());
  LBM_CHECK(reader.ok());
  uses_[record] = Use::kSession;
  describe(record, reader.value());
  sort();
  return {};
}

}  // namespace lbm
