// See session_text.h.
#include "core/state/session_text.h"

namespace lbm {
namespace {

constexpr u32 kMaxMessages = 1u << 20;

enum class Word : u8 { kOther, kUser, kReasoning, kAssistant, kPartial, kEnd };

Word word_of(Str text) {
  if (text == "user") return Word::kUser;
  if (text == "reasoning") return Word::kReasoning;
  if (text == "assistant") return Word::kAssistant;
  if (text == "partial") return Word::kPartial;
  if (text == "end") return Word::kEnd;
  return Word::kOther;
}

}  // namespace

// --- Writing ---------------------------------------------------------------------------------

void SessionWriter::head(const SessionHead& head) {
  TextBuffer<24> saved;
  saved.print("{}", head.saved);
  out_.add("saved", saved.text());
  if (!head.name.empty()) out_.add("name", head.name);
  if (!head.model.empty()) out_.add("model", head.model);
  if (!head.time.empty()) out_.add("time", head.time);
  if (!head.system.empty()) out_.add("system", head.system);
}

void SessionWriter::message(const SavedMessage& message) {
  if (message.from_user) {
    out_.add("user", message.text);
    return;
  }
  if (!message.reasoning.empty()) out_.add("reasoning", message.reasoning);
  out_.add(message.complete ? Str("assistant") : Str("partial"), message.text);
}

u64 SessionWriter::message_bytes(const SavedMessage& message) {
  return 2 * FieldWriter::kMostPerField + message.text.size() + message.reasoning.size();
}

u64 SessionWriter::frame_bytes(const SessionHead& head) {
  return 8 * FieldWriter::kMostPerField + head.name.size() + head.model.size() + head.time.size() +
         head.system.size();
}

// --- Reading ---------------------------------------------------------------------------------

Status SessionReader::take_head(const Field& field) {
  if (field.word == "saved") {
    if (!parse_u64(field.bytes, head_.saved) || head_.saved > SessionHead::kMaxSaved)
      return fail(ErrorCode::kBadValue, "not a number, or too large").about(field.word);
    return {};
  }
  struct Label {
    Str word;
    Str* value;
    usize most;
  };
  const Label labels[] = {{"name", &head_.name, kMaxNameBytes},
                          {"model", &head_.model, kMaxLabelBytes},
                          {"time", &head_.time, kMaxLabelBytes},
                          {"system", &head_.system, ~usize{0}}};
  for (const Label& label : labels) {
    if (field.word != label.word) continue;
    if (field.bytes.size() > label.most)
      return fail(ErrorCode::kLimit, "too long")
          .about(field.word)
          .with(field.bytes.size(), label.most);
    *label.value = field.bytes;
  }
  return {};
}

Result<SessionReader> SessionReader::open(Str text) {
  Result<FieldReader> fields = FieldReader::open(text, "lbm-session", "1");
  if (!fields.ok()) return fields.error();
  SessionReader reader(fields.value());
  bool has_message = false;
  bool has_reasoning = false;
  for (;;) {
    const usize start = reader.fields_.position();
    const Result<Field> field = reader.fields_.next();
    if (!field.ok()) return field.error();
    const Word word = word_of(field.value().word);
    if (word == Word::kOther) {
      if (has_message) continue;
      const Status head = reader.take_head(field.value());
      if (!head.ok()) return head.error();
      continue;
    }
    // Reasoning without its answer would be said by nobody.
    if (has_reasoning && word != Word::kAssistant && word != Word::kPartial)
      return fail(ErrorCode::kBadSyntax, "reasoning without an answer").at(start);
    has_reasoning = word == Word::kReasoning;
    if (!has_message) reader.first_message_ = start;
    has_message = true;
    if (word == Word::kEnd) break;
    if (word == Word::kReasoning) continue;
    if (++reader.n_message_ > kMaxMessages)
      return fail(ErrorCode::kLimit, "too many messages").at(start);
  }
  if (!reader.fields_.at_end()) {
    return fail(ErrorCode::kBadSyntax, "something follows the conversation")
        .at(reader.fields_.position());
  }
  reader.fields_.go_to(reader.first_message_);
  return reader;
}

bool SessionReader::next(SavedMessage& out) {
  SavedMessage message;
  for (;;) {
    const usize start = fields_.position();
    const Result<Field> field = fields_.next();
    LBM_CHECK(field.ok());  // open() has seen it
    switch (word_of(field.value().word)) {
      case Word::kOther: continue;
      case Word::kEnd: fields_.go_to(start); return false;
      case Word::kReasoning: message.reasoning = field.value().bytes; continue;
      case Word::kUser: message.from_user = true; break;
      case Word::kPartial: message.complete = false; break;
      case Word::kAssistant: break;
    }
    message.text = field.value().bytes;
    out = message;
    return true;
  }
}

}  // namespace lbm
