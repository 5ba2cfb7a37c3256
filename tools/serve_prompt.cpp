// See serve_prompt.h.
#include "tools/serve_prompt.h"

#include <utility>

#include "core/chat/chat_message.h"
#include "tools/model_reader.h"
#include "tools/serve_error.h"
#include "tools/template_json.h"

namespace lbm::cli {
namespace {

// Address space for rendering; pages become real as they are used.
constexpr u64 kRenderMemory = 2 * kGiB;

[[noreturn]] void throw_template_error(const Error& error, const std::string& exception) {
  if (error.code == ErrorCode::kOutOfMemory)
    throw ApiError(503, printable(to_str(describe(error, ""))), "out_of_memory");
  const std::string what = exception.empty() ? describe(error, "") : exception;
  throw ApiError(400, "the model's chat template refused: " + printable(to_str(what)),
                 "template_error", "messages");
}

bool has_role(const Json& messages, const char* role) {
  for (const Json& message : messages) {
    if (message["role"] == role) return true;
  }
  return false;
}

bool has_calls(const Json& messages) {
  for (const Json& message : messages) {
    if (message.contains("tool_calls")) return true;
  }
  return false;
}

}  // namespace

// A prompt as the template writes it, or why it does not. The segments view into what it is made
// of.
struct PromptMaker::Attempt {
  Json messages;
  Json tools = Json::array();
  ThinkRequest think = ThinkRequest::kModel;
  std::string now = local_time_text();

  Span<const TextSegment> segments;
  Status status;
  std::string exception;
  std::string text;
  Str stop;

  [[nodiscard]] bool ok() const { return status.ok(); }
  [[nodiscard]] bool is_refused() const {
    return !ok() && status.error().code == ErrorCode::kTemplate;
  }
  [[nodiscard]] bool shows(const std::string& words) const {
    return ok() && text.find(words) != std::string::npos;
  }
  // Whether what tools were called and what they answered is in it.
  [[nodiscard]] bool shows_tool_turns() const {
    for (const Json& message : messages) {
      if (message["role"] == "tool" && !shows(message["content"].get<std::string>())) return false;
      if (!message.contains("tool_calls")) continue;
      for (const Json& call : message["tool_calls"]) {
        if (!shows(call["function"]["name"].get<std::string>())) return false;
      }
    }
    return true;
  }
};

PromptMaker::PromptMaker(Engine& engine)
    : engine_(engine), memory_(kRenderMemory), arena_(memory_.span()) {
  bos_ = spelling(engine.tokenizer().bos());
  eos_ = spelling(engine.tokenizer().eos());
}

std::string PromptMaker::spelling(u32 id) const {
  return id == Tokenizer::kNoToken ? std::string() : decode_ids(engine_.tokenizer(), {id});
}

void PromptMaker::render(const ChatTemplate& chat_template, Attempt& out) {
  out.segments = {};
  out.status = {};
  out.exception.clear();
  out.text.clear();
  ValueBuilder builder(arena_);
  TemplateList list;
  for (const Json& message : out.messages) {
    out.status = list.append(arena_, builder.build(message));
    if (!out.ok()) return;
  }
  // A template of a model knows whether its prompts begin with BOS; a built-in one must ask.
  const bool is_built_in = !built_in_template_name(chat_template.source()).empty();
  RenderChatOptions options;
  if (!is_built_in || engine_.tokenizer().add_bos()) options.bos_token = to_str(bos_);
  options.eos_token = to_str(eos_);
  options.think = out.think;
  options.now = to_str(out.now);
  if (!out.tools.empty()) options.tools = builder.build(out.tools);
  Str exception;
  const Result<Span<const TextSegment>> segments =
      render_chat(chat_template, list, options, arena_, &exception);
  if (!segments.ok()) {
    out.status = segments.error();
    out.exception = to_string(exception);
    return;
  }
  out.segments = segments.value();
  out.stop = stop_text(chat_template.source());
  for (const TextSegment& segment : out.segments) out.text += to_string(segment.text);
}

// The commonest refusal: a template without system prompts, or with one at the front only.
void PromptMaker::render_with_system(const ChatTemplate& chat_template, Attempt& out) {
  render(chat_template, out);
  if (!out.is_refused() || !has_role(out.messages, "system")) return;
  out.messages = without_system(out.messages);
  render(chat_template, out);
}

void PromptMaker::render_fitting(const ChatRequest& request, Attempt& out) {
  const ChatTemplate& chat_template = engine_.chat_template();
  out.messages = request.messages;
  if (request.may_call()) {
    for (const Tool& tool : request.tools) out.tools.push_back(tool.definition);
  }
  render_with_system(chat_template, out);
  const bool has_turns = has_role(out.messages, "tool") || has_calls(out.messages);
  if (has_turns && !out.shows_tool_turns()) {
    out.messages = with_tools_as_text(out.messages);
    render_with_system(chat_template, out);
  }
  if (!out.tools.empty()) {
    const std::string with_tools = std::exchange(out.text, {});
    const Json tools = std::exchange(out.tools, Json::array());
    render_with_system(chat_template, out);
    const bool writes_tools = out.ok() && out.text != with_tools;
    if (writes_tools) {
      out.tools = tools;
    } else {
      out.messages = with_tool_preamble(out.messages, request.tools);
    }
    render_with_system(chat_template, out);
  }
  if (out.ok() || out.is_refused() || out.status.error().code == ErrorCode::kOutOfMemory) return;
  // The template itself is at fault.
  Result<ChatTemplate*> built_in =
      ChatTemplate::parse(arena_, built_in_template(engine_.tokenizer()));
  if (!built_in.ok()) throw_template_error(built_in.error(), "");
  out.messages = with_tools_as_text(request.messages);
  if (request.may_call()) out.messages = with_tool_preamble(out.messages, request.tools);
  out.tools = Json::array();
  render(*built_in.value(), out);
}

ChatPrompt PromptMaker::take(const Attempt& rendered) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  ChatPrompt out;
  const Result<Span<u32>> ids =
      arena_.take<u32>(u64{rendered.text.size()} + 3, "token ids of the prompt");
  if (!ids.ok()) throw_template_error(ids.error(), "");
  const Result<u32> n_id = tokenizer.encode_segments(rendered.segments, ids.value(), arena_);
  if (!n_id.ok()) throw_template_error(n_id.error(), "");
  out.ids.assign(ids.value().data(), ids.value().data() + n_id.value());
  out.text = rendered.text;
  out.stop = to_string(rendered.stop);
  const usize n = rendered.segments.size();
  if (n != 0 && rendered.segments[n - 1].markup)
    out.end_of_markup = to_string(rendered.segments[n - 1].text);
  return out;
}

ChatPrompt PromptMaker::make(const ChatRequest& request, ThinkRequest think) {
  const std::lock_guard lock(mutex_);
  const Arena::Mark mark = arena_.mark();
  struct Rewind {
    Arena& arena;
    const Arena::Mark& mark;
    ~Rewind() { arena.rewind(mark); }
  } const rewind{arena_, mark};
  try {
    Attempt rendered;
    rendered.think = think;
    render_fitting(request, rendered);
    if (!rendered.ok()) throw_template_error(rendered.status.error(), rendered.exception);
    return take(rendered);
  } catch (const CommandError& error) {  // of the values: nesting, memory
    throw ApiError(400, printable(to_str(error.what())), "invalid_value", "messages");
  }
}

}  // namespace lbm::cli
