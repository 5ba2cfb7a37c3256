// See serve_tools.h.
#include "tools/serve_tools.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "tools/json_schema_grammar.h"
#include "tools/serve_error.h"
#include "tools/serve_fields.h"

namespace lbm::cli {
namespace {

constexpr std::string_view kOpen = kToolCallOpen;
constexpr std::string_view kClose = kToolCallClose;
constexpr const char* kSpace = " \t\r\n";
// A call that is longer is text.
constexpr usize kMaxCallBytes = 256 * 1024;

// {"name": "f", "arguments": {...}} for one of the tools, as GBNF. Throws SchemaError.
std::string grammar_of_calls(const ChatRequest& request) {
  SchemaGrammar grammar;
  std::string calls;
  for (const Tool& tool : request.tools) {
    if (!request.forced_tool.empty() && request.forced_tool != tool.name) continue;
    const std::string rule = grammar.add(tool.definition["function"]["parameters"]);
    const std::string begin = "{\"name\": \"" + tool.name + "\", \"arguments\": ";
    if (!calls.empty()) calls += " | ";
    calls += grammar_literal(begin) + " " + rule + " \"}\"";
  }
  return grammar.finish(calls);
}

}  // namespace

ConstraintRequest tool_call_constraint(const ChatRequest& request) {
  ConstraintRequest out;
  out.field = "tools";
  try {
    out.grammar = grammar_of_calls(request);
    out.kind = ConstraintRequest::Kind::kGrammar;
  } catch (const SchemaError& error) {
    // A model may call such a function; that it writes what the schema asks for is not certain.
    if (request.tool_choice != ChatRequest::ToolChoice::kRequired) return out;
    throw ApiError(400, std::string("'tools': ") + printable(to_str(error.what())),
                   "invalid_schema", "tools");
  }
  return out;
}

std::string ToolCallFinder::add(const std::string& text) {
  held_ += text;
  if (state_ == State::kStart) {
    const usize first = held_.find_first_not_of(kSpace);
    if (first == std::string::npos) return {};
    state_ = held_[first] == '{' || held_[first] == '[' ? State::kWhole : State::kText;
  }
  if (state_ == State::kWhole && held_.size() > kMaxCallBytes) state_ = State::kText;
  return state_ == State::kWhole ? std::string() : take_text();
}

// Up to the next call that is not complete.
std::string ToolCallFinder::take_text() {
  std::string out;
  for (;;) {
    if (state_ == State::kText) {
      if (is_behind_call_) held_.erase(0, held_.find_first_not_of(kSpace));
      is_behind_call_ = is_behind_call_ && held_.empty();
      const usize open = held_.find(kOpen);
      usize n = open == std::string::npos ? held_.size() : open;
      if (open == std::string::npos) {
        // Its end may be the beginning of a tag.
        usize n_doubt = std::min(kOpen.size() - 1, held_.size());
        while (held_.compare(held_.size() - n_doubt, n_doubt, kOpen, 0, n_doubt) != 0) --n_doubt;
        n -= n_doubt;
      }
      out += held_.substr(0, n);
      held_.erase(0, n);
      if (open == std::string::npos) return out;
      state_ = State::kCall;
    }
    const usize close = held_.find(kClose);
    if (close == std::string::npos) {
      if (held_.size() <= kMaxCallBytes) return out;
      state_ = State::kText;
      return out += std::exchange(held_, {});
    }
    is_behind_call_ = take_call(held_.substr(kOpen.size(), close - kOpen.size()));
    if (!is_behind_call_) out += held_.substr(0, close + kClose.size());
    held_.erase(0, close + kClose.size());
    state_ = State::kText;
  }
}

std::string ToolCallFinder::finish() {
  std::string rest = std::exchange(held_, {});
  if (state_ == State::kWhole && take_call(rest)) return {};
  // A model may leave the closing tag out.
  if (state_ == State::kCall && take_call(rest.substr(std::min(kOpen.size(), rest.size()))))
    return {};
  return rest;
}

std::vector<ToolCall> ToolCallFinder::take_calls() { return std::exchange(calls_, {}); }

bool ToolCallFinder::take_call(const std::string& json) {
  const Json value = parse_inner_json(json);
  const usize n_before = calls_.size();
  bool is_call = value.is_object() || (value.is_array() && !value.empty());
  if (value.is_object()) is_call = read_call(value);
  for (usize i = 0; is_call && value.is_array() && i < value.size(); ++i)
    is_call = read_call(value[i]);
  if (!is_call) calls_.resize(n_before);
  return is_call;
}

bool ToolCallFinder::read_call(const Json& value) {
  if (!value.is_object() || !value.contains("name") || !value["name"].is_string()) return false;
  const std::string name = value["name"].get<std::string>();
  const bool is_known = std::any_of(tools_->begin(), tools_->end(),
                                    [&](const Tool& tool) { return tool.name == name; });
  const char* const key = value.contains("arguments") ? "arguments" : "parameters";
  if (!is_known || (value.contains(key) && !value[key].is_object())) return false;
  const Json arguments = value.contains(key) ? value[key] : Json::object();
  calls_.push_back({name, arguments.dump(-1, ' ', false, Json::error_handler_t::replace)});
  return true;
}

}  // namespace lbm::cli
