// Conversations as text and as records.
#include "core/state/session_store.h"

#include "tests/state/memory_slots.h"
#include "tests/test.h"

namespace {

using namespace lbm;
using test::MemorySlots;

constexpr u64 kSmallChat = 16 * kKiB;

Span<u8> chat_buffer() {
  static u8 bytes[Record::kHeaderBytes + kSmallChat];
  return bytes;
}

class Said final : public SessionStore::Messages {
 public:
  explicit Said(Span<const SavedMessage> all) : all_(all) {}
  [[nodiscard]] u32 size() const override { return static_cast<u32>(all_.size()); }
  [[nodiscard]] SavedMessage at(u32 index) const override { return all_[index]; }

 private:
  Span<const SavedMessage> all_;
};

SavedMessage user(Str text) { return {true, true, text, {}}; }
SavedMessage answer(Str text) { return {false, true, text, {}}; }

void reserve_all(MemorySlots& slots) {
  for (u32 i = 0; i < kStateChats; ++i)
    REQUIRE(slots.reserve(numbered_record("CHAT", i).str(), kSmallChat).ok());
}

ErrorCode code_of(Str text) {
  const Result<SessionReader> reader = SessionReader::open(text);
  return reader.ok() ? ErrorCode::kOk : reader.error().code;
}

TEST_CASE("a conversation comes back as it was said", "[state]") {
  char bytes[1024];
  SessionWriter writer(bytes);
  const Str odd("line\nuser 3\nabc\n\0\xFF", 18);
  writer.head({41, "my holiday", "tiny.gguf", "2026-01-31T12:34:56", "Be kind.\n"});
  writer.message(user("Hello"));
  writer.message({false, true, "Hi!", "They greet."});
  writer.message(user(odd));
  writer.message({false, false, "", {}});
  const Result<Str> text = writer.finish();
  REQUIRE(text.ok());
  Result<SessionReader> reader = SessionReader::open(text.value());
  REQUIRE(reader.ok());
  const SessionHead& head = reader.value().head();
  CHECK(head.saved == 41);
  CHECK(head.name == "my holiday");
  CHECK(head.model == "tiny.gguf");
  CHECK(head.time == "2026-01-31T12:34:56");
  CHECK(head.system == "Be kind.\n");
  CHECK(reader.value().n_message() == 4);
  SavedMessage message;
  REQUIRE(reader.value().next(message));
  CHECK((message.from_user && message.text == "Hello"));
  REQUIRE(reader.value().next(message));
  CHECK((!message.from_user && message.complete && message.text == "Hi!"));
  CHECK(message.reasoning == "They greet.");
  REQUIRE(reader.value().next(message));
  CHECK((message.text == odd && message.reasoning.empty()));
  REQUIRE(reader.value().next(message));
  CHECK((!message.complete && message.text.empty()));
  CHECK(!reader.value().next(message));
  CHECK(!reader.value().next(message));
}

TEST_CASE("a conversation that was cut or changed is refused by name", "[state]") {
  char bytes[512];
  SessionWriter writer(bytes);
  writer.head({3, "n", "m", "t", "s"});
  writer.message(user("Hello"));
  writer.message({false, true, "Hi!", "why"});
  const Str text = writer.finish().value();
  bool all_refused = true;
  for (usize n = 0; n < text.size(); ++n)
    all_refused = all_refused && !SessionReader::open(text.first(n)).ok();
  CHECK(all_refused);
  CHECK(code_of("GGUF") == ErrorCode::kBadMagic);
  CHECK(code_of("lbm-session 2\nend 0\n\n") == ErrorCode::kBadVersion);
  CHECK(code_of("lbm-session 1\nend 0\n\n") == ErrorCode::kOk);
  CHECK(code_of("lbm-session 1\nend 0\n\nmore") == ErrorCode::kBadSyntax);
  CHECK(code_of("lbm-session 1\nuser 99\nshort\nend 0\n\n") == ErrorCode::kTruncated);
  CHECK(code_of("lbm-session 1\nuser 18446744073709551615\nx\nend 0\n\n") == ErrorCode::kTruncated);
  CHECK(code_of("lbm-session 1\nuser 2\nabc\nend 0\n\n") == ErrorCode::kBadSyntax);
  CHECK(code_of("lbm-session 1\nuser -1\nabc\nend 0\n\n") == ErrorCode::kBadSyntax);
  CHECK(code_of("lbm-session 1\nUSER 3\nabc\nend 0\n\n") == ErrorCode::kBadSyntax);
  CHECK(code_of("lbm-session 1\nreasoning 1\na\nend 0\n\n") == ErrorCode::kBadSyntax);
  CHECK(code_of("lbm-session 1\nreasoning 1\na\nuser 1\na\nend 0\n\n") == ErrorCode::kBadSyntax);
  CHECK(code_of("lbm-session 1\nsaved 1\nx\nend 0\n\n") == ErrorCode::kBadValue);
  CHECK(code_of("lbm-session 1\nsaved 20\n18446744073709551615\nend 0\n\n") ==
        ErrorCode::kBadValue);
}

TEST_CASE("words of a later version are skipped", "[state]") {
  Result<SessionReader> reader = SessionReader::open(
      "lbm-session 1\nmood 4\ngood\nuser 1\na\nweather 3\nsun\nassistant 1\nb\nend 0\n\n");
  REQUIRE(reader.ok());
  CHECK(reader.value().n_message() == 2);
  SavedMessage message;
  REQUIRE(reader.value().next(message));
  REQUIRE(reader.value().next(message));
  CHECK(message.text == "b");
}

TEST_CASE("the current conversation stays in its record, a new one takes another", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 0);
  CHECK(sessions.size() == 0);
  const SavedMessage first[] = {user("What is\na cat?"), answer("An animal.")};
  REQUIRE(sessions.save({0, "", "tiny.gguf", "today", ""}, Said(first)).ok());
  REQUIRE(sessions.save({0, "", "tiny.gguf", "later", ""}, Said(first)).ok());
  CHECK(sessions.size() == 1);
  sessions.set_current(SessionStore::kNone);
  const SavedMessage second[] = {user("And a dog?"), answer("Too.")};
  REQUIRE(sessions.save({0, "pets", "tiny.gguf", "evening", ""}, Said(second)).ok());
  SessionStore again(store, chat_buffer());
  CHECK(again.scan() == 0);
  REQUIRE(again.size() == 2);
  CHECK(again.entry(0).name.text() == "pets");
  CHECK(again.entry(0).title.text() == "And a dog?");
  CHECK(again.entry(1).title.text() == "What is a cat?");
  CHECK(again.entry(1).time.text() == "later");
  CHECK(again.find("pets") == 0);
  CHECK(again.find("2") == 1);
  CHECK(again.find("3") == SessionStore::kNone);
  CHECK(again.find("") == SessionStore::kNone);
  Result<SessionReader> reader = again.read(1);
  REQUIRE(reader.ok());
  SavedMessage message;
  REQUIRE(reader.value().next(message));
  CHECK(message.text == "What is\na cat?");
  again.set_current(1);
  REQUIRE(again.save({0, "", "", "", ""}, Said(first)).ok());
  CHECK(again.size() == 2);
  CHECK(again.entry(0).title.text() == "What is a cat?");  // the newest now
}

TEST_CASE("the oldest conversation without a name makes room, and is named", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 0);
  for (u32 i = 0; i < kStateChats; ++i) {
    sessions.set_current(SessionStore::kNone);
    TextBuffer<16> title;
    title.print("question {}", i);
    const SavedMessage said[] = {user(title.text()), answer("x")};
    REQUIRE(sessions.save({0, i == 0 ? Str("kept") : Str(), "", "", ""}, Said(said)).ok());
    CHECK(sessions.replaced().empty());
  }
  sessions.set_current(SessionStore::kNone);
  const SavedMessage said[] = {user("new"), answer("x")};
  REQUIRE(sessions.save({0, "", "", "", ""}, Said(said)).ok());
  CHECK(sessions.replaced() == "question 1");
  CHECK(sessions.find("kept") == kStateChats - 1);
  CHECK(sessions.size() == kStateChats);
}

TEST_CASE("where every conversation has a name none is overwritten", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 0);
  const SavedMessage said[] = {user("q"), answer("a")};
  for (u32 i = 0; i < kStateChats; ++i) {
    sessions.set_current(SessionStore::kNone);
    REQUIRE(sessions.save({0, "named", "", "", ""}, Said(said)).ok());
  }
  sessions.set_current(SessionStore::kNone);
  CHECK(sessions.save({0, "", "", "", ""}, Said(said)).error().code == ErrorCode::kLimit);
  CHECK(store.why_read_only().empty());
}

TEST_CASE("of a conversation that is too long the newest turns are kept", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 0);
  static char long_text[5000];
  __builtin_memset(long_text, 'x', sizeof(long_text));
  const Str text(long_text, sizeof(long_text));
  const SavedMessage said[] = {user(text),   answer(text),  user("second"),
                               answer(text), user("third"), answer(text)};
  REQUIRE(sessions.save({0, "", "", "", ""}, Said(said)).ok());
  CHECK(sessions.n_left_out() == 2);
  CHECK(sessions.entry(0).n_message == 4);
  CHECK(sessions.entry(0).title.text() == "second");
}

TEST_CASE("a conversation of a later version is left alone", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  Record record(slots, "CHAT00");
  REQUIRE(record.open().ok());
  u8 bytes[128];
  const Str later = "lbm-session 2\nwhatever";
  __builtin_memcpy(bytes + Record::kHeaderBytes, later.data(), later.size());
  REQUIRE(record.write(bytes, later.size()).ok());
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 0);
  const SavedMessage said[] = {user("q"), answer("a")};
  REQUIRE(sessions.save({0, "", "", "", ""}, Said(said)).ok());
  CHECK(sessions.entry(0).record == 1);
}

TEST_CASE("a conversation with the last number of all is followed by others", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  Record record(slots, "CHAT00");
  REQUIRE(record.open().ok());
  u8 bytes[256];
  SessionWriter writer({reinterpret_cast<char*>(bytes) + Record::kHeaderBytes, 192});
  writer.head({SessionHead::kMaxSaved, "", "", "", ""});
  writer.message(user("q"));
  const Result<Str> text = writer.finish();
  REQUIRE(text.ok());
  REQUIRE(record.write(bytes, text.value().size()).ok());
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 0);
  REQUIRE(sessions.size() == 1);
  const SavedMessage said[] = {user("another"), answer("a")};
  REQUIRE(sessions.save({0, "", "", "", ""}, Said(said)).ok());
  CHECK(sessions.scan() == 0);
  CHECK(sessions.size() == 2);
}

TEST_CASE("the longest name of a model is cut, not refused", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 0);
  // "1:" and a path of 255 bytes, the last two of which are one character.
  TextBuffer<257> label;
  label.append("1:");
  while (label.text().size() < 254) label.append("m");
  label.append("\xC3\xA9m");
  const SavedMessage said[] = {user("q"), answer("a")};
  REQUIRE(sessions.save({0, "", label.text(), "", ""}, Said(said)).ok());
  const Result<SessionReader> reader = sessions.read(0);
  REQUIRE(reader.ok());
  CHECK(reader.value().head().model == label.text().first(254));
}

TEST_CASE("a damaged conversation is counted, and its record is free", "[state]") {
  MemorySlots slots(test::slot_memory());
  reserve_all(slots);
  StateStore store(slots, nullptr);
  slots.slot("CHAT00", 0)[0] = 1;
  Record record(slots, "CHAT01");
  REQUIRE(record.open().ok());
  u8 bytes[128];
  REQUIRE(record.write(bytes, 9).ok());  // a valid record, of something else
  SessionStore sessions(store, chat_buffer());
  CHECK(sessions.scan() == 2);
  CHECK(sessions.size() == 0);
  const SavedMessage said[] = {user("q"), answer("a")};
  REQUIRE(sessions.save({0, "", "", "", ""}, Said(said)).ok());
  CHECK(sessions.entry(0).record == 0);
}

}  // namespace
