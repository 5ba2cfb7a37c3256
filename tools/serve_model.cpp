// See serve_model.h.
#include "tools/serve_model.h"

#include <algorithm>
#include <cmath>

#include "core/chat/generation.h"
#include "tools/interrupt.h"
#include "tools/model_reader.h"
#include "tools/serve_error.h"
#include "tools/serve_tools.h"

namespace lbm::cli {
namespace {

std::string model_id(const std::string& path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  const usize dot = name.rfind('.');
  return dot == 0 || dot == std::string::npos ? name : name.substr(0, dot);
}

[[noreturn]] void throw_api(const Error& error) {
  const std::string what = printable(to_str(describe(error, "")));
  switch (error.code) {
    case ErrorCode::kContextFull:
    case ErrorCode::kLimit:
    case ErrorCode::kInvalidArgument: throw ApiError(400, what, "invalid_value");
    case ErrorCode::kMismatch: throw ApiError(400, what, "unsatisfiable_constraint");
    case ErrorCode::kOutOfMemory: throw ApiError(503, what, "out_of_memory");
    default: throw ApiError(500, what, "model_error");
  }
}

// Adds up final states.
class MeanState final : public Session::StateSink {
 public:
  explicit MeanState(u32 n_embd) : sums_(n_embd) {}

  void on_final_state(u32, Span<const f32> state) override {
    for (usize i = 0; i < sums_.size(); ++i) sums_[i] += static_cast<f64>(state[i]);
  }
  // Their direction: the length is 1, so the mean and the sum are the same.
  [[nodiscard]] std::vector<f32> direction() const {
    f64 square = 0;
    for (const f64 sum : sums_) square += sum * sum;
    if (!std::isfinite(square) || square == 0)
      throw ApiError(500, "the states of the model are not finite", "model_error");
    std::vector<f32> out;
    for (const f64 sum : sums_) out.push_back(static_cast<f32>(sum / std::sqrt(square)));
    return out;
  }

 private:
  std::vector<f64> sums_;
};

struct Rewind {
  Arena& arena;
  const Arena::Mark mark;
  explicit Rewind(Arena& of) : arena(of), mark(of.mark()) {}
  ~Rewind() { arena.rewind(mark); }
  Rewind(const Rewind&) = delete;
  Rewind& operator=(const Rewind&) = delete;
};

bool is_over(void* client) {
  return interrupt_pending() || static_cast<Waiting*>(client)->is_gone();
}

}  // namespace

// One answer to make.
struct ServeModel::Task {
  const AnswerRequest& request;
  const std::vector<u32>& ids;
  u32 index;
  ConstraintRequest constraint;
  std::vector<std::string> stops;
  std::string trigger;  // text with which the constraint begins; empty: at once
  bool splits_reasoning = false;
  std::string end_of_markup;
};

ServeModel::ServeModel(const ModelFlags& flags, u32 n_slot, u32 n_waiting)
    : model_(flags, {.hash_file = false}),
      prompts_(model_.engine()),
      constraints_(model_.tokenizer()),
      slots_(model_, n_slot, n_waiting),
      id_(model_id(flags.path)),
      n_ctx_(model_.session().n_ctx()) {}

// ---- prompts ------------------------------------------------------------------------------------

ChatPrompt ServeModel::chat_prompt(const ChatRequest& request) {
  // What must be of a form can not be preceded by thoughts.
  const bool is_bound = request.answer.constraint.kind != ConstraintRequest::Kind::kNone ||
                        request.tool_choice == ChatRequest::ToolChoice::kRequired;
  return prompts_.make(request, is_bound ? ThinkRequest::kAvoid : ThinkRequest::kModel);
}

std::vector<u32> ServeModel::prompt_ids(const TextInput& input, const char* field) {
  // Text of a client is text: what spells a control token does not become one. Who wants them sends
  // ids.
  std::vector<u32> ids =
      input.has_ids ? input.ids : encode_text(tokenizer(), input.text, {.add_special = true});
  if (ids.empty())
    throw ApiError(400, std::string("'") + field + "' has no tokens", "invalid_value", field);
  for (const u32 id : ids) {
    if (id >= config().n_vocab) {
      throw ApiError(400,
                     std::string("'") + field + "' has the token " + std::to_string(id) +
                         ", which the vocabulary lacks",
                     "invalid_value", field);
    }
  }
  return ids;
}

namespace {

void check_fits(usize n_token, u32 n_ctx) {
  if (n_token <= n_ctx) return;
  throw ApiError(400,
                 "context_length_exceeded: the request exceeds the available context size: " +
                     std::to_string(n_token) + " tokens (limit " + std::to_string(n_ctx) +
                     "); shorten it, or start the server with a larger -c",
                 "context_length_exceeded", "messages");
}

}  // namespace

// ---- answers ------------------------------------------------------------------------------------

void ServeModel::count(const GenerateStats& stats) {
  if (stats.stop == StopReason::kInterrupted) ++counts_.n_cancelled;
  counts_.n_prompt += stats.n_prompt;
  counts_.n_kept += stats.n_prompt - std::min(stats.n_prompt, stats.n_evaluated);
  counts_.n_output += stats.n_output;
  counts_.prefill_us += stats.prefill_us;
  counts_.decode_us += stats.decode_us;
}

AnswerStats ServeModel::chat(const ChatRequest& request, const ChatPrompt& prompt, u32 index,
                             AnswerListener& listener) {
  Task task{request.answer,       prompt.ids, index, request.answer.constraint,
            request.answer.stops, "",         false, ""};
  if (request.may_call()) {
    const bool is_required = request.tool_choice == ChatRequest::ToolChoice::kRequired;
    task.constraint = tool_call_constraint(request);
    if (!is_required && task.constraint.kind != ConstraintRequest::Kind::kNone)
      task.trigger = kToolCallOpen;
  }
  const bool is_free =
      task.constraint.kind == ConstraintRequest::Kind::kNone || !task.trigger.empty();
  task.splits_reasoning = is_free;
  task.end_of_markup = prompt.end_of_markup;
  if (!prompt.stop.empty()) task.stops.push_back(prompt.stop);
  return answer(task, listener);
}

AnswerStats ServeModel::complete(const CompletionRequest& request, const std::vector<u32>& ids,
                                 u32 index, AnswerListener& listener) {
  return answer(
      {request.answer, ids, index, request.answer.constraint, request.answer.stops, "", false, ""},
      listener);
}

AnswerStats ServeModel::answer(const Task& task, AnswerListener& listener) {
  check_fits(task.ids.size(), n_ctx_);
  AnswerStats out;
  out.generate.stop = StopReason::kInterrupted;
  try {
    const SlotPool::Lease lease(slots_, {task.ids.data(), task.ids.size()}, listener,
                                task.index != 0);
    ++counts_.n_request;
    if (lease.slot() != nullptr) out = answer_in(*lease.slot(), task, listener);
  } catch (const ApiError& error) {
    if (error.status() == 429) ++counts_.n_refused;
    throw;
  }
  count(out.generate);
  return out;
}

AnswerStats ServeModel::answer_in(Slot& slot, const Task& task, AnswerListener& listener) {
  const Rewind rewind(slot.scratch);
  GenerateOptions options;
  options.max_tokens = task.request.max_tokens;
  const std::unique_ptr<Constraint> constraint =
      constraints_.make(task.constraint, task.trigger, slot.scratch);
  if (constraint != nullptr) options.filter = &constraint->filter();
  SamplerParams params = task.request.sampler;
  params.seed += task.index;
  slot.sampler->set_params(params);
  slot.sampler->set_bias({task.request.bias.data(), task.request.bias.size()});
  const AnswerSinkOptions sink_options{task.stops, task.splits_reasoning, task.end_of_markup,
                                       task.request.logprobs, task.request.n_top};
  AnswerSink sink(tokenizer(), sink_options, listener);
  const Result<GenerateStats> stats = generate_in(slot, task, options, sink, listener);
  slot.sampler->set_bias({});
  if (!stats.ok()) throw_api(stats.error());
  sink.finish();
  if (sink.has_failed()) throw ApiError(503, "out of memory", "out_of_memory");
  return {stats.value(), sink.stop()};
}

// Step by step: between two steps it is the turn of other slots.
Result<GenerateStats> ServeModel::generate_in(Slot& slot, const Task& task,
                                              const GenerateOptions& options, AnswerSink& sink,
                                              AnswerListener& listener) {
  const Generator with{*slot.session, tokenizer(), *slot.sampler, model_.clock(), slot.scratch};
  const Session::Interrupt interrupt{is_over, static_cast<Waiting*>(&listener)};
  const u32 n_batch = slot.session->n_batch();
  Generation generation(with, options, sink);
  {
    const SlotPool::Step step(slots_);
    const Status begun = generation.begin({task.ids.data(), task.ids.size()});
    if (!begun.ok()) return begun.error();
  }
  const u32 n_kept = generation.n_prompt_done();
  while (!generation.done()) {
    if (is_over(interrupt.context)) {
      generation.stop();
      break;
    }
    const bool was_prompt = !generation.prefilled();
    {
      const SlotPool::Step step(slots_);
      if (!generation.step(n_batch, interrupt).ok()) break;
    }
    if (was_prompt && !generation.done())
      listener.on_progress(generation.n_prompt_done(), generation.stats().n_prompt, n_kept);
    listener.keep_alive();
  }
  const SlotPool::Step step(slots_);
  return generation.finish();
}

// ---- embeddings ---------------------------------------------------------------------------------

Embedding ServeModel::embed(const std::vector<u32>& ids, Waiting& client, bool goes_on) {
  check_fits(ids.size(), n_ctx_);
  Embedding out;
  out.n_token = static_cast<u32>(ids.size());
  // The states of tokens that were evaluated before are gone, so none are kept.
  const SlotPool::Lease lease(slots_, {}, client, goes_on);
  ++counts_.n_request;
  out.is_gone = lease.slot() == nullptr;
  if (out.is_gone) return out;
  Session& session = *lease.slot()->session;
  const Session::Interrupt interrupt{is_over, &client};
  MeanState mean(config().n_embd);
  for (usize at = 0; at < ids.size() && !out.is_gone;) {
    const usize n = std::min<usize>(session.n_batch(), ids.size() - at);
    const SlotPool::Step step(slots_);
    Status status = at == 0 ? session.rewind(0) : Status();
    if (status.ok()) status = session.evaluate_states({ids.data() + at, n}, mean, interrupt);
    out.is_gone = !status.ok() && status.error().code == ErrorCode::kCancelled;
    if (!status.ok() && !out.is_gone) throw_api(status.error());
    at += n;
  }
  counts_.n_prompt += ids.size();
  if (!out.is_gone) out.values = mean.direction();
  return out;
}

}  // namespace lbm::cli
