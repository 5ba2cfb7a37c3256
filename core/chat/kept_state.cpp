// See kept_state.h.
#include "core/chat/kept_state.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

constexpr Str kSettingsKind = "lbm-settings";
constexpr Str kHistoryKind = "lbm-history";
constexpr Str kVersion = "1";
constexpr Str kLastModel = "last-model";  // no setting has a name like it

// A conversation as the session store asks for it.
class Messages final : public SessionStore::Messages {
 public:
  explicit Messages(const Conversation& conversation) : conversation_(conversation) {}
  [[nodiscard]] u32 size() const override { return conversation_.n_message(); }
  [[nodiscard]] SavedMessage at(u32 index) const override {
    const Message message = conversation_.message(index);
    return {message.role == Role::kUser, message.complete, message.text, message.reasoning};
  }

 private:
  const Conversation& conversation_;
};

// Puts the messages of `reader` into `conversation`; returns how many turns were left out.
u32 take_messages(SessionReader& reader, Conversation& conversation) {
  conversation.reset();
  u32 n_lost = 0;
  SavedMessage question;
  bool has_question = false;
  SavedMessage message;
  while (reader.next(message)) {
    if (message.from_user) {
      if (has_question) ++n_lost;
      question = message;
      has_question = true;
      continue;
    }
    const bool added =
        has_question &&
        conversation.add_turn(question.text, message.text, message.reasoning, message.complete)
            .ok();
    if (!added) ++n_lost;
    has_question = false;
  }
  return n_lost + (has_question ? 1 : 0);
}

}  // namespace

Result<KeptState*> KeptState::create(Arena& arena, SlotFiles& files, CommitObserver* observer) {
  const Result<Span<u8>> buffer = arena.take_raw(Record::kHeaderBytes + kChatBytes, "what is kept");
  if (!buffer.ok()) return buffer.error();
  const Result<Span<u8>> log = arena.take_raw(Record::kHeaderBytes + kLogBytes, "journal");
  if (!log.ok()) return log.error();
  return arena.make<KeptState>("what is kept", files, observer, buffer.value(), log.value());
}

KeptState::KeptState(SlotFiles& files, CommitObserver* observer, Span<u8> buffer, Span<u8> log)
    : store_(files, observer),
      buffer_(buffer),
      sessions_(store_, buffer),
      journal_(store_, log),
      settings_(files, "SETTINGS"),
      history_(files, "HISTORY") {}

// --- Conversations ---------------------------------------------------------------------------

Status KeptState::save(const Conversation& conversation, const SessionHead& head) {
  return sessions_.save(head, Messages(conversation));
}

Result<u32> KeptState::load(u32 index, Conversation& conversation) {
  Result<SessionReader> reader = sessions_.read(index);
  if (!reader.ok()) return reader.error();
  return take_messages(reader.value(), conversation);
}

Result<Str> KeptState::write_text(const Conversation& conversation, const SessionHead& head,
                                  Span<char> out) {
  SessionWriter writer(out);
  writer.head(head);
  const Messages messages(conversation);
  for (u32 i = 0; i < messages.size(); ++i) writer.message(messages.at(i));
  return writer.finish();
}

Result<u32> KeptState::read_text(Str text, Conversation& conversation) {
  Result<SessionReader> reader = SessionReader::open(text);
  if (!reader.ok()) return reader.error();
  return take_messages(reader.value(), conversation);
}

// --- Settings --------------------------------------------------------------------------------

// Where the text of a record is written, behind the room for its header.
Span<char> KeptState::text_room(const Record& record) const {
  const u64 most = min_u64(buffer_.size() - Record::kHeaderBytes, record.capacity());
  return {reinterpret_cast<char*>(buffer_.data()) + Record::kHeaderBytes, static_cast<usize>(most)};
}

Result<FieldReader> KeptState::open_fields(Record& record, Str kind, Span<u8> room) {
  const Status opened = record.open();
  if (!opened.ok()) return opened.error();
  if (record.damaged()) return fail(ErrorCode::kBadHash, "it is damaged").about(record.name());
  if (!record.present()) return fail(ErrorCode::kNotFound, "there is none").about(record.name());
  const Result<Span<u8>> bytes = record.read_all(room);
  if (!bytes.ok()) return bytes.error();
  return FieldReader::open(Str(bytes.value()), kind, kVersion);
}

Status KeptState::save_settings(const Settings& settings) {
  const Status opened = store_.open(settings_, kSettingsBytes);
  if (!opened.ok()) return opened;
  FieldWriter writer(text_room(settings_), "lbm-settings 1");
  for (u32 i = 0; i < kSettingCount; ++i) {
    const Setting id = static_cast<Setting>(i);
    if (settings.origin(id) != Settings::Origin::kCommand) continue;
    char value[Settings::kMaxTextBytes];
    writer.add(setting_info(id).key, settings.show(id, value));
  }
  if (!last_model().empty()) writer.add(kLastModel, last_model());
  const Result<Str> text = writer.finish();
  if (!text.ok()) return text.error();
  return store_.write(settings_, buffer_, text.value().size());
}

Result<u32> KeptState::load_settings(Settings& settings) {
  Result<FieldReader> reader = open_fields(settings_, kSettingsKind, buffer_);
  if (!reader.ok()) {
    if (reader.error().code == ErrorCode::kNotFound) return 0u;
    return reader.error();
  }
  u32 n = 0;
  for (;;) {
    const Result<Field> field = reader.value().next();
    if (!field.ok()) return field.error();
    if (field.value().word == "end") return n;
    if (field.value().word == kLastModel) {
      last_model_.clear();
      last_model_.append(field.value().bytes);
      if (last_model_.truncated()) last_model_.clear();
      continue;
    }
    const SettingInfo* info = find_setting(field.value().word);
    if (info == nullptr || settings.origin(info->id) == Settings::Origin::kHost) continue;
    if (settings.set(info->key, field.value().bytes, Settings::Origin::kCommand).ok()) ++n;
  }
}

Status KeptState::save_last_model(Str label) {
  if (label == last_model()) return {};
  const Status opened = store_.open(settings_, kSettingsBytes);
  if (!opened.ok()) return opened;
  // What stands beside it stays as it was kept: nobody asked to keep the settings of now. The old
  // text lies in the back half of the buffer while the new one is written in front.
  const usize half = buffer_.size() / 2;
  Result<FieldReader> kept = open_fields(settings_, kSettingsKind, buffer_.from(half));
  const bool is_foreign = !kept.ok() && kept.error().code != ErrorCode::kNotFound;
  if (is_foreign) return {};  // of a later version, or damaged: said at the start, and left alone
  const Span<char> room = text_room(settings_);
  FieldWriter writer(
      room.first(static_cast<usize>(min_u64(room.size(), half - Record::kHeaderBytes))),
      "lbm-settings 1");
  while (kept.ok()) {
    const Result<Field> field = kept.value().next();
    if (!field.ok()) return field.error();
    if (field.value().word == "end") break;
    if (field.value().word != kLastModel) writer.add(field.value().word, field.value().bytes);
  }
  writer.add(kLastModel, label);
  const Result<Str> text = writer.finish();
  if (!text.ok()) return text.error();
  const Status written = store_.write(settings_, buffer_, text.value().size());
  if (!written.ok()) return written;
  last_model_.clear();
  last_model_.append(label);
  return {};
}

// --- History ---------------------------------------------------------------------------------

Status KeptState::save_history(const InputHistory& history) {
  if (history.size() == 0) return {};
  Sha256 hash;
  for (u32 age = 0; age < history.size(); ++age) {
    hash.update(history.at(age).bytes());
    hash.update(Str("\n").bytes());
  }
  const Sha256Digest digest = hash.finish();
  if (digest == kept_history_) return {};
  if (history_.capacity() == 0) {
    const Status opened = store_.open(history_, kHistoryRecordBytes);
    if (!opened.ok()) return opened;
  }
  FieldWriter writer(text_room(history_), "lbm-history 1");
  for (u32 age = history.size(); age-- > 0;) writer.add("line", history.at(age));
  const Result<Str> text = writer.finish();
  if (!text.ok()) return text.error();
  const Status written = store_.write(history_, buffer_, text.value().size());
  if (written.ok()) kept_history_ = digest;
  return written;
}

Status KeptState::load_history(InputHistory& history) {
  Result<FieldReader> reader = open_fields(history_, kHistoryKind, buffer_);
  if (!reader.ok())
    return reader.error().code == ErrorCode::kNotFound ? Status() : Status(reader.error());
  for (;;) {
    const Result<Field> field = reader.value().next();
    if (!field.ok()) return field.error();
    if (field.value().word == "end") return {};
    if (field.value().word == "line") history.add(field.value().bytes);
  }
}

}  // namespace lbm
