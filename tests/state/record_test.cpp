// Records: what a power cut, a bad medium and the wrap of the generation do to them.
#include "core/state/record.h"

#include "core/state/state_store.h"
#include "tests/state/memory_slots.h"
#include "tests/test.h"

namespace {

using namespace lbm;
using test::MemorySlots;

constexpr u64 kSlot = 4 * kKiB;

// A slot's worth of bytes with room for a header.
struct Draft {
  u8 bytes[kSlot];
  usize size = 0;

  explicit Draft(Str text) : size(text.size()) {
    __builtin_memcpy(bytes + Record::kHeaderBytes, text.data(), text.size());
  }
};

Status put(Record& record, Str text) {
  Draft draft(text);
  return record.write(draft.bytes, draft.size);
}

bool holds(const Record& record, Str text) {
  u8 bytes[kSlot];
  const Result<Span<u8>> all = record.read_all(bytes);
  return all.ok() && Str(all.value()) == text;
}

Record opened(MemorySlots& slots, Str name) {
  Record record(slots, name);
  REQUIRE(record.open().ok());
  return record;
}

void put_u64(Span<u8> out, usize at, u64 value) {
  for (u32 i = 0; i < 8; ++i) out[at + i] = static_cast<u8>(value >> (8 * i));
}

// Gives the slot that holds `text` another generation, sealed as a writer would.
void set_generation(MemorySlots& slots, Str name, u32 slot, u64 generation, Str text) {
  const Span<u8> bytes = slots.slot(name, slot);
  put_u64(bytes, 8, generation);
  put_u64(bytes, 16, text.size());
  __builtin_memcpy(bytes.data() + Record::kHeaderBytes, text.data(), text.size());
  Sha256 hash;
  hash.update(text.bytes());
  hash.update(name.bytes());
  hash.update(bytes.first(32));
  const Sha256Digest digest = hash.finish();
  __builtin_memcpy(bytes.data() + 32, digest.bytes, 32);
}

TEST_CASE("a new record is empty, and what is written comes back", "[state]") {
  MemorySlots slots(test::slot_memory());
  Record missing(slots, "NONE");
  CHECK(missing.open().error().code == ErrorCode::kNotFound);
  REQUIRE(slots.reserve("A", kSlot).ok());
  Record record = opened(slots, "A");
  CHECK(!record.present());
  CHECK(!record.damaged());
  CHECK(record.capacity() == kSlot - Record::kHeaderBytes);
  u8 none[1];
  CHECK(record.read(0, none).error().code == ErrorCode::kMissing);
  REQUIRE(put(record, "first").ok());
  CHECK(record.generation() == 1);
  REQUIRE(put(record, "second").ok());
  REQUIRE(put(record, "").ok());
  CHECK(record.generation() == 3);
  CHECK(holds(opened(slots, "A"), ""));
  REQUIRE(put(record, "fourth").ok());
  CHECK(holds(opened(slots, "A"), "fourth"));
  CHECK(opened(slots, "A").generation() == 4);
  CHECK(record.read(5, none).ok());
  CHECK(none[0] == 'h');
  CHECK(record.read(6, none).error().code == ErrorCode::kTruncated);
  u8 short_room[3];
  CHECK(record.read_all(short_room).error().code == ErrorCode::kLimit);
}

TEST_CASE("a write that is cut off anywhere leaves what was there", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  const Str old_text = "what was committed";
  const Str new_text = "what was on its way when the power went";
  bool all_kept = true;
  bool all_go_on = true;
  for (usize cut = 0; cut <= Record::kHeaderBytes + new_text.size(); ++cut) {
    Record record = opened(slots, "A");
    REQUIRE(put(record, "something before").ok());
    REQUIRE(put(record, old_text).ok());
    const u64 generation = record.generation();
    slots.cut_after = cut;
    const bool written = put(record, new_text).ok();
    slots.cut_after = MemorySlots::kNever;
    Record after = opened(slots, "A");
    const bool is_new = cut == Record::kHeaderBytes + new_text.size();
    all_kept = all_kept && written == is_new && holds(after, is_new ? new_text : old_text) &&
               after.generation() == generation + (is_new ? 1 : 0);
    all_go_on = all_go_on && put(after, "on").ok() && holds(opened(slots, "A"), "on");
  }
  CHECK(all_kept);
  CHECK(all_go_on);
}

TEST_CASE("every byte of a slot that changes costs that slot only", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  Record record = opened(slots, "A");
  REQUIRE(put(record, "older").ok());   // slot 0
  REQUIRE(put(record, "newest").ok());  // slot 1
  const Span<u8> newest = slots.slot("A", 1);
  bool all_fell_back = true;
  for (usize i = 0; i < Record::kHeaderBytes + 6; ++i) {
    newest[i] ^= 0x40;
    all_fell_back = all_fell_back && holds(opened(slots, "A"), "older");
    newest[i] ^= 0x40;
  }
  CHECK(all_fell_back);
  CHECK(holds(opened(slots, "A"), "newest"));
  newest[40] ^= 1;
  slots.slot("A", 0)[40] ^= 1;
  const Record lost = opened(slots, "A");
  CHECK(!lost.present());
  CHECK(lost.damaged());
}

TEST_CASE("a file under another record's name is no record", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  REQUIRE(slots.reserve("B", kSlot).ok());
  Record record = opened(slots, "A");
  REQUIRE(put(record, "text").ok());
  __builtin_memcpy(slots.slot("B", 0).data(), slots.slot("A", 0).data(), kSlot);
  CHECK(opened(slots, "B").damaged());
}

TEST_CASE("generations wrap, and equal ones are decided", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  Record record = opened(slots, "A");
  REQUIRE(put(record, "x").ok());
  REQUIRE(put(record, "y").ok());
  const u64 last = ~u64{0};
  set_generation(slots, "A", 0, last - 1, "before");
  set_generation(slots, "A", 1, last, "last");
  Record wraps = opened(slots, "A");
  CHECK(holds(wraps, "last"));
  REQUIRE(put(wraps, "first again").ok());
  CHECK(wraps.generation() == 1);  // 0 is never written
  CHECK(holds(opened(slots, "A"), "first again"));
  REQUIRE(put(wraps, "second").ok());
  CHECK(holds(opened(slots, "A"), "second"));
  set_generation(slots, "A", 0, 7, "slot 0");
  set_generation(slots, "A", 1, 7, "slot 1");
  Record equal = opened(slots, "A");
  CHECK(holds(equal, "slot 0"));
  REQUIRE(put(equal, "after").ok());
  CHECK(holds(opened(slots, "A"), "after"));
  set_generation(slots, "A", 0, 1, "slot 0");
  set_generation(slots, "A", 1, 1 + (u64{1} << 63), "slot 1");
  CHECK(holds(opened(slots, "A"), "slot 0"));
  set_generation(slots, "A", 0, 0, "zero");
  CHECK(holds(opened(slots, "A"), "slot 1"));
}

TEST_CASE("a size beyond the slot is no record", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  Record record = opened(slots, "A");
  REQUIRE(put(record, "x").ok());
  for (const u64 size : {kSlot - Record::kHeaderBytes + 1, ~u64{0}, ~u64{0} - 63}) {
    put_u64(slots.slot("A", 0), 16, size);
    CHECK(opened(slots, "A").damaged());
  }
  static u8 large[kSlot + Record::kHeaderBytes];
  CHECK(record.write(large, kSlot).error().code == ErrorCode::kLimit);
}

TEST_CASE("a medium that keeps something else is noticed at once", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  Record record = opened(slots, "A");
  REQUIRE(put(record, "good").ok());
  slots.garbles = true;
  CHECK(put(record, "a text of some length, of which a byte will change").error().code ==
        ErrorCode::kBadHash);
  CHECK(holds(record, "good"));
  CHECK(holds(opened(slots, "A"), "good"));
}

TEST_CASE("a slot that does not read costs that slot only", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  Record record = opened(slots, "A");
  REQUIRE(put(record, "older").ok());
  REQUIRE(put(record, "newest").ok());
  slots.unreadable_slot = 1;
  CHECK(holds(opened(slots, "A"), "older"));
  slots.unreadable_slot = 0;
  CHECK(holds(opened(slots, "A"), "newest"));
}

TEST_CASE("a record is written in pieces, and counts when it is whole", "[state]") {
  MemorySlots slots(test::slot_memory());
  REQUIRE(slots.reserve("A", kSlot).ok());
  Record record = opened(slots, "A");
  REQUIRE(put(record, "one piece").ok());
  record.begin();
  REQUIRE(record.append(Str("first, ").bytes()).ok());
  REQUIRE(record.append(Str("second").bytes()).ok());
  CHECK(holds(opened(slots, "A"), "one piece"));
  REQUIRE(record.commit().ok());
  CHECK(holds(opened(slots, "A"), "first, second"));
  static u8 large[kSlot];
  record.begin();
  CHECK(record.append(large).error().code == ErrorCode::kLimit);
  CHECK(holds(opened(slots, "A"), "first, second"));
  record.begin();
  REQUIRE(record.commit().ok());
  CHECK(holds(opened(slots, "A"), ""));
}

class Commits final : public CommitObserver {
 public:
  void on_commit(Str, u64 generation) override {
    ++n;
    last = generation;
  }
  u32 n = 0;
  u64 last = 0;
};

TEST_CASE("the first write that fails is the last, with one notice", "[state]") {
  MemorySlots slots(test::slot_memory());
  Commits commits;
  StateStore store(slots, &commits);
  Record record(slots, "A");
  REQUIRE(store.open(record, kSlot).ok());
  Draft draft("text");
  REQUIRE(store.write(record, draft.bytes, draft.size).ok());
  CHECK(commits.n == 1);
  CHECK(store.take_notice().empty());
  slots.cut_after = 0;
  CHECK(!store.write(record, draft.bytes, draft.size).ok());
  slots.cut_after = MemorySlots::kNever;
  CHECK(!store.why_read_only().empty());
  CHECK(store.take_notice().contains("does not write"));
  CHECK(store.take_notice().empty());
  const u32 n_write = slots.n_write;
  CHECK(store.write(record, draft.bytes, draft.size).error().code == ErrorCode::kReadOnly);
  CHECK(slots.n_write == n_write);
  CHECK(commits.n == 1);
  CHECK(holds(record, "text"));
}

TEST_CASE("on a read-only medium nothing is made and nothing is written", "[state]") {
  MemorySlots slots(test::slot_memory());
  slots.read_only = "the disk is write-protected";
  StateStore store(slots, nullptr);
  Record record(slots, "A");
  CHECK(store.open(record, kSlot).error().code == ErrorCode::kReadOnly);
  CHECK(store.take_notice() == "the disk is write-protected");
  CHECK(slots.n_write == 0);
}

TEST_CASE("a disk that is taken out is a notice and no error", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Record record(slots, "A");
  Record other(slots, "B");
  REQUIRE(store.open(record, kSlot).ok());
  Draft draft("text");
  slots.out_after = 0;
  CHECK(store.write(record, draft.bytes, draft.size).error().code == ErrorCode::kReadOnly);
  CHECK(store.take_notice() == "the disk was taken out");
  CHECK(store.take_notice().empty());
  CHECK(store.open(record, kSlot).error().code == ErrorCode::kReadOnly);
  CHECK(store.open(other, kSlot).error().code == ErrorCode::kReadOnly);
  // Found where a record is opened.
  slots.read_only = {};
  StateStore second(slots, nullptr);
  CHECK(second.open(record, kSlot).error().code == ErrorCode::kReadOnly);
  CHECK(second.take_notice() == "the disk was taken out");
}

TEST_CASE("a place that appears, and goes again, is news again", "[state]") {
  MemorySlots slots(test::slot_memory());
  slots.read_only = "there is no place";
  StateStore store(slots, nullptr);
  CHECK(!store.take_notice().empty());
  slots.read_only = {};
  CHECK(store.take_notice().empty());
  slots.read_only = "the disk was taken out";
  CHECK(store.take_notice() == "the disk was taken out");
}

TEST_CASE("making room can be stopped, and tried again", "[state]") {
  struct Once final : public ProgressObserver {
    bool on_progress(u64, u64) override { return ++n > 1; }
    u32 n = 0;
  };
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Record record(slots, "A");
  Once progress;
  CHECK(store.open(record, kSlot, &progress).error().code == ErrorCode::kCancelled);
  CHECK(store.why_read_only().empty());
  REQUIRE(store.open(record, kSlot, &progress).ok());
  CHECK(progress.n == 2);
  Draft draft("text");
  CHECK(store.write(record, draft.bytes, draft.size).ok());
  // An image with smaller places than this version would make is as good.
  CHECK(store.open(record, 2 * kSlot).ok());
  Record smaller(slots, "B");
  REQUIRE(slots.reserve("B", kSlot).ok());
  CHECK(store.open(smaller, 2 * kSlot).ok());
}

TEST_CASE("names of records", "[state]") {
  for (const Str name : {Str("A"), Str("CHAT07"), Str("SETTINGS"), Str("A-B_9")})
    CHECK(is_record_name(name));
  for (const Str name : {Str(""), Str("a"), Str("NINECHARS"), Str("../A"), Str("A.0"), Str("A B")})
    CHECK(!is_record_name(name));
}

TEST_CASE("what does not fit leaves the store writable", "[state]") {
  MemorySlots slots(test::slot_memory());
  StateStore store(slots, nullptr);
  Record record(slots, "A");
  REQUIRE(store.open(record, kSlot).ok());
  static u8 large[kSlot + Record::kHeaderBytes];
  CHECK(store.write(record, large, kSlot).error().code == ErrorCode::kLimit);
  CHECK(store.why_read_only().empty());
  CHECK(numbered_record("CHAT", 7).str() == "CHAT07");
}

}  // namespace
