// The messages and tools of a chat request (serve_request.h), checked and brought into the form
// that chat templates know: {"role", "content", "name", "tool_calls", "tool_call_id"}.
#include "tools/serve_error.h"
#include "tools/serve_fields.h"
#include "tools/serve_request.h"

namespace lbm::cli {
namespace {

constexpr usize kMaxMessages = 4096;
constexpr usize kMaxTools = 64;
constexpr usize kMaxCalls = 64;
constexpr usize kMaxToolNameBytes = 64;
constexpr usize kMaxSystemBytes = 16 * 1024;

// A string, or parts of which each is text. Empty where it is absent and may be.
std::string content_of(const Json& message, const std::string& key, bool may_be_absent) {
  const Json* const content = find_field(message, "content");
  if (content == nullptr) {
    if (may_be_absent) return {};
    refuse_field(key, "is missing", "missing");
  }
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) refuse_field(key, "must be a string or an array", "invalid_type");
  std::string out;
  for (const Json& part : *content) {
    if (!part.is_object()) refuse_field(key, "has a part that is no object", "invalid_type");
    const Json* const type = find_field(part, "type");
    if (type == nullptr || *type != Json("text"))
      refuse_field(key, "has a part that is not text", "unsupported");
    const Json* const text = find_field(part, "text");
    if (text == nullptr) refuse_field(key, "has a part without text", "missing");
    out += text_of(*text, key);
  }
  return out;
}

bool is_tool_name(const std::string& name) {
  constexpr const char* kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !name.empty() && name.size() <= kMaxToolNameBytes &&
         name.find_first_not_of(kLetters) == std::string::npos;
}

std::string tool_name_of(const Json& value, const std::string& key) {
  const std::string name = text_of(value, key);
  if (!is_tool_name(name)) refuse_field(key, "must be 1 to 64 letters, digits, '_', '-' or '.'");
  return name;
}

// Calls that the model made earlier. Arguments come as the text of an object, and templates want
// the object.
Json calls_of(const Json& message, const std::string& place) {
  Json out = Json::array();
  const Json* const calls = find_field(message, "tool_calls");
  if (calls == nullptr) return out;
  const std::string key = place + ".tool_calls";
  for (const Json& call : array_of(*calls, key, kMaxCalls)) {
    const Json& function = object_of(need_field(object_of(call, key), "function"), key);
    Json arguments = Json::object();
    if (const std::string text = text_field(function, "arguments"); !text.empty())
      arguments = parse_inner_json(text);
    if (!arguments.is_object()) refuse_field(key, "has arguments that are no JSON object");
    out.push_back(
        {{"id", text_field(call, "id")},
         {"type", "function"},
         {"function",
          {{"name", tool_name_of(need_field(function, "name"), key)}, {"arguments", arguments}}}});
  }
  return out;
}

Json message_of(const Json& message, const std::string& place) {
  static_cast<void>(object_of(message, place));
  const Json* const role_value = find_field(message, "role");
  if (role_value == nullptr) refuse_field(place + ".role", "is missing", "missing");
  std::string role = text_of(*role_value, place + ".role");
  if (role == "developer") role = "system";
  if (role != "system" && role != "user" && role != "assistant" && role != "tool")
    refuse_field(place + ".role", "must be system, developer, user, assistant or tool");
  Json out = {{"role", role}};
  const Json calls = role == "assistant" ? calls_of(message, place) : Json::array();
  out["content"] = content_of(message, place + ".content", !calls.empty());
  if (!calls.empty()) out["tool_calls"] = calls;
  if (role == "assistant") {
    const std::string reasoning = text_field(message, "reasoning_content");
    if (!reasoning.empty()) out["reasoning_content"] = reasoning;
  }
  if (role == "tool") {
    const std::string id = text_field(message, "tool_call_id");
    const std::string name = text_field(message, "name");
    if (!id.empty()) out["tool_call_id"] = id;
    if (!name.empty()) out["name"] = tool_name_of(name, place + ".name");
  }
  return out;
}

// Questions, answers and system prompts: two of a kind in a row become one, as paragraphs, because
// templates refuse them and clients send them. Results of tools stay apart.
void append_message(Json& all, Json message) {
  const bool is_text = message["role"] != "tool" && !message.contains("tool_calls");
  if (!all.empty() && is_text && all.back()["role"] == message["role"] &&
      !all.back().contains("tool_calls")) {
    std::string& text = all.back()["content"].get_ref<std::string&>();
    const std::string& more = message["content"].get_ref<const std::string&>();
    if (!text.empty() && !more.empty()) text += "\n\n";
    text += more;
    return;
  }
  all.push_back(std::move(message));
}

Json messages_of(const Json& object) {
  Json out = Json::array();
  const Json& messages = array_of(need_field(object, "messages"), "messages", kMaxMessages);
  for (usize i = 0; i < messages.size(); ++i)
    append_message(out, message_of(messages[i], "messages[" + std::to_string(i) + "]"));
  if (out.empty() || (out.back()["role"] != "user" && out.back()["role"] != "tool"))
    refuse_field("messages", "must end with a user's message, or the result of a tool");
  bool has_question = false;
  for (const Json& message : out) {
    const std::string role = message["role"].get<std::string>();
    has_question = has_question || role == "user";
    if (!has_question && role != "system")
      refuse_field("messages", "must have a user's question before the first answer");
    if (role == "system" &&
        message["content"].get_ref<const std::string&>().size() > kMaxSystemBytes)
      refuse_field("messages", "has a system prompt of more than 16 KiB");
  }
  return out;
}

std::vector<Tool> tools_of(const Json& object) {
  std::vector<Tool> out;
  const Json* const tools = find_field(object, "tools");
  if (tools == nullptr) return out;
  for (const Json& tool : array_of(*tools, "tools", kMaxTools)) {
    if (text_field(object_of(tool, "tools"), "type") != "function")
      refuse_field("tools", "must have type function", "unsupported");
    Json function = object_of(need_field(tool, "function"), "tools.function");
    const std::string name = tool_name_of(need_field(function, "name"), "tools.function.name");
    for (const Tool& other : out) {
      if (other.name == name) refuse_field("tools", "has the function " + name + " twice");
    }
    static_cast<void>(text_field(function, "description"));
    if (find_field(function, "parameters") == nullptr)
      function["parameters"] = {{"type", "object"}, {"properties", Json::object()}};
    static_cast<void>(object_of(function["parameters"], "tools.function.parameters"));
    out.push_back({name, {{"type", "function"}, {"function", function}}});
  }
  return out;
}

// "none", "auto", "required", {"type": "function", "function": {"name"}}
void take_tool_choice(const Json& object, ChatRequest& out) {
  using Choice = ChatRequest::ToolChoice;
  const Json* const choice = find_field(object, "tool_choice");
  if (choice == nullptr || *choice == Json("auto")) return;
  if (*choice == Json("none")) {
    out.tool_choice = Choice::kNone;
    return;
  }
  out.tool_choice = Choice::kRequired;
  if (out.tools.empty()) refuse_field("tool_choice", "needs 'tools'");
  if (*choice == Json("required")) return;
  const Json& function =
      object_of(need_field(object_of(*choice, "tool_choice"), "function"), "tool_choice.function");
  out.forced_tool = text_of(need_field(function, "name"), "tool_choice.function.name");
  for (const Tool& tool : out.tools) {
    if (tool.name == out.forced_tool) return;
  }
  refuse_field("tool_choice", "names a function that is not among 'tools'");
}

}  // namespace

void parse_conversation(const Json& object, ChatRequest& out) {
  out.messages = messages_of(object);
  out.tools = tools_of(object);
  take_tool_choice(object, out);
  static_cast<void>(flag_field(object, "parallel_tool_calls"));
}

}  // namespace lbm::cli
