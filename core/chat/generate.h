// One answer: prompt ids in, tokens and text out.
//
//   prompt ids --(common prefix with the session is kept)--> prefill -> [ pick -> emit -> decode ]*
//
// Nothing is allocated in the loop: the one buffer it needs is taken from `scratch` before the
// first token. The sampler starts from its seed for every answer, so an answer is a function of
// (model, prompt ids, parameters) and of nothing that came before.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/infer/sampler.h"
#include "core/infer/session.h"
#include "core/infer/speculate.h"
#include "core/infer/token_filter.h"
#include "core/platform.h"
#include "core/tokenizer/tokenizer.h"

namespace lbm {

enum class StopReason : u8 {
  kEndOfGeneration,  // the model ended its answer
  kLength,           // max_tokens were emitted
  kContext,          // no room for another token; never silent: the caller must say so
  kInterrupted,      // the user stopped it
  kLoop,             // it said the same again and again (loop_guard.h)
};

// "eog", "length", "context", "interrupted", "loop"
[[nodiscard]] Str stop_reason_name(StopReason reason);

struct GenerateOptions {
  u32 max_tokens = 0;         // 0: until the answer or the context ends
  bool stop_at_end = true;    // false: an end token is a token like any other (--ignore-eos)
  bool show_special = false;  // control tokens appear in the text by their spelling
  bool digest = false;        // compute GenerateStats::digest
  u32 loop_guard = 0;         // stop after so many equal runs of tokens; 0: never (loop_guard.h)
  Speculate speculate = Speculate::kAuto;  // changes the time, never the answer
  // What the answer may consist of (a GrammarFilter, core/chat/grammar_filter.h); null: anything.
  // The answer ends where the filter says that it must. The filter outlives the answer.
  TokenFilter* filter = nullptr;
};

// Receives the answer as it comes. Calls happen on the thread of generate(), between two forward
// passes.
class GenerateSink {
 public:
  // Every emitted token, the end token included, before its text.
  virtual void on_token(u32 id) { static_cast<void>(id); }
  // Before that: the logits [n_vocab] it was picked from, as the model gave them.
  virtual void on_logits(u32 id, Span<const f32> logits) {
    static_cast<void>(id);
    static_cast<void>(logits);
  }
  // Whole UTF-8 characters, as the model wrote them: control bytes are still in there. Only
  // write_printable() (printable.h) may bring them to a terminal. False: no room for this text,
  // generation stops with kContext.
  [[nodiscard]] virtual bool on_text(Str utf8) = 0;
  // The same for the model's reasoning, where something tells it apart from the answer: a
  // Conversation does (think.h); generate() itself calls on_text() for everything.
  [[nodiscard]] virtual bool on_reasoning(Str utf8) {
    static_cast<void>(utf8);
    return true;
  }
  // True: the text so far ends the answer, as an end token would. Asked after every token.
  [[nodiscard]] virtual bool finished() { return false; }
  // From a Conversation: one line that the user must see before the answer, without its '\n'.
  virtual void on_notice(Str line) { static_cast<void>(line); }
  // From a Conversation: the prompt is ready; nothing but the answer follows.
  virtual void on_answer() {}

 protected:
  ~GenerateSink() = default;
};

struct GenerateStats {
  StopReason stop = StopReason::kEndOfGeneration;
  u32 n_prompt = 0;     // tokens of the prompt
  u32 n_evaluated = 0;  // of those, how many went through forward(); the others were kept
  u32 n_output = 0;     // tokens emitted, the end token included
  u32 n_decoded = 0;    // of those, how many went through forward()
  u32 n_drafted = 0;    // tokens guessed and evaluated ahead (core/infer/speculate.h)
  u32 n_accepted = 0;   // of those, how many came true
  u32 loop_period = 0;  // kLoop: tokens of what was repeated
  u64 prefill_us = 0;
  u64 decode_us = 0;  // picking, text and forward passes; the time spent hashing is left out
  u64 hash_us = 0;
  bool has_digest = false;
  // Run digest (docs/numerics.md R19): SHA-256 over, for each emitted token, u32 id and the n_vocab
  // f32 logits it was chosen from, all little-endian.
  Sha256Digest digest;

  // Tokens per second; 0 where nothing was measured.
  [[nodiscard]] f64 prefill_rate() const;
  [[nodiscard]] f64 decode_rate() const;
};

// What an answer is made with. All of it outlives the call.
struct Generator {
  Session& session;
  const Tokenizer& tokenizer;
  Sampler& sampler;
  Clock& clock;
  Arena& scratch;                         // some pieces' worth of bytes are taken and given back
  Sha256BlockFn sha256_blocks = nullptr;  // KernelTable::sha256_blocks; null: the portable one
};

// Answers `prompt`. `interrupt` is asked before every batch of the prompt and before every decoded
// token. A prompt that was interrupted gives kInterrupted with n_output 0; what was evaluated stays
// in the session.
// Errors: kInvalidArgument  the prompt is empty, or has a token that the vocabulary lacks.
//         kContextFull      the prompt is longer than the context: (n_prompt, n_ctx).
// After these two the session is unchanged; after the following it holds a prefix of the prompt and
// answer:
//         kNumeric          from the forward pass or the sampler.
//         kOutOfMemory      scratch is too small.
[[nodiscard]] Result<GenerateStats> generate(const Generator& with, Span<const u32> prompt,
                                             const GenerateOptions& options, GenerateSink& sink,
                                             Session::Interrupt interrupt = {});

}  // namespace lbm
