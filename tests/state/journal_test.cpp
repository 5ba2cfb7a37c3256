// The journal: its chain, its segments, and what damage does to both.
#include "core/state/journal.h"

#include "tests/state/memory_slots.h"
#include "tests/test.h"

namespace {

using namespace lbm;
using test::MemorySlots;

Span<u8> log_buffer() {
  static u8 bytes[Record::kHeaderBytes + kLogBytes];
  return bytes;
}
Span<u8> log_scratch() {
  static u8 bytes[kLogBytes];
  return bytes;
}

class Lines final : public Journal::Reader {
 public:
  void on_line(Str line) override {
    if (line.starts_with("{\"journal\"")) {
      ++n_head;
    } else {
      ++n_line;
      last.clear();
      last.append(line.first(line.size() < 100 ? line.size() : 100));
    }
  }
  u32 n_head = 0;
  u32 n_line = 0;
  TextBuffer<100> last;
};

// Events of 400 bytes: about 120 of them fill a segment.
Str long_event() {
  static char text[400];
  __builtin_memset(text, 'e', sizeof(text));
  return {text, sizeof(text)};
}

TEST_CASE("journal lines come back in order with a whole chain", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Journal journal(store, log_buffer());
  REQUIRE(journal.open());
  REQUIRE(journal.add("2026-01-31T12:34:56", "boot").ok());
  REQUIRE(journal.add("", "a \"quote\", a \\ and a\nnew line").ok());
  REQUIRE(journal.flush().ok());
  Journal again(store, log_buffer());
  REQUIRE(again.open());
  CHECK(again.n_line() == 2);
  REQUIRE(again.add("", "third").ok());
  REQUIRE(again.flush().ok());
  Lines lines;
  const Journal::Chain chain = again.read(log_scratch(), lines);
  CHECK(chain.n_line == 3);
  CHECK(chain.first_line == 1);
  CHECK(chain.broken_line == 0);
  CHECK(lines.n_head == 1);
  CHECK(lines.last.text().starts_with("{\"n\":3,\"t\":\"\",\"e\":\"third\",\"h\":\""));
  CHECK(Str(Span<const u8>(slots.slot("LOG01", 0)))
            .contains("a \\\"quote\\\", a \\\\ and a\\u000anew line"));
}

TEST_CASE("the hash of a journal line is what journal.h says", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Journal journal(store, log_buffer());
  REQUIRE(journal.open());
  REQUIRE(journal.add("t", "e").ok());
  REQUIRE(journal.flush().ok());
  Sha256 hash;
  const u8 zeros[32] = {};
  hash.update(zeros);
  hash.update(Str("{\"n\":1,\"t\":\"t\",\"e\":\"e\"").bytes());
  TextBuffer<128> line;
  line.print("\n{{\"n\":1,\"t\":\"t\",\"e\":\"e\",\"h\":\"{}\"}\n", to_hex(hash.finish()).str());
  CHECK(Str(Span<const u8>(slots.slot("LOG01", 0))).contains(line.text()));
}

TEST_CASE("what was not flushed before the power went is not there, the rest is", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Journal journal(store, log_buffer());
  REQUIRE(journal.open());
  for (u32 i = 0; i < 5; ++i) {
    REQUIRE(journal.add("", "event").ok());
    REQUIRE(journal.flush().ok());
  }
  REQUIRE(journal.add("", "lost").ok());
  slots.cut_after = 300;
  CHECK(!journal.flush().ok());
  slots.cut_after = MemorySlots::kNever;
  StateStore after(slots, nullptr);
  Journal again(after, log_buffer());
  CHECK(again.open());
  CHECK(again.n_line() == 5);
  Lines lines;
  CHECK(again.read(log_scratch(), lines).broken_line == 0);
  CHECK(lines.n_line == 5);
}

TEST_CASE("segments follow each other, and the oldest makes room", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Journal journal(store, log_buffer());
  REQUIRE(journal.open());
  // 2 MiB of memory hold 16 records of 64 KiB, both slots.
  for (u32 i = 0; i < 2400; ++i) REQUIRE(journal.add("", long_event()).ok());
  REQUIRE(journal.flush().ok());
  Journal again(store, log_buffer());
  REQUIRE(again.open());
  CHECK(again.n_line() == 2400);
  Lines lines;
  const Journal::Chain chain = again.read(log_scratch(), lines);
  CHECK(chain.broken_line == 0);
  CHECK(chain.n_unreadable == 0);
  CHECK(chain.first_line > 1);
  CHECK(chain.first_line + chain.n_line == 2401);
  CHECK(lines.n_head == kStateLogs);
}

TEST_CASE("a line that was changed breaks the chain there", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Journal journal(store, log_buffer());
  REQUIRE(journal.open());
  for (u32 i = 0; i < 200; ++i) REQUIRE(journal.add("", long_event()).ok());
  REQUIRE(journal.flush().ok());
  // Somebody rewrites line 3 of the first segment, and seals the record anew.
  Record record(slots, "LOG01");
  REQUIRE(record.open().ok());
  static u8 bytes[Record::kHeaderBytes + kLogBytes];
  const Result<Span<u8>> all = record.read_all(Span<u8>(bytes).from(Record::kHeaderBytes));
  REQUIRE(all.ok());
  const usize at = Str(Span<const u8>(all.value())).find("{\"n\":3,");
  REQUIRE(at != Str::kNone);
  all.value()[at + 30] = 'E';
  REQUIRE(record.write(bytes, all.value().size()).ok());
  Journal again(store, log_buffer());
  REQUIRE(again.open());
  Lines lines;
  CHECK(again.read(log_scratch(), lines).broken_line == 3);
  // A segment that is gone.
  slots.slot("LOG01", 0)[0] = 0;
  slots.slot("LOG01", 1)[0] = 0;
  Journal third(store, log_buffer());
  CHECK(!third.open());
  CHECK(third.n_line() == 200);
}

TEST_CASE("after damage the journal goes on in a new segment", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Journal journal(store, log_buffer());
  REQUIRE(journal.open());
  REQUIRE(journal.add("", "one").ok());
  REQUIRE(journal.add("", "two").ok());
  REQUIRE(journal.flush().ok());
  Record record(slots, "LOG01");
  REQUIRE(record.open().ok());
  static u8 bytes[Record::kHeaderBytes + kLogBytes];
  const Result<Span<u8>> all = record.read_all(Span<u8>(bytes).from(Record::kHeaderBytes));
  all.value()[Str(Span<const u8>(all.value())).find("two")] = 'T';
  REQUIRE(record.write(bytes, all.value().size()).ok());
  Journal again(store, log_buffer());
  CHECK(!again.open());
  REQUIRE(again.add("", "three").ok());
  REQUIRE(again.flush().ok());
  Journal third(store, log_buffer());
  REQUIRE(third.open());
  Lines lines;
  const Journal::Chain chain = third.read(log_scratch(), lines);
  CHECK(chain.broken_line == 2);
  CHECK(lines.last.text().contains("three"));
}

TEST_CASE("a segment that is fuller than any of ours is not written beyond its buffer", "[state]") {
  // Somebody's slot is larger than ours are, and its lines go on to the end of the buffer.
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  REQUIRE(slots.reserve("LOG01", 2 * kLogBytes).ok());
  static u8 bytes[Record::kHeaderBytes + kLogBytes];
  TextWriter out({reinterpret_cast<char*>(bytes) + Record::kHeaderBytes, kLogBytes});
  out.print("{{\"journal\":1,\"segment\":1,\"first\":1,\"prev\":\"{}\"}\n",
            to_hex(Sha256Digest()).str());
  Sha256Digest last;
  u64 n = 0;
  while (out.text().size() < kLogBytes) {
    TextBuffer<700> line;
    line.print("{{\"n\":{},\"t\":\"", ++n);
    constexpr usize kTail = 6 + 64 + 3;  // ,"h":" and what follows
    const usize n_left = kLogBytes - out.text().size();
    const usize n_wanted = n_left < 600 ? n_left : 300;
    while (line.text().size() + kTail < n_wanted) line.append("x");
    Sha256 hash;
    hash.update(last.bytes);
    hash.update(line.text().bytes());
    last = hash.finish();
    out.append(line.text()).append(",\"h\":\"").append(to_hex(last).str()).append("\"}\n");
  }
  REQUIRE(!out.truncated());
  Record record(slots, "LOG01");
  REQUIRE(record.open().ok());
  REQUIRE(record.write(bytes, kLogBytes).ok());
  static u8 room[Record::kHeaderBytes + kLogBytes + 4 * kKiB];
  __builtin_memset(room, 0xA5, sizeof(room));
  const Span<u8> all(room);
  Journal journal(store, all.first(Record::kHeaderBytes + kLogBytes));
  REQUIRE(journal.open());
  CHECK(journal.n_line() == n);
  REQUIRE(journal.add("", long_event()).ok());
  REQUIRE(journal.flush().ok());
  bool is_untouched = true;
  for (const u8 byte : all.from(Record::kHeaderBytes + kLogBytes))
    is_untouched = is_untouched && byte == 0xA5;
  CHECK(is_untouched);
  Lines lines;
  const Journal::Chain chain = journal.read(log_scratch(), lines);
  CHECK(chain.n_line == n + 1);
  CHECK(chain.broken_line == 0);
  CHECK(lines.n_head == 2);
}

TEST_CASE("a segment with a number that would wrap is none", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Record record(slots, "LOG15");
  REQUIRE(store.open(record, kLogBytes).ok());
  u8 bytes[256];
  TextWriter out({reinterpret_cast<char*>(bytes) + Record::kHeaderBytes, 192});
  out.print("{{\"journal\":1,\"segment\":18446744073709551615,\"first\":1,\"prev\":\"{}\"}\n",
            to_hex(Sha256Digest()).str());
  REQUIRE(record.write(bytes, out.text().size()).ok());
  Journal journal(store, log_buffer());
  CHECK(!journal.open());
  REQUIRE(journal.add("", "one").ok());
  REQUIRE(journal.flush().ok());
  CHECK(journal.n_line() == 1);
}

}  // namespace
