// A WebAssembly module that evaluates models: the core behind functions for JavaScript.
//
// It imports its memory and nothing else, so what it computes depends on what it is given alone.
// JavaScript puts the bytes of a model file into memory, loads it, and asks for digests (docs/
// numerics.md, R19) or for tokens; numbers and addresses are 32 bits, and a status is an ErrorCode,
// 0 for success, with lbm_message() saying more. There is no clock, so speculation can only be
// forced or left out, and times are taken outside.
//
// With several threads, one instance calls everything here; the others call lbm_serve() on stacks
// of their own (workers.h).
//
// This is the low level, for tests and measurements; api.cpp is what pages use. Both are in every
// module and share one engine (machine.h).
#include "core/chat/generate.h"
#include "web/api_state.h"
#include "web/export.h"
#include "web/machine.h"
#include "web/panic.h"

namespace lbm::web {
namespace {

constexpr u32 kMaxOutput = 4096;  // tokens of an answer

class DropText final : public GenerateSink {
 public:
  explicit DropText(Span<u32> ids) : ids_(ids) {}
  void on_token(u32 id) override {
    if (n_id_ < ids_.size()) ids_[n_id_++] = id;
  }
  [[nodiscard]] bool on_text(Str) override { return true; }
  [[nodiscard]] u32 n_id() const { return n_id_; }

 private:
  Span<u32> ids_;
  u32 n_id_ = 0;
};

class LogitsDigest final : public Session::LogitsSink {
 public:
  void on_logits(u32, Span<const f32> logits) override {
    sha_.update({reinterpret_cast<const u8*>(logits.data()), logits.size_bytes()});
  }
  [[nodiscard]] HexDigest finish() { return to_hex(sha_.finish()); }

 private:
  Sha256 sha_;
};

constinit char g_digest[sizeof(HexDigest) + 1] = {};  // the last digest, ends with a zero
constinit u32 g_output[kMaxOutput] = {};
constinit u32 g_n_output = 0;

void keep_digest(const HexDigest& digest) {
  __builtin_memcpy(g_digest, digest.text, sizeof(digest.text));
}

Status load(Span<const u8> file, u32 table, const EngineOptions& options) {
  // So that nothing but this model is in memory. What api.cpp has of the one before goes with it.
  model_load().abort();
  desk().close();
  drop_engine();
  if (const Status s = use_table(table); !s.ok()) return s;
  MemorySource source(file);
  return engine()->load(source, "model", options, nullptr);
}

// Leaves the session with the first n_past of its tokens.
Status rewind(u32 n_past) {
  if (!has_model()) return fail(ErrorCode::kInvalidArgument, "no model is loaded");
  return engine()->session().rewind(n_past);
}

Status evaluate(u32 n_past, Span<const u32> tokens) {
  if (Status s = rewind(n_past); !s.ok()) return s;
  return engine()->session().evaluate(tokens);
}

Status digest_logits(Span<const u32> tokens) {
  if (Status s = rewind(0); !s.ok()) return s;
  Session& session = engine()->session();
  LogitsDigest digest;
  if (Status s = session.evaluate_all(tokens, digest); !s.ok()) return s;
  keep_digest(digest.finish());
  return {};
}

Status answer(Span<const u32> prompt, const GenerateOptions& options) {
  if (Status s = rewind(0); !s.ok()) return s;
  Session& session = engine()->session();
  Arena& scratch = engine()->turn_arena();
  const Arena::Mark mark = scratch.mark();
  Result<Sampler*> sampler = Sampler::create(scratch, engine()->model().config.n_vocab);
  if (!sampler.ok()) {
    scratch.rewind(mark);
    return sampler.error();
  }
  SamplerParams greedy;
  greedy.temperature = 0;
  sampler.value()->set_params(greedy);
  NoClock clock;
  DropText sink(g_output);
  const Result<GenerateStats> stats = generate(
      {session, engine()->tokenizer(), *sampler.value(), clock, scratch}, prompt, options, sink);
  scratch.rewind(mark);
  if (!stats.ok()) return stats.error();
  g_n_output = sink.n_id();
  keep_digest(to_hex(stats.value().digest));
  return {};
}

}  // namespace

// ---- memory -------------------------------------------------------------------------------------

// The address of `n_byte` bytes, 0 where memory is short.
LBM_EXPORT(lbm_allocate) u8* lbm_allocate(u32 n_byte) {
  const Result<Span<u8>> range = memory().take(n_byte, "memory for JavaScript");
  static_cast<void>(report(range.ok() ? Status() : range.error()));
  return range.ok() ? range.value().data() : nullptr;
}
LBM_EXPORT(lbm_release) void lbm_release(u8* at, u32 n_byte) { memory().give_back({at, n_byte}); }

// What went wrong last; empty where nothing did.
LBM_EXPORT(lbm_message) const char* lbm_message() { return last_message(); }

// ---- kernels and threads ------------------------------------------------------------------------

// The kernel tables that this engine runs right, by index; the last one is the fastest.
LBM_EXPORT(lbm_n_table) u32 lbm_n_table() {
  const KernelTable* tables[8];
  return usable_tables(tables);
}
LBM_EXPORT(lbm_table_name) const char* lbm_table_name(u32 index) {
  const KernelTable* tables[8];
  return index < usable_tables(tables) ? tables[index]->name : "";
}

// How many threads take part in all, before lbm_load().
LBM_EXPORT(lbm_set_threads) void lbm_set_threads(u32 n_thread) {
  workers().set_n_thread(n_thread);
  set_panic_hook([] { workers().wake_all(); });
}
// Never returns. For threads other than the first, each on a stack of its own.
LBM_EXPORT(lbm_serve) void lbm_serve() { workers().serve(); }
LBM_EXPORT(lbm_n_task_served) u32 lbm_n_task_served() { return workers().n_task_served(); }

// ---- models -------------------------------------------------------------------------------------

// Loads the file that stands at `file`, which is not needed afterwards. `kv` is a number of KvType.
LBM_EXPORT(lbm_load)
u32 lbm_load(const u8* file, u32 n_byte, u32 table, u32 n_ctx, u32 n_batch, u32 kv) {
  EngineOptions options;
  options.n_ctx = n_ctx;
  options.n_batch = n_batch;
  options.kv = static_cast<KvType>(kv);
  options.hash_file = false;
  if (kv >= kKvTypeLimit)
    return report(fail(ErrorCode::kInvalidArgument, "there is no such KV type").with(kv));
  return report(load({file, n_byte}, table, options));
}

// Evaluates `tokens` after the first n_past of those before. lbm_logits() are those of the last
// one.
LBM_EXPORT(lbm_evaluate) u32 lbm_evaluate(u32 n_past, const u32* tokens, u32 n_token) {
  return report(evaluate(n_past, {tokens, n_token}));
}
// f32 [n_vocab]; null before the first token.
LBM_EXPORT(lbm_logits) const f32* lbm_logits() {
  return has_model() ? engine()->session().logits().data() : nullptr;
}

// Eval digest of `tokens` in an empty context; see lbm_digest().
LBM_EXPORT(lbm_eval_digest) u32 lbm_eval_digest(const u32* tokens, u32 n_token) {
  return report(digest_logits({tokens, n_token}));
}

// Answers `prompt` in an empty context, greedily, until the answer or the context ends or there are
// max_tokens. Leaves the tokens (lbm_output()) and the run digest.
LBM_EXPORT(lbm_generate)
u32 lbm_generate(const u32* prompt, u32 n_prompt, u32 max_tokens, u32 speculate) {
  GenerateOptions options;
  options.max_tokens = max_tokens == 0 || max_tokens > kMaxOutput ? kMaxOutput : max_tokens;
  options.digest = true;
  options.speculate = speculate != 0 ? Speculate::kAlways : Speculate::kOff;
  return report(answer({prompt, n_prompt}, options));
}
LBM_EXPORT(lbm_output) const u32* lbm_output() { return g_output; }
LBM_EXPORT(lbm_n_output) u32 lbm_n_output() { return g_n_output; }

// 64 hexadecimal digits.
LBM_EXPORT(lbm_digest) const char* lbm_digest() { return g_digest; }

}  // namespace lbm::web
