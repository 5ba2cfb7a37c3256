// The paths that answer. See serve_api.h.
#include "tools/serve_api.h"
#include "tools/serve_writer.h"

namespace lbm::cli {
namespace {

// All answers of a request, one after the other. `ask` makes the one of a number.
template <class Ask>
void answer_with(Exchange& exchange, AnswerWriter& writer, u32 n_answer, const Ask& ask) {
  try {
    for (u32 index = 0; index < n_answer; ++index) {
      writer.begin_answer(index);
      const AnswerStats stats = ask(index);
      if (stats.generate.stop == StopReason::kInterrupted) return;  // nobody listens
      writer.end_answer(stats);
    }
    writer.finish();
  } catch (const ApiError& error) {
    if (!exchange.is_begun()) throw;
    writer.break_off(error);
  }
}

}  // namespace

void chat_completions(Exchange& exchange, ServeModel& model, const ServeWorld& world) {
  const ChatRequest request = parse_chat_request(exchange.body());
  model.slots().check_room();
  const ChatPrompt prompt = model.chat_prompt(request);
  ChatWriter writer(exchange, request, model, world.ping_s);
  answer_with(exchange, writer, request.answer.n_answer,
              [&](u32 index) { return model.chat(request, prompt, index, writer); });
}

void completions(Exchange& exchange, ServeModel& model, const ServeWorld& world) {
  const CompletionRequest request = parse_completion_request(exchange.body());
  model.slots().check_room();
  const std::vector<u32> ids = model.prompt_ids(request.prompt, "prompt");
  TextWriter writer(exchange, request.answer, model, world.ping_s);
  answer_with(exchange, writer, request.answer.n_answer,
              [&](u32 index) { return model.complete(request, ids, index, writer); });
}

void native_completion(Exchange& exchange, ServeModel& model, const ServeWorld& world) {
  const CompletionRequest request = parse_native_request(exchange.body());
  model.slots().check_room();
  const std::vector<u32> ids = model.prompt_ids(request.prompt, "prompt");
  NativeWriter writer(exchange, request.answer, model, world.ping_s);
  answer_with(exchange, writer, 1,
              [&](u32 index) { return model.complete(request, ids, index, writer); });
}

}  // namespace lbm::cli
