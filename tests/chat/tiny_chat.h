// The tiny model (tiny_model.h) loaded by an engine, with all that an answer needs around it.
#pragma once

#include "core/chat/conversation.h"
#include "core/chat/engine.h"
#include "tests/chat/scripted_host.h"
#include "tests/chat/tiny_model.h"
#include "tests/test.h"

namespace lbm::test {

// Keeps tokens and text of an answer; can refuse text.
class Answer final : public GenerateSink {
 public:
  static constexpr u32 kMax = 512;

  void on_token(u32 id) override {
    if (n_id < kMax) ids[n_id++] = id;
  }
  bool on_text(Str utf8) override {
    if (n_text + utf8.size() > room) return false;
    __builtin_memcpy(text + n_text, utf8.data(), utf8.size());
    n_text += utf8.size();
    return true;
  }
  bool on_reasoning(Str utf8) override {
    if (n_reasoning + utf8.size() > sizeof(reasoning_text)) return false;
    __builtin_memcpy(reasoning_text + n_reasoning, utf8.data(), utf8.size());
    n_reasoning += utf8.size();
    return true;
  }
  void on_notice(Str line) override {
    ++n_notice;
    if (n_notices + line.size() + 1 > sizeof(notices_text)) return;
    __builtin_memcpy(notices_text + n_notices, line.data(), line.size());
    n_notices += line.size();
    notices_text[n_notices++] = '\n';
  }
  [[nodiscard]] Str notices() const { return {notices_text, n_notices}; }
  [[nodiscard]] Str reasoning() const { return {reasoning_text, n_reasoning}; }
  [[nodiscard]] Str str() const { return {text, n_text}; }

  u32 ids[kMax];
  u32 n_id = 0;
  char text[4 * kMax];
  usize n_text = 0;
  char reasoning_text[kMax];
  usize n_reasoning = 0;
  char notices_text[1024];
  usize n_notices = 0;
  u32 n_notice = 0;
  usize room = sizeof(text);
};

// Says stop at the n-th question.
struct StopAfter {
  u32 n_left;
  static bool asked(void* self) {
    u32& n = static_cast<StopAfter*>(self)->n_left;
    if (n == 0) return true;
    --n;
    return false;
  }
  Session::Interrupt interrupt() { return {asked, this}; }
};

// Greedy unless a test sets other parameters.
struct Chat {
  ArrayPages pages{test_memory()};
  SingleWorker worker;
  TickingClock clock;
  Engine engine{pages, worker, *find_kernel_table(CpuFeatures(), "scalar")};
  Arena arena;
  Sampler* sampler = nullptr;
  Conversation* conversation = nullptr;

  explicit Chat(u32 n_ctx = 0, u32 n_batch = 32) : Chat(TinyModel(), n_ctx, n_batch) {}
  explicit Chat(const TinyModel& model, u32 n_ctx = 0, u32 n_batch = 32) {
    static u8 bytes[kTinyModelBytes];
    BufferSource source(make_tiny_model(bytes, model));
    EngineOptions options;
    options.n_ctx = n_ctx;
    options.n_batch = n_batch;
    REQUIRE(engine.load(source, "tiny", options, nullptr).ok());
    arena.add_range(pages.take(2 * kMiB, "test").value());
    sampler = Sampler::create(arena, model.n_vocab()).value();
    SamplerParams params;
    params.temperature = 0;
    sampler->set_params(params);
    conversation = Conversation::create(arena, 64 * kKiB).value();
  }
  [[nodiscard]] Generator with() {
    return {engine.session(), engine.tokenizer(), *sampler, clock, engine.turn_arena(), nullptr};
  }
  Result<GenerateStats> say(Str text, const GenerateOptions& options, Answer& answer,
                            Session::Interrupt interrupt = {}) {
    return conversation->say(with(), engine.chat_template(), text, options, answer, interrupt);
  }
};

inline GenerateOptions at_most(u32 n_token) {
  GenerateOptions options;
  options.max_tokens = n_token;
  return options;
}

}  // namespace lbm::test
