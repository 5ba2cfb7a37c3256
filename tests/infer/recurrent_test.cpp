// Sessions of models with recurrent layers: however they came to where they are, by batches of any
// size, going back, failures and interruptions, their logits are those of a session that evaluated
// the same tokens one by one.
#include "core/infer/recurrent_state.h"
#include "kernels/select.h"
#include "tests/infer/hybrid_model.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

const HybridModel& hybrid(LayerKind kind) {
  static const HybridModel conv(LayerKind::kShortConv);
  static const HybridModel delta(LayerKind::kDeltaNet);
  return kind == LayerKind::kShortConv ? conv : delta;
}
constexpr LayerKind kKinds[] = {LayerKind::kShortConv, LayerKind::kDeltaNet};

const KernelTable& best_table() {
  const KernelTable* tables[8];
  return *tables[usable_kernel_tables(detect_cpu_features(), tables) - 1];
}

SessionParams small_batches(u32 n_batch) {
  SessionParams params;
  params.n_batch = n_batch;
  params.kv = KvType::kF32;
  return params;
}

alignas(64) u8 g_memory[1 << 20];
alignas(64) u8 g_reference_memory[1 << 20];

Session* new_session(Arena& arena, const Model& model, const SessionParams& params,
                     Workers& workers) {
  Result<Session*> session = Session::create(arena, model, params, best_table(), workers);
  return session.ok() ? session.value() : nullptr;
}

// Three cores that take the last task first: the worst order.
class BackwardWorkers final : public Workers {
 public:
  [[nodiscard]] u32 n_worker() const override { return 3; }
  void run(Task task, void* job, u32 n_task) override {
    while (n_task != 0) task(job, --n_task);
  }
};

// Says yes when it was asked so many times.
struct Countdown {
  u32 n_left;
  [[nodiscard]] SessionInterrupt interrupt() {
    return {[](void* context) {
              u32& left = static_cast<Countdown*>(context)->n_left;
              if (left == 0) return true;
              --left;
              return false;
            },
            this};
  }
};

// The logits after `tokens`, each evaluated alone by a session of its own.
bool agrees_with_fresh(const Session& session) {
  Arena arena{Span<u8>(g_reference_memory)};
  SingleWorker worker;
  Session* fresh = new_session(arena, session.model(), small_batches(1), worker);
  if (fresh == nullptr) return false;
  for (const u32 token : session.tokens()) {
    if (!fresh->decode(token).ok()) return false;
  }
  const Span<const f32> expected = fresh->logits();
  const Span<const f32> actual = session.logits();
  return actual.size() == expected.size() &&
         __builtin_memcmp(actual.data(), expected.data(), expected.size_bytes()) == 0;
}

// One random thing that a conversation may do; then one more token, so that there are logits.
bool random_step(Session& session, Pcg32& rng) {
  u32 tokens[24];
  for (u32& token : tokens) token = rng.next() % kHybridBadToken;
  const u32 room = session.n_ctx() - session.n_past();
  const u32 n = min_u32(1 + rng.next() % 24, room - 1);
  Countdown countdown = {rng.next() % (3 * kHybridLayers)};
  switch (rng.next() % 6) {
    case 0: return session.evaluate({tokens, n}).ok();
    case 1: return session.rewind(session.n_past() - rng.next() % (session.n_past() + 1)).ok();
    case 2: {
      const Status status = session.evaluate({tokens, n}, countdown.interrupt());
      return status.ok() || status.error().code == ErrorCode::kCancelled;
    }
    case 3: {
      tokens[n / 2] = kHybridBadToken;
      return session.evaluate({tokens, rng.next() % 2 == 0 ? n : 1 + n / 2}).error().code ==
             ErrorCode::kNumeric;
    }
    case 4: return session.evaluate_each({tokens, min_u32(n, session.max_logits())}).ok();
    default: {
      for (u32 i = 0; i < min_u32(n, 5); ++i) {
        const Status status = session.evaluate({tokens + i, 1}, countdown.interrupt());
        if (!status.ok()) return status.error().code == ErrorCode::kCancelled;
      }
      return true;
    }
  }
}

}  // namespace

TEST_CASE("a model with recurrent layers: any way to a position gives the same bits",
          "[infer][bits]") {
  for (const LayerKind kind : kKinds) {
    REQUIRE(hybrid(kind).status().ok());
    const Model& model = hybrid(kind).model();
    CHECK(model.config.layers[0].kind == kind);
    CHECK(model.config.layers[1].kind == LayerKind::kAttention);
    for (u32 walk = 0; walk < 2; ++walk) {
      Arena arena{Span<u8>(g_memory)};
      BackwardWorkers three;
      SingleWorker one;
      Workers* const workers = walk == 0 ? static_cast<Workers*>(&three) : &one;
      Session* session = new_session(arena, model, small_batches(walk == 0 ? 7 : 4), *workers);
      REQUIRE(session != nullptr);
      arena.seal();  // nothing is allocated from here on
      Pcg32 rng(walk, 3);
      u32 n_agreed = 0;
      constexpr u32 kSteps = 30;
      for (u32 step = 0; step < kSteps; ++step) {
        if (session->n_ctx() - session->n_past() < 4) REQUIRE(session->rewind(9).ok());
        REQUIRE(random_step(*session, rng));
        if (session->n_past() == session->n_ctx()) continue;
        REQUIRE(session->decode(rng.next() % kHybridBadToken).ok());
        n_agreed += agrees_with_fresh(*session) ? 1u : 0u;
      }
      CHECK(n_agreed == kSteps);
    }
  }
}

TEST_CASE("after a failure or an interruption the session is what it was", "[infer]") {
  const u32 prompt[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const u32 bad[] = {3, kHybridBadToken, 5};
  for (const LayerKind kind : kKinds) {
    Arena arena{Span<u8>(g_memory)};
    SingleWorker worker;
    Session* session = new_session(arena, hybrid(kind).model(), small_batches(4), worker);
    REQUIRE(session != nullptr);
    // Before anything was evaluated.
    CHECK(session->evaluate(bad).error().code == ErrorCode::kNumeric);
    CHECK(session->n_past() == 0);
    REQUIRE(session->evaluate(prompt).ok());
    // One token, whose state is lost and made again; and batches.
    CHECK(session->decode(kHybridBadToken).error().code == ErrorCode::kNumeric);
    CHECK(session->decode(kHybridBadToken).error().code == ErrorCode::kNumeric);
    CHECK(session->evaluate(bad).error().code == ErrorCode::kNumeric);
    CHECK(session->n_past() == 10);
    REQUIRE(session->decode(7).ok());
    CHECK(agrees_with_fresh(*session));
    for (u32 n_asked = 0; n_asked < 2 * kHybridLayers; ++n_asked) {
      Countdown countdown = {n_asked};
      const Status status = session->evaluate(prompt, countdown.interrupt());
      REQUIRE(!status.ok());
      CHECK(status.error().code == ErrorCode::kCancelled);
      CHECK(session->n_past() == 11 + n_asked / kHybridLayers * 4);
      CHECK(session->logits().empty());
      REQUIRE(session->rewind(11).ok());
    }
    // One token is not interrupted half-way.
    REQUIRE(session->decode(1).ok());
    Countdown countdown = {0};
    CHECK(session->evaluate({prompt, 1}, countdown.interrupt()).error().code ==
          ErrorCode::kCancelled);
    countdown.n_left = 1;
    REQUIRE(session->evaluate({prompt, 1}, countdown.interrupt()).ok());
    CHECK(agrees_with_fresh(*session));
  }
}

TEST_CASE("a batch that was abandoned left nothing in the slot that it took", "[infer]") {
  const u32 tokens[] = {1, 2, 3, 4};
  for (const LayerKind kind : kKinds) {
    Arena arena{Span<u8>(g_memory)};
    SingleWorker worker;
    Session* session = new_session(arena, hybrid(kind).model(), small_batches(8), worker);
    REQUIRE(session != nullptr);
    // Turns until every slot is a checkpoint, so that the oldest must go.
    constexpr u32 kTurns = RecurrentState::kMaxSlots + 1;
    for (u32 turn = 0; turn < kTurns; ++turn)
      REQUIRE(session->evaluate({tokens, 2 + turn % 2}).ok());
    Countdown countdown = {2};
    REQUIRE(!session->evaluate(tokens, countdown.interrupt()).ok());
    // What lies before the newest state, so that its slot is the one that is free.
    for (u32 n_past = session->n_past() - 1; n_past > 0; --n_past) {
      REQUIRE(session->rewind(n_past).ok());
      REQUIRE(session->decode(5).ok());
      CHECK(agrees_with_fresh(*session));
    }
  }
}

TEST_CASE("going back costs what lies behind the newest checkpoint", "[infer]") {
  // Counts the tokens that go through the first layer.
  class Count final : public TraceSink {
   public:
    void on_operation(u32 layer, Str operation, u32, Span<const f32>) override {
      n += layer == 0 && operation == "attn_norm" ? 1u : 0u;
    }
    u32 n = 0;
  };
  u32 tokens[50];
  for (u32 i = 0; i < 50; ++i) tokens[i] = i % kHybridBadToken;
  Arena arena{Span<u8>(g_memory)};
  SingleWorker worker;
  Session* session =
      new_session(arena, hybrid(LayerKind::kDeltaNet).model(), small_batches(8), worker);
  REQUIRE(session != nullptr);
  Count count;
  session->set_trace(&count);
  const auto evaluated = [&](u32 n) {
    count.n = 0;
    return session->evaluate({tokens, n}).ok() ? count.n : 0;
  };
  CHECK(evaluated(20) == 20);  // kept: 8 for a while, then 16, before the last batch
  CHECK(evaluated(1) == 1);
  REQUIRE(session->rewind(19).ok());
  CHECK(evaluated(1) == 4);  // 16 .. 18, and one more
  REQUIRE(session->rewind(19).ok());
  CHECK(evaluated(1) == 1);  // kept since
  REQUIRE(session->rewind(20).ok());
  CHECK(evaluated(12) == 12);  // a turn: 20 is kept, and 28 before the last batch
  CHECK(evaluated(1) == 1);
  for (u32 again = 0; again < 2; ++again) {
    REQUIRE(session->rewind(28).ok());  // where a checkpoint is, it stays
    CHECK(evaluated(1) == 1);
  }
  REQUIRE(session->rewind(22).ok());  // undone, and another question
  CHECK(evaluated(5) == 7);
  CHECK(evaluated(50) == 50);  // however long a turn is, it takes two slots
  REQUIRE(session->rewind(17).ok());
  CHECK(evaluated(1) == 2);  // the last batch of the first turn is still there
  REQUIRE(session->rewind(3).ok());
  CHECK(evaluated(1) == 4);  // nothing is kept so early: from the beginning
  CHECK(agrees_with_fresh(*session));
}

TEST_CASE("of the states of a long conversation the newest turns and their last batches are kept",
          "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  Result<RecurrentState> created =
      RecurrentState::create(arena, hybrid(LayerKind::kShortConv).model().config);
  REQUIRE(created.ok());
  RecurrentState& state = created.value();
  for (u32 turn = 0; turn < 5; ++turn) {
    state.mark();
    for (const u32 n_token : {8u, 8u, 3u, 1u}) {  // a prompt in three batches, an answer
      CHECK(state.begin(n_token) == (n_token != 1));
      state.commit();
    }
  }
  CHECK(state.pos() == 100);
  const u32 kept[] = {96, 80, 76, 60, 56, 40, 36, 0};  // with the newest, kMaxSlots
  u32 n_past = 99;
  for (const u32 pos : kept) {
    state.rewind(n_past);
    CHECK(state.pos() == pos);
    n_past = pos - 1;
  }
}

TEST_CASE("the state takes what it said, and a model without recurrent layers nothing", "[infer]") {
  for (const LayerKind kind : kKinds) {
    ModelConfig config = hybrid(kind).model().config;
    const u64 layer_bytes =
        (kind == LayerKind::kShortConv ? kShortConvStateFloats : kDeltaNetStateFloats) * 4;
    const u64 bytes = RecurrentState::bytes_needed(config);
    CHECK(RecurrentState::n_slot(config) == RecurrentState::kMaxSlots);
    CHECK(bytes == RecurrentState::kMaxSlots * 2 * layer_bytes +
                       align_up(RecurrentState::kMaxSlots * kHybridLayers * sizeof(f32*), u64{64}));
    REQUIRE(bytes <= sizeof(g_memory));
    Arena exact{Span<u8>(g_memory).first(static_cast<usize>(bytes))};
    Result<RecurrentState> state = RecurrentState::create(exact, config);
    REQUIRE(state.ok());
    CHECK(state.value().present());
    CHECK(exact.bytes_free() == 0);
    Arena small{Span<u8>(g_memory).first(static_cast<usize>(bytes) - 64)};
    CHECK(RecurrentState::create(small, config).error().code == ErrorCode::kOutOfMemory);

    const SessionParams params = small_batches(4);
    const u64 session_bytes = Session::bytes_needed(config, params, 1);
    REQUIRE(session_bytes <= sizeof(g_memory));
    Arena all{Span<u8>(g_memory).first(static_cast<usize>(session_bytes))};
    SingleWorker worker;
    CHECK(new_session(all, hybrid(kind).model(), params, worker) != nullptr);

    for (LayerConfig& layer : config.layers) layer = LayerConfig();
    CHECK(RecurrentState::bytes_needed(config) == 0);
    // However large the state, there are slots for a batch and a turn.
    config.layers[0].kind = LayerKind::kDeltaNet;
    config.short_conv = ShortConvConfig();
    config.delta_net.n_value_head = 64;
    config.delta_net.key_dim = config.delta_net.value_dim = 1024;
    config.delta_net.n_tap = 4;
    CHECK(RecurrentState::n_slot(config) == RecurrentState::kMinSlots);
  }
}
