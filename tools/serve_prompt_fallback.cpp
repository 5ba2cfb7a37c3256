// Conversations for templates that lack something (serve_prompt.h): pure functions of messages.
#include "tools/serve_prompt.h"

namespace lbm::cli {
namespace {

const std::string& role_of(const Json& message) {
  return message["role"].get_ref<const std::string&>();
}
const std::string& content_of(const Json& message) {
  return message["content"].get_ref<const std::string&>();
}

std::string joined(const std::string& first, const std::string& second) {
  return first.empty() || second.empty() ? first + second : first + "\n\n" + second;
}

// Appends, as one paragraph more where the last one has the same role.
void append(Json& all, const std::string& role, const std::string& content) {
  if (!all.empty() && role_of(all.back()) == role && !all.back().contains("tool_calls")) {
    all.back()["content"] = joined(content_of(all.back()), content);
  } else {
    all.push_back({{"role", role}, {"content", content}});
  }
}

std::string compact(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Json without_system(const Json& messages) {
  Json out = Json::array();
  std::string waiting;
  for (const Json& message : messages) {
    if (role_of(message) == "system") {
      waiting = joined(waiting, content_of(message));
    } else if (role_of(message) == "user" && !waiting.empty()) {
      append(out, "user", joined(waiting, content_of(message)));
      waiting.clear();
    } else {
      out.push_back(message);
    }
  }
  if (!waiting.empty()) append(out, "user", waiting);
  return out;
}

Json with_tools_as_text(const Json& messages) {
  Json out = Json::array();
  for (const Json& message : messages) {
    if (role_of(message) == "tool") {
      append(out, "user", "<tool_response>\n" + content_of(message) + "\n</tool_response>");
    } else if (message.contains("tool_calls")) {
      std::string text = content_of(message);
      for (const Json& call : message["tool_calls"]) {
        if (!text.empty()) text += "\n";
        text += "<tool_call>\n" + compact(call["function"]) + "\n</tool_call>";
      }
      append(out, "assistant", text);
    } else {
      append(out, role_of(message), content_of(message));
    }
  }
  return out;
}

Json with_tool_preamble(const Json& messages, const std::vector<Tool>& tools) {
  std::string text = "You can call functions. Each is described by one line of JSON:\n<tools>\n";
  for (const Tool& tool : tools) text += compact(tool.definition) + "\n";
  text +=
      "</tools>\nTo call one, answer with its name and its arguments as JSON between tags:\n"
      "<tool_call>\n{\"name\": \"function\", \"arguments\": {}}\n</tool_call>";
  Json out = messages;
  if (!out.empty() && role_of(out.front()) == "system") {
    out.front()["content"] = joined(content_of(out.front()), text);
  } else {
    out.insert(out.begin(), Json{{"role", "system"}, {"content", text}});
  }
  return out;
}

}  // namespace lbm::cli
