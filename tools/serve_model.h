// The model behind `lbm serve`: prompts in, answers and embeddings out, in the slots there are.
#pragma once

#include <atomic>

#include "tools/serve_answer.h"
#include "tools/serve_constraint.h"
#include "tools/serve_prompt.h"
#include "tools/serve_request.h"

namespace lbm::cli {

// What the model has done so far, for /metrics.
struct ServeCounts {
  std::atomic<u64> n_request{0};
  std::atomic<u64> n_refused{0};  // 429
  std::atomic<u64> n_cancelled{0};
  std::atomic<u64> n_prompt{0};
  std::atomic<u64> n_kept{0};  // of those, what a request before had evaluated
  std::atomic<u64> n_output{0};
  std::atomic<u64> prefill_us{0};
  std::atomic<u64> decode_us{0};
};

// How an answer ended. StopReason::kInterrupted: the client is gone.
struct AnswerStats {
  GenerateStats generate;
  std::string stop;  // the stop text that ended it, or empty
};

struct Embedding {
  std::vector<f32> values;
  u32 n_token = 0;
  bool is_gone = false;  // the client is, and there are no values
};

class ServeModel {
 public:
  // Loads. Throws CommandError.
  ServeModel(const ModelFlags& flags, u32 n_slot, u32 n_waiting);

  // What has to be known before an answer is begun. Throw ApiError: 400 for what the template or
  // the vocabulary refuses, and with context_length_exceeded; 429.
  [[nodiscard]] ChatPrompt chat_prompt(const ChatRequest& request);
  [[nodiscard]] std::vector<u32> prompt_ids(const TextInput& input, const char* field);

  // Answer number `index` of a request. Throw ApiError: 400 for a grammar or a schema, 429 too many
  // wait; 503 no memory; 500. After the first call of `listener` an exception means that the answer
  // is broken off.
  [[nodiscard]] AnswerStats chat(const ChatRequest& request, const ChatPrompt& prompt, u32 index,
                                 AnswerListener& listener);
  [[nodiscard]] AnswerStats complete(const CompletionRequest& request, const std::vector<u32>& ids,
                                     u32 index, AnswerListener& listener);
  // The mean of the final states of all tokens, of length 1.
  [[nodiscard]] Embedding embed(const std::vector<u32>& ids, Waiting& client, bool goes_on = false);

  // The following may be called at any time.
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& path() const { return model_.path(); }
  [[nodiscard]] u32 n_ctx() const { return n_ctx_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return model_.tokenizer(); }
  [[nodiscard]] Str template_source() { return model_.engine().chat_template().source(); }
  [[nodiscard]] const ModelConfig& config() const { return model_.config(); }
  [[nodiscard]] const ServeCounts& counts() const { return counts_; }
  [[nodiscard]] SlotPool& slots() { return slots_; }

 private:
  struct Task;

  void count(const GenerateStats& stats);
  [[nodiscard]] AnswerStats answer(const Task& task, AnswerListener& listener);
  [[nodiscard]] AnswerStats answer_in(Slot& slot, const Task& task, AnswerListener& listener);
  [[nodiscard]] Result<GenerateStats> generate_in(Slot& slot, const Task& task,
                                                  const GenerateOptions& options, AnswerSink& sink,
                                                  AnswerListener& listener);

  LoadedModel model_;
  PromptMaker prompts_;
  Constraints constraints_;
  SlotPool slots_;
  std::string id_;
  u32 n_ctx_;
  ServeCounts counts_;
};

}  // namespace lbm::cli
