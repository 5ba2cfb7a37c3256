// A conversation as a chat keeps it, and its text as the template of the model writes it.
#pragma once

#include "core/chat/template.h"

namespace lbm {

struct ChatMessage {
  Str role;  // "system", "user", "assistant", "tool"
  Str content;
};

// The template of a model that brings none: ChatML. <|im_start|> and <|im_end|> become control
// tokens where the vocabulary has them and plain text where it has not.
extern const char kChatMlTemplate[];

struct RenderChatOptions {
  bool add_generation_prompt = true;
  Str bos_token;  // empty: not defined in the template
  Str eos_token;
  Str now;  // "2025-06-15T12:34:56"; empty: the time is not known, strftime_now is not defined
  TemplateLimits limits;
};

// Renders `messages` with the variables that Hugging Face's apply_chat_template defines; `tools`
// and `documents` are none. The segments are taken from `scratch` and may also view into
// `messages`.
// Errors: those of ChatTemplate::render.
[[nodiscard]] Result<Span<const TextSegment>> render_chat(const ChatTemplate& chat_template,
                                                          Span<const ChatMessage> messages,
                                                          const RenderChatOptions& options,
                                                          Arena& scratch, Str* exception);

}  // namespace lbm
