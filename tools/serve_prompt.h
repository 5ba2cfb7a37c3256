// From a chat request to the tokens of its prompt, by the template of the model.
//
// The template is asked first, with the messages as they came. What it can not do is done for it,
// in this order: a system prompt that it refuses goes into the question behind it; tools that it
// does not write are described in the system prompt; calls and results of tools that it does not
// write become text of the assistant and of the user. A template that can not be run at all is
// replaced by a built-in one, as everywhere in lbm.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "core/chat/engine.h"
#include "core/chat/think.h"
#include "tools/platform_posix.h"
#include "tools/serve_request.h"

namespace lbm::cli {

struct ChatPrompt {
  std::vector<u32> ids;
  std::string text;           // all of it
  std::string end_of_markup;  // what the template wrote last; empty where content is last
  std::string stop;           // text that ends an answer where no token does, or empty
};

class PromptMaker {
 public:
  explicit PromptMaker(Engine& engine);

  // May be called by several threads. Throws ApiError: 400 template_error, 503.
  [[nodiscard]] ChatPrompt make(const ChatRequest& request, ThinkRequest think);

 private:
  struct Attempt;
  void render(const ChatTemplate& chat_template, Attempt& out);
  void render_with_system(const ChatTemplate& chat_template, Attempt& out);
  void render_fitting(const ChatRequest& request, Attempt& out);
  [[nodiscard]] std::string spelling(u32 id) const;
  [[nodiscard]] ChatPrompt take(const Attempt& rendered);

  Engine& engine_;
  std::mutex mutex_;  // over what follows
  ReservedMemory memory_;
  Arena arena_;
  std::string bos_;
  std::string eos_;
};

// serve_prompt_fallback.cpp: what is done for templates that lack something.

// Every system prompt but those that are part of a question already goes into the question behind
// it.
[[nodiscard]] Json without_system(const Json& messages);
// Calls and results of tools as text.
[[nodiscard]] Json with_tools_as_text(const Json& messages);
// The system prompt with a description of the tools behind it.
[[nodiscard]] Json with_tool_preamble(const Json& messages, const std::vector<Tool>& tools);

}  // namespace lbm::cli
