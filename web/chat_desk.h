// Answers over one loaded model, made step by step: a sampler, a conversation, and the answer in
// the making with its text.
//
// Where the model is external, a step that has tokens to evaluate is preceded by
// needs_evaluation(): JavaScript evaluates them, puts logits or candidates into their place, and
// says so.
#pragma once

#include "core/chat/conversation.h"
#include "core/chat/generation.h"
#include "web/machine.h"

namespace lbm::web {

// What JavaScript asks of an answer: 48 bytes, little-endian, in the order of the members.
struct AnswerParams {
  u32 n_byte = sizeof(AnswerParams);  // of this record: a later one may be longer
  f32 temperature = 0.8f;
  u32 top_k = 40;
  f32 top_p = 0.95f;
  f32 min_p = 0.05f;
  f32 repeat_penalty = 1.0f;
  u32 repeat_last_n = 64;
  u32 no_repeat_ngram = 0;
  u32 max_tokens = 0;  // 0: until the answer or the context ends
  u32 flags = 0;
  u32 seed_low = 0;
  u32 seed_high = 0;

  static constexpr u32 kDigest = 1;         // flags: compute the run digest
  static constexpr u32 kIgnoreEnd = 2;      // an end token is a token like any other
  static constexpr u32 kShowSpecial = 4;    // control tokens appear by their spelling
  static constexpr u32 kSpeculate = 8;      // always guess ahead; else never, for there is no clock
  static constexpr u32 kParseSpecial = 16;  // of a raw prompt: what spells a control token is one
  static constexpr u32 kAllFlags = 31;

  // Errors: kBadValue  a setting out of its range, by name.
  [[nodiscard]] Status check(u32 n_vocab) const;
};
static_assert(sizeof(AnswerParams) == 48);

class ChatDesk final : private GenerateSink {
 public:
  enum class State : u8 { kIdle, kPrompt, kAnswer, kDone };

  // Moves in with `engine`'s model. Errors: kOutOfMemory  nothing is there then.
  [[nodiscard]] Status open(Engine& engine);
  // Gives everything back, an answer in the making included. The model is still loaded.
  void close();
  // The same after the model was unloaded, with its memory; no answer may be in the making.
  void forget();
  [[nodiscard]] bool is_open() const { return engine_ != nullptr; }

  [[nodiscard]] Conversation& conversation() { return *conversation_; }

  // Errors of both: kInvalidArgument  an answer is being made; AnswerParams::check; those of
  // Tokenizer::encode, Conversation::say and generate. The conversation is then as it was.
  [[nodiscard]] Status begin_raw(Str prompt, const AnswerParams& params);
  [[nodiscard]] Status begin_chat(Str question, const AnswerParams& params);
  // Errors: kInvalidArgument  no answer is being made; those of Generation::step. kMissing: it
  // needs_evaluation(), and nothing happened.
  [[nodiscard]] Status step();
  // Ends the answer; what there is of it stays. Does nothing where none is made.
  void cancel();

  // --- Evaluation elsewhere ---
  static constexpr u32 kAllLogits = ~u32{0};
  static constexpr u32 kMaxCandidates = 1024;
  [[nodiscard]] bool needs_evaluation() const;
  // The tokens to evaluate behind the first eval_past() ones. Empty unless needs_evaluation().
  [[nodiscard]] Span<const u32> eval_tokens() const;
  [[nodiscard]] u32 eval_past() const { return engine_->session().n_past(); }
  // What of the logits of the last token has to be given: 0, none; k, at least the k best tokens
  // (of equal ones the lower index first); kAllLogits.
  [[nodiscard]] u32 eval_wants() const;
  // Where to write the logits [n_vocab], or `n` ids and then their logits.
  [[nodiscard]] f32* eval_logits();
  // Errors: kInvalidArgument  fewer than wanted, or more than there is room for.
  [[nodiscard]] Result<u32*> eval_candidates(u32 n);
  // The tokens were evaluated, and what is wanted was written.
  // Errors: kInvalidArgument  nothing was asked for, candidates stand where logits are wanted, or
  // a candidate is no token or stands twice.   kNumeric  of a candidate. Nothing changes.
  [[nodiscard]] Status eval_done();

  // The text and figures of an answer that has ended.
  void forget_answer();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_answering() const { return generation_ != nullptr; }
  [[nodiscard]] u32 newest_token() const { return newest_; }
  [[nodiscard]] bool has_new_token() const { return has_new_; }
  [[nodiscard]] Str text() const { return text_->text(); }
  [[nodiscard]] Str reasoning() const { return reasoning_->text(); }
  [[nodiscard]] const GenerateStats& stats() const;
  [[nodiscard]] u32 n_prompt_done() const;

 private:
  void on_token(u32 id) override;
  [[nodiscard]] bool on_text(Str utf8) override;
  [[nodiscard]] bool on_reasoning(Str utf8) override;

  [[nodiscard]] Status make_parts();
  [[nodiscard]] Status prepare(const AnswerParams& params);
  [[nodiscard]] Generator generator();
  [[nodiscard]] Status finish();
  [[nodiscard]] bool is_external() const { return engine_->session().is_external(); }
  [[nodiscard]] u32 n_step_token() const { return engine_->session().n_batch(); }
  [[nodiscard]] Status spread_candidates();

  Engine* engine_ = nullptr;
  Span<u8> range_;
  Arena memory_;
  Sampler* sampler_ = nullptr;
  Conversation* conversation_ = nullptr;
  TextWriter* text_ = nullptr;
  TextWriter* reasoning_ = nullptr;

  State state_ = State::kIdle;
  Generation* generation_ = nullptr;  // while an answer is made
  bool is_chat_ = false;
  Arena::Mark before_ = {};  // of a raw answer
  GenerateOptions options_;
  GenerateStats stats_;  // of the newest answer that has ended
  NoClock clock_;
  u32 newest_ = 0;
  bool has_new_ = false;

  // Of an external model.
  u32 candidates_[2 * kMaxCandidates] = {};  // ids, then logits
  u32 n_candidate_ = 0;                      // announced; 0: all logits
  bool was_evaluated_ = false;               // what the next step takes is there
};

}  // namespace lbm::web
