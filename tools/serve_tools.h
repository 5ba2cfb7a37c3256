// Calls of functions in the answers of models.
//
// Models write a call in one of a few ways, all of them JSON with a name and
// arguments:
//   <tool_call>{"name": "f", "arguments": {}}</tool_call>   most; also a list
//   of them between the tags [TOOL_CALLS] [{"name": "f", "arguments": {}}] a
//   control token, then a list
//   {"name": "f", "parameters": {}}                         the whole answer
// A call that must come (tool_choice) is of the third form, by a grammar.
#pragma once

#include <string>
#include <vector>

#include "tools/serve_request.h"

namespace lbm::cli {

inline constexpr const char* kToolCallOpen = "<tool_call>";
inline constexpr const char* kToolCallClose = "</tool_call>";

struct ToolCall {
  std::string name;
  std::string arguments;  // the text of a JSON object
};

// What a call of one of the request's tools looks like. Nothing where a schema can not be expressed
// and no call has to come; throws ApiError (400) where one has.
[[nodiscard]] ConstraintRequest tool_call_constraint(const ChatRequest& request);

// Finds calls in an answer that comes in pieces: text on the one side, calls on
// the other.
class ToolCallFinder {
 public:
  explicit ToolCallFinder(const std::vector<Tool>& tools) : tools_(&tools) {}

  // Takes the next piece; returns the text that is surely no part of a call.
  [[nodiscard]] std::string add(const std::string& text);
  // The rest, after the end of the answer.
  [[nodiscard]] std::string finish();
  // Complete ones, which are taken once.
  [[nodiscard]] std::vector<ToolCall> take_calls();

 private:
  enum class State : u8 {
    kStart,  // nothing but white space so far
    kText,
    kCall,   // between the tags
    kWhole,  // the answer began as JSON: it may be a call all of it
  };

  [[nodiscard]] std::string take_text();
  [[nodiscard]] bool take_call(const std::string& json);
  [[nodiscard]] bool read_call(const Json& value);

  const std::vector<Tool>* tools_;
  State state_ = State::kStart;
  bool is_behind_call_ = false;  // white space there is no text
  std::string held_;
  std::vector<ToolCall> calls_;
};

}  // namespace lbm::cli
