// The state of a session, taken out and put back: what follows is the same to the bit.
#include "core/state/kv_snapshot.h"
#include "kernels/select.h"
#include "tests/infer/hybrid_model.h"
#include "tests/test.h"

namespace {

using namespace lbm;
using namespace lbm::test;

alignas(64) u8 g_first_memory[1 << 20];
alignas(64) u8 g_second_memory[1 << 20];
u8 g_state[256 * 1024];

const HybridModel& model_of(LayerKind kind) {
  static const HybridModel conv(LayerKind::kShortConv);
  static const HybridModel delta(LayerKind::kDeltaNet);
  return kind == LayerKind::kShortConv ? conv : delta;
}

Session* new_session(Span<u8> memory, const Model& model, u32 n_ctx, KvType kv) {
  // Each test has one arena for each memory at a time.
  static Arena arenas[2];
  Arena& arena = arenas[memory.data() == g_first_memory ? 0 : 1];
  arena.drop_ranges();
  arena.add_range(memory);
  static SingleWorker worker;
  SessionParams params;
  params.n_ctx = n_ctx;
  params.n_batch = 7;
  params.kv = kv;
  const KernelTable* tables[8];
  const u32 n = usable_kernel_tables(detect_cpu_features(), tables);
  Result<Session*> session = Session::create(arena, model, params, *tables[n - 1], worker);
  REQUIRE(session.ok());
  return session.value();
}

class CopyOut final : public StateVisitor {
 public:
  bool on_state(Span<u8> bytes) override {
    if (bytes.size() > sizeof(g_state) - n) return false;
    __builtin_memcpy(g_state + n, bytes.data(), bytes.size());
    n += bytes.size();
    return true;
  }
  usize n = 0;
};

class CopyIn final : public StateVisitor {
 public:
  explicit CopyIn(usize room) : room_(room) {}
  bool on_state(Span<u8> bytes) override {
    if (bytes.size() > room_ - n) return false;
    __builtin_memcpy(bytes.data(), g_state + n, bytes.size());
    n += bytes.size();
    return true;
  }
  usize n = 0;

 private:
  usize room_;
};

bool same(Span<const f32> a, Span<const f32> b) {
  return a.size() == b.size() && !a.empty() &&
         __builtin_memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

TEST_CASE("a session goes on from a kept state as if it had never stopped", "[state]") {
  u32 tokens[40];
  for (u32 i = 0; i < 40; ++i) tokens[i] = (i * 7 + 3) % (kHybridVocab - 1);
  for (const LayerKind kind : {LayerKind::kShortConv, LayerKind::kDeltaNet}) {
    for (const KvType kv : {KvType::kF16, KvType::kF32, KvType::kQ8_0}) {
      for (const u32 n : {1u, 15u, 16u, 17u, 39u}) {
        Session& first = *new_session(g_first_memory, model_of(kind).model(), 64, kv);
        REQUIRE(first.evaluate({tokens, n}).ok());
        CopyOut out;
        REQUIRE(first.n_state_token() == n);
        REQUIRE(first.visit_state(out));
        CHECK(out.n == first.state_bytes(n));
        // Another length of context, and something else evaluated before.
        Session& second = *new_session(g_second_memory, model_of(kind).model(), 40, kv);
        REQUIRE(second.evaluate({tokens + 3, 9}).ok());
        CopyIn in(out.n);
        REQUIRE(second.restore_state({tokens, n}, in).ok());
        CHECK(in.n == out.n);
        CHECK(second.n_past() == n);
        CHECK(second.logits().empty());
        REQUIRE(first.decode(tokens[n]).ok());
        REQUIRE(second.decode(tokens[n]).ok());
        CHECK(same(first.logits(), second.logits()));
        // Going back works on both sides of what was kept.
        REQUIRE(second.rewind(n > 2 ? n - 2 : 0).ok());
        REQUIRE(second.evaluate({tokens + second.n_past(), n + 1 - second.n_past()}).ok());
        CHECK(same(first.logits(), second.logits()));
      }
    }
  }
}

TEST_CASE("a state that does not come leaves an empty session that works", "[state]") {
  const u32 tokens[] = {1, 2, 3, 4, 5};
  for (const LayerKind kind : {LayerKind::kShortConv, LayerKind::kDeltaNet}) {
    Session& first = *new_session(g_first_memory, model_of(kind).model(), 64, KvType::kF32);
    REQUIRE(first.evaluate(tokens).ok());
    CopyOut out;
    REQUIRE(first.visit_state(out));
    Session& second = *new_session(g_second_memory, model_of(kind).model(), 64, KvType::kF32);
    CopyIn half(out.n / 2);
    CHECK(second.restore_state(tokens, half).error().code == ErrorCode::kIo);
    CHECK(second.n_past() == 0);
    REQUIRE(second.evaluate(tokens).ok());
    CHECK(same(first.logits(), second.logits()));
    const u32 unknown[] = {1, kHybridVocab};
    CopyIn in(out.n);
    CHECK(second.restore_state(unknown, in).error().code == ErrorCode::kInvalidArgument);
    CHECK(in.n == 0);
  }
}

SnapshotHead some_head() {
  SnapshotHead head;
  head.n_token = 3;
  head.kv_type = 1;
  head.model.bytes[0] = 9;
  head.state_bytes = 1000;
  head.text_bytes = 20;
  REQUIRE(head.set_name("llmk-snap").ok());
  return head;
}

TEST_CASE("the head of a snapshot comes back, and its numbers are checked", "[state]") {
  u8 bytes[SnapshotHead::kBytes];
  const SnapshotHead head = some_head();
  head.write(bytes);
  CHECK(head.payload_bytes() == 128 + 12 + 20 + 1000);
  const Result<SnapshotHead> again = SnapshotHead::parse(bytes, head.payload_bytes());
  REQUIRE(again.ok());
  CHECK(again.value().n_token == 3);
  CHECK(again.value().name_text() == "llmk-snap");
  CHECK(again.value().model == head.model);
  CHECK(SnapshotHead::parse(bytes, head.payload_bytes() + 1).error().code == ErrorCode::kBadValue);
  CHECK(SnapshotHead::parse(Span<const u8>(bytes, 127), 127).error().code == ErrorCode::kTruncated);
  for (const usize at : {48u, 56u}) {  // sums that overflow
    head.write(bytes);
    __builtin_memset(bytes + at, 0xFF, 8);
    CHECK(SnapshotHead::parse(bytes, head.payload_bytes()).error().code == ErrorCode::kBadValue);
  }
  head.write(bytes);
  __builtin_memset(bytes + 8, 0xFF, 4);
  CHECK(SnapshotHead::parse(bytes, head.payload_bytes()).error().code == ErrorCode::kBadValue);
  bytes[0] = 'X';
  CHECK(SnapshotHead::parse(bytes, head.payload_bytes()).error().code == ErrorCode::kBadMagic);
  SnapshotHead named;
  CHECK(named.set_name("").error().code == ErrorCode::kBadName);
  CHECK(named.set_name("a name that is longer than a name has").error().code ==
        ErrorCode::kBadName);
}

TEST_CASE("a snapshot fits the model, the cache and the room it was made for", "[state]") {
  const SnapshotHead kept = some_head();
  CHECK(match_snapshot(kept, some_head(), 3).ok());
  CHECK(match_snapshot(kept, some_head(), 2).error().code == ErrorCode::kContextFull);
  SnapshotHead other = some_head();
  other.model.bytes[31] = 1;
  CHECK(match_snapshot(kept, other, 3).error().code == ErrorCode::kMismatch);
  other = some_head();
  other.kv_type = 0;
  CHECK(match_snapshot(kept, other, 3).error().code == ErrorCode::kMismatch);
  other = some_head();
  other.state_bytes = 999;
  CHECK(match_snapshot(kept, other, 3).error().code == ErrorCode::kMismatch);
}

}  // namespace
