// The model behind `lbm serve`: one session, one answer at a time, in the order of the requests.
//
// What was evaluated for the last answer stays in the session, so a client that sends its
// conversation again with one more message pays for that message only.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "core/chat/generate.h"
#include "tools/loaded_model.h"
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

// Takes an answer as it comes; nothing is called before the prompt was accepted. No exception may
// leave these: the core is below them on the stack.
class AnswerListener {
 public:
  virtual ~AnswerListener() = default;
  virtual void on_text(const std::string& text) = 0;
  virtual void on_reasoning(const std::string& text) = 0;
  // The client no longer waits. Asked often, also while the request waits for its turn.
  [[nodiscard]] virtual bool is_gone() = 0;
};

class ServeModel {
 public:
  // Loads. At most `n_waiting` requests wait. Throws CommandError.
  ServeModel(const ModelFlags& flags, u32 n_waiting);

  // Answer. Throw ApiError: 429 too many wait; 400 with context_length_exceeded, and for what the
  // template or the vocabulary refuses; 503 no memory; 500. After the first call of `listener` an
  // exception means that the answer is broken off. StopReason::kInterrupted: the client is gone.
  [[nodiscard]] GenerateStats chat(const ChatRequest& request, AnswerListener& listener);
  [[nodiscard]] GenerateStats complete(const CompletionRequest& request, AnswerListener& listener);

  // The following may be called at any time.
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] u32 n_ctx() const { return n_ctx_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return model_.tokenizer(); }
  [[nodiscard]] Str template_source() { return model_.engine().chat_template().source(); }
  [[nodiscard]] const ModelConfig& config() const { return model_.config(); }
  [[nodiscard]] const ServeCounts& counts() const { return counts_; }
  [[nodiscard]] u32 n_waiting();

 private:
  class Turn;  // the right to use the model, from its making to its end

  void count(const GenerateStats& stats);
  [[nodiscard]] Result<GenerateStats> answer_chat(const ChatRequest& request, GenerateSink& sink,
                                                  Session::Interrupt interrupt,
                                                  std::string& exception);
  [[nodiscard]] GenerateStats answer(
      const AnswerRequest& request, AnswerListener& listener,
      const std::function<Result<GenerateStats>(GenerateSink&, Session::Interrupt, std::string&)>&
          make);

  LoadedModel model_;
  ReservedMemory memory_;
  Arena scratch_;
  Sampler& sampler_;
  Generator generator_;
  std::string id_;
  u32 n_ctx_;
  u32 max_waiting_;
  ServeCounts counts_;

  std::mutex mutex_;
  std::condition_variable moved_;
  std::deque<u64> queue_;  // numbers of requests, under mutex_; the first one is being answered
  u64 n_number_ = 0;       // under mutex_
};

}  // namespace lbm::cli
