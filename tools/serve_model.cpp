// See serve_model.h.
#include "tools/serve_model.h"

#include <algorithm>
#include <chrono>

#include "core/chat/conversation.h"
#include "tools/interrupt.h"
#include "tools/model_reader.h"
#include "tools/serve_error.h"
#include "tools/terminal.h"

namespace lbm::cli {
namespace {

// Address space for the work of one turn; pages become real as they are used.
constexpr u64 kTurnMemory = 4 * kGiB;
constexpr auto kPoll = std::chrono::milliseconds(100);

std::string model_id(const std::string& path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  const usize dot = name.rfind('.');
  return dot == 0 || dot == std::string::npos ? name : name.substr(0, dot);
}

[[noreturn]] void throw_api(const Error& error, const std::string& exception) {
  const std::string what = printable(to_str(describe(error, "")));
  switch (error.code) {
    case ErrorCode::kContextFull:
      throw ApiError(400,
                     "context_length_exceeded: the request exceeds the available context size: " +
                         what + "; shorten it, or start the server with a larger -c",
                     "context_length_exceeded", "messages");
    case ErrorCode::kTemplate:
      throw ApiError(400,
                     "the model's chat template refused: " +
                         (exception.empty() ? what : printable(to_str(exception))),
                     "template_error", "messages");
    case ErrorCode::kLimit:
    case ErrorCode::kInvalidArgument: throw ApiError(400, what, "invalid_value");
    case ErrorCode::kOutOfMemory: throw ApiError(503, what, "out_of_memory");
    default: throw ApiError(500, what, "model_error");
  }
}

// Passes text on up to the first stop text; what may be the beginning of one waits.
class StopFilter final : public GenerateSink {
 public:
  StopFilter(const std::vector<std::string>& stops, AnswerListener& listener)
      : stops_(stops), listener_(listener) {}

  bool on_text(Str text) override {
    if (is_stopped_) return true;
    held_.append(text.data(), text.size());
    usize end = std::string::npos;
    for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
    is_stopped_ = end != std::string::npos;
    pass_on(is_stopped_ ? end : held_.size() - n_doubtful());
    return true;
  }
  bool on_reasoning(Str text) override {
    listener_.on_reasoning(to_string(text));
    return true;
  }
  bool finished() override { return is_stopped_; }
  // The end of the answer: what waited was no stop text.
  void finish() {
    if (!is_stopped_) pass_on(held_.size());
  }

 private:
  void pass_on(usize n) {
    if (n > 0) listener_.on_text(held_.substr(0, n));
    held_.erase(0, n);
  }
  // Bytes at the end that a stop text may begin with.
  [[nodiscard]] usize n_doubtful() const {
    usize most = 0;
    for (const std::string& stop : stops_) {
      usize n = std::min(stop.size() - 1, held_.size());
      while (n > most && held_.compare(held_.size() - n, n, stop, 0, n) != 0) --n;
      most = std::max(most, n);
    }
    return most;
  }

  const std::vector<std::string>& stops_;
  AnswerListener& listener_;
  std::string held_;
  bool is_stopped_ = false;
};

}  // namespace

// Waits until all requests before it were answered.
class ServeModel::Turn {
 public:
  Turn(ServeModel& model, AnswerListener& listener) : model_(model) {
    std::unique_lock lock(model_.mutex_);
    if (model_.queue_.size() > model_.max_waiting_) {
      ++model_.counts_.n_refused;
      throw ApiError(
          429, std::to_string(model_.max_waiting_) + " requests wait already; try again later",
          "queue_full");
    }
    number_ = model_.n_number_++;
    model_.queue_.push_back(number_);
    while (model_.queue_.front() != number_ && !is_gone_) {
      model_.moved_.wait_for(lock, kPoll);
      is_gone_ = listener.is_gone() || interrupt_pending();
    }
    ++model_.counts_.n_request;
  }
  ~Turn() {
    const std::lock_guard lock(model_.mutex_);
    std::deque<u64>& queue = model_.queue_;
    queue.erase(std::find(queue.begin(), queue.end(), number_));
    model_.moved_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // The client went away while it waited; the model is not ours.
  [[nodiscard]] bool is_gone() const { return is_gone_; }

 private:
  ServeModel& model_;
  u64 number_ = 0;
  bool is_gone_ = false;
};

ServeModel::ServeModel(const ModelFlags& flags, u32 n_waiting)
    : model_(flags, {.hash_file = false}),
      memory_(kTurnMemory),
      scratch_(memory_.span()),
      sampler_(*expect(Sampler::create(scratch_, model_.config().n_vocab), "sampler", Stage::kRun)),
      generator_{model_.session(), model_.tokenizer(), sampler_, model_.clock(), scratch_},
      id_(model_id(flags.path)),
      n_ctx_(model_.session().n_ctx()),
      max_waiting_(n_waiting) {}

u32 ServeModel::n_waiting() {
  const std::lock_guard lock(mutex_);
  return queue_.empty() ? 0 : static_cast<u32>(queue_.size() - 1);
}

void ServeModel::count(const GenerateStats& stats) {
  if (stats.stop == StopReason::kInterrupted) ++counts_.n_cancelled;
  counts_.n_prompt += stats.n_prompt;
  counts_.n_kept += stats.n_prompt - std::min(stats.n_prompt, stats.n_evaluated);
  counts_.n_output += stats.n_output;
  counts_.prefill_us += stats.prefill_us;
  counts_.decode_us += stats.decode_us;
}

GenerateStats ServeModel::answer(
    const AnswerRequest& request, AnswerListener& listener,
    const std::function<Result<GenerateStats>(GenerateSink&, Session::Interrupt, std::string&)>&
        make) {
  const Turn turn(*this, listener);
  GenerateStats gone;
  gone.stop = StopReason::kInterrupted;
  if (turn.is_gone()) {
    count(gone);
    return gone;
  }
  sampler_.set_params(request.sampler);
  StopFilter filter(request.stops, listener);
  const Session::Interrupt interrupt{[](void* context) {
                                       return interrupt_pending() ||
                                              static_cast<AnswerListener*>(context)->is_gone();
                                     },
                                     &listener};
  const Arena::Mark mark = scratch_.mark();
  std::string exception;
  const Result<GenerateStats> stats = make(filter, interrupt, exception);
  scratch_.rewind(mark);
  if (!stats.ok()) throw_api(stats.error(), exception);
  filter.finish();
  count(stats.value());
  return stats.value();
}

Result<GenerateStats> ServeModel::answer_chat(const ChatRequest& request, GenerateSink& sink,
                                              Session::Interrupt interrupt,
                                              std::string& exception) {
  u64 n_byte = u64{n_ctx_} * 16 + 64 * kKiB;
  for (const ChatTurn& turn : request.turns) n_byte += turn.question.size() + turn.answer.size();
  Result<Conversation*> made = Conversation::create(scratch_, n_byte);
  if (!made.ok()) return made.error();
  Conversation& conversation = *made.value();
  if (const Status set = conversation.set_system(to_str(request.system)); !set.ok())
    return set.error();
  const usize n_before = request.turns.size() - 1;
  for (usize i = 0; i < n_before; ++i) {
    const ChatTurn& turn = request.turns[i];
    const Status added =
        conversation.add_turn(to_str(turn.question), to_str(turn.answer), {}, true);
    if (!added.ok()) return added.error();
  }
  const std::string now = local_time_text();
  conversation.set_now(to_str(now));
  GenerateOptions options;
  options.max_tokens = request.answer.max_tokens;
  Result<GenerateStats> stats =
      conversation.say(generator_, model_.engine().chat_template(),
                       to_str(request.turns.back().question), options, sink, interrupt);
  exception = to_string(conversation.exception());
  return stats;
}

GenerateStats ServeModel::chat(const ChatRequest& request, AnswerListener& listener) {
  return answer(request.answer, listener,
                [&](GenerateSink& sink, Session::Interrupt interrupt, std::string& exception) {
                  return answer_chat(request, sink, interrupt, exception);
                });
}

GenerateStats ServeModel::complete(const CompletionRequest& request, AnswerListener& listener) {
  // Text of a client is text: what spells a control token does not become one. Who wants them sends
  // ids.
  const std::vector<u32> ids =
      request.has_ids ? request.ids : encode_text(tokenizer(), request.text, {.add_special = true});
  GenerateOptions options;
  options.max_tokens = request.answer.max_tokens;
  return answer(request.answer, listener,
                [&](GenerateSink& sink, Session::Interrupt interrupt, std::string&) {
                  return generate(generator_, {ids.data(), ids.size()}, options, sink, interrupt);
                });
}

}  // namespace lbm::cli
