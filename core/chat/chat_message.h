// A conversation as a chat keeps it, and its text as the template of the model writes it.
#pragma once

#include "core/chat/template.h"
#include "core/chat/think.h"

namespace lbm {

struct ChatMessage {
  Str role;  // "system", "user", "assistant", "tool"
  Str content;
  Str reasoning = {};  // of the assistant; empty: not defined in the template
};

// The templates of a model that brings none, or one that can not be used: ChatML where the
// vocabulary has its two tokens, else lines of plain text, which every base model has seen.
extern const char kChatMlTemplate[];
extern const char kPlainTemplate[];
[[nodiscard]] const char* built_in_template(const Tokenizer& tokenizer);
// The template of setting chat_format: "chatml", "qwen", "qwen2", "llama2", "alpaca", "you_ai",
// "raw". Null for any other word.
[[nodiscard]] const char* template_of_format(Str format);
// "ChatML", "plain text" ..., or an empty text where `source` is none of the above.
[[nodiscard]] Str built_in_template_name(Str source);
// "the model's chat template can not be used (ERROR); using ChatML"
void write_template_warning(TextWriter& out, const Error& reason, Str source, Str built_in);
// The text that begins the next question where no token ends an answer; empty where one does.
[[nodiscard]] Str stop_text(Str template_source);

struct RenderChatOptions {
  bool add_generation_prompt = true;
  Str bos_token;  // empty: not defined in the template
  Str eos_token;
  ThinkRequest think = ThinkRequest::kModel;
  Str now;  // "2025-06-15T12:34:56"; empty: the time is not known, strftime_now is not defined
  TemplateValue tools = TemplateValue::none();  // a list of functions, as clients describe them
  TemplateLimits limits;
};

// Renders `messages` with the variables that Hugging Face's apply_chat_template defines;
// `documents` is none. The segments are taken from `scratch` and may also view into
// `messages`.
// Errors: those of ChatTemplate::render.
[[nodiscard]] Result<Span<const TextSegment>> render_chat(const ChatTemplate& chat_template,
                                                          Span<const ChatMessage> messages,
                                                          const RenderChatOptions& options,
                                                          Arena& scratch, Str* exception);
// The same for messages that have more than role and content: a list of maps.
[[nodiscard]] Result<Span<const TextSegment>> render_chat(const ChatTemplate& chat_template,
                                                          const TemplateList& messages,
                                                          const RenderChatOptions& options,
                                                          Arena& scratch, Str* exception);

}  // namespace lbm
