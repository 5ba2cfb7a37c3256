// See serve_request.h.
#include "tools/serve_request.h"

#include <cmath>
#include <random>

#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

constexpr usize kMaxMessages = 4096;
constexpr usize kMaxStops = 16;
constexpr usize kMaxStopBytes = 256;
constexpr usize kMaxIds = 1u << 20;
constexpr usize kMaxTokenizeBytes = 1u << 20;

[[noreturn]] void refuse_field(const std::string& key, const std::string& what,
                               const char* code = "invalid_value") {
  throw ApiError(400, "'" + key + "' " + what, code, key);
}

JsonTree parse_object(const std::string& body) {
  JsonTree value;
  try {
    value = parse_json_file(body, "the body");
  } catch (const std::exception& error) {
    throw ApiError(400, error.what(), "invalid_json");
  }
  if (!value.is_object()) throw ApiError(400, "the body is no JSON object", "invalid_json");
  return value;
}

// Null where the key is absent; null itself counts as absent, as clients send it.
const JsonTree* find(const JsonTree& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

f64 number(const JsonTree& object, const char* key, f64 low, f64 high, f64 standard) {
  const JsonTree* const value = find(object, key);
  if (value == nullptr) return standard;
  if (!value->is_number()) refuse_field(key, "must be a number", "invalid_type");
  const f64 n = value->get<f64>();
  if (!std::isfinite(n) || n < low || n > high)
    refuse_field(key, format("must lie between %g and %g", low, high));
  return n;
}

i64 integer(const JsonTree& object, const char* key, i64 low, i64 high, i64 standard) {
  const JsonTree* const value = find(object, key);
  if (value == nullptr) return standard;
  if (!value->is_number_integer()) refuse_field(key, "must be an integer", "invalid_type");
  const bool is_huge = value->is_number_unsigned() && value->get<u64>() > u64{INT64_MAX};
  if (is_huge || value->get<i64>() < low || value->get<i64>() > high) {
    refuse_field(key, "must lie between " + std::to_string(low) + " and " + std::to_string(high));
  }
  return value->get<i64>();
}

bool flag(const JsonTree& object, const char* key, bool standard = false) {
  const JsonTree* const value = find(object, key);
  if (value == nullptr) return standard;
  if (!value->is_boolean()) refuse_field(key, "must be true or false", "invalid_type");
  return value->get<bool>();
}

std::string text_of(const JsonTree& value, const std::string& key) {
  if (!value.is_string()) refuse_field(key, "must be a string", "invalid_type");
  return value.get<std::string>();
}

std::vector<u32> ids_of(const JsonTree& array, const std::string& key) {
  if (!array.is_array()) refuse_field(key, "must be an array of token ids", "invalid_type");
  if (array.size() > kMaxIds) refuse_field(key, "has too many token ids");
  std::vector<u32> ids;
  ids.reserve(array.size());
  for (const JsonTree& id : array) {
    if (!id.is_number_unsigned() || id.get<u64>() > UINT32_MAX)
      refuse_field(key, "must be an array of token ids", "invalid_type");
    ids.push_back(id.get<u32>());
  }
  return ids;
}

std::vector<std::string> stops_of(const JsonTree& object) {
  std::vector<std::string> out;
  const JsonTree* const value = find(object, "stop");
  if (value == nullptr) return out;
  if (value->is_string()) {
    out.push_back(value->get<std::string>());
  } else {
    if (!value->is_array()) refuse_field("stop", "must be a string or an array", "invalid_type");
    if (value->size() > kMaxStops) refuse_field("stop", "has more than 16 texts");
    for (const JsonTree& text : *value) out.push_back(text_of(text, "stop"));
  }
  for (const std::string& text : out) {
    if (text.empty() || text.size() > kMaxStopBytes)
      refuse_field("stop", "must have texts of 1 to 256 bytes");
  }
  return out;
}

// Fields that change an answer and that are not done here. A value that asks for nothing passes.
void refuse_unsupported(const JsonTree& object) {
  const auto not_here = [](const char* key) {
    refuse_field(key, "is not supported by this server", "unsupported");
  };
  for (const char* const key : {"tools", "functions", "logit_bias", "suffix"}) {
    const JsonTree* const value = find(object, key);
    if (value != nullptr && !value->empty() && *value != JsonTree("")) not_here(key);
  }
  for (const char* const key : {"frequency_penalty", "presence_penalty"}) {
    if (number(object, key, -2, 2, 0) != 0) not_here(key);
  }
  for (const char* const key : {"logprobs", "top_logprobs"}) {
    const JsonTree* const value = find(object, key);
    if (value != nullptr && *value != JsonTree(false) && *value != JsonTree(0)) not_here(key);
  }
  if (flag(object, "echo")) not_here("echo");
  for (const char* const key : {"n", "best_of"}) {
    if (integer(object, key, 1, 128, 1) != 1) not_here(key);
  }
  if (const JsonTree* const wanted = find(object, "response_format"); wanted != nullptr) {
    if (!wanted->is_object()) refuse_field("response_format", "must be an object", "invalid_type");
    const JsonTree* const type = find(*wanted, "type");
    if (type == nullptr || *type != JsonTree("text")) not_here("response_format");
  }
}

AnswerRequest parse_answer(const JsonTree& object) {
  AnswerRequest out;
  refuse_unsupported(object);
  if (const JsonTree* const model = find(object, "model"); model != nullptr)
    static_cast<void>(text_of(*model, "model"));
  SamplerParams& sampler = out.sampler;
  const auto fraction = [&](const char* key, f32 standard) {
    return static_cast<f32>(number(object, key, 0, 1, static_cast<f64>(standard)));
  };
  sampler.temperature = static_cast<f32>(
      number(object, "temperature", 0, 100, static_cast<f64>(sampler.temperature)));
  sampler.top_k = static_cast<u32>(integer(object, "top_k", 0, INT32_MAX, sampler.top_k));
  sampler.top_p = fraction("top_p", sampler.top_p);
  sampler.min_p = fraction("min_p", sampler.min_p);
  sampler.repeat_penalty = static_cast<f32>(
      number(object, "repeat_penalty", 0.01, 100, static_cast<f64>(sampler.repeat_penalty)));
  const i64 seed = integer(object, "seed", -1, INT64_MAX, 0);
  sampler.seed = seed >= 0 ? static_cast<u64>(seed) : std::random_device()();
  const i64 most = integer(object, "max_tokens", 1, INT32_MAX, 0);
  out.max_tokens = static_cast<u32>(integer(object, "max_completion_tokens", 1, INT32_MAX, most));
  out.stops = stops_of(object);
  out.stream = flag(object, "stream");
  if (const JsonTree* const options = find(object, "stream_options"); options != nullptr) {
    if (!options->is_object()) refuse_field("stream_options", "must be an object", "invalid_type");
    out.include_usage = flag(*options, "include_usage");
  }
  return out;
}

// A string, or parts of which each is text.
std::string content_of(const JsonTree& message, const std::string& key) {
  const JsonTree* const content = find(message, "content");
  if (content == nullptr) refuse_field(key, "is missing", "missing");
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) refuse_field(key, "must be a string or an array", "invalid_type");
  std::string out;
  for (const JsonTree& part : *content) {
    if (!part.is_object()) refuse_field(key, "has a part that is no object", "invalid_type");
    const JsonTree* const type = find(part, "type");
    if (type == nullptr || *type != JsonTree("text"))
      refuse_field(key, "has a part that is not text", "unsupported");
    const JsonTree* const text = find(part, "text");
    if (text == nullptr) refuse_field(key, "has a part without text", "missing");
    out += text_of(*text, key);
  }
  return out;
}

void append_paragraph(std::string& text, const std::string& more) {
  if (!text.empty()) text += "\n\n";
  text += more;
}

// Questions and answers take turns; the system prompt stands before them. Two of a kind in a row
// become one, as paragraphs: templates refuse them, clients send them.
void take_message(const JsonTree& message, const std::string& place, ChatRequest& out,
                  bool& is_answered) {
  if (!message.is_object()) refuse_field(place, "must be an object", "invalid_type");
  const JsonTree* const role_value = find(message, "role");
  if (role_value == nullptr) refuse_field(place + ".role", "is missing", "missing");
  const std::string role = text_of(*role_value, place + ".role");
  const std::string content = content_of(message, place + ".content");
  if (role == "system" || role == "developer") {
    if (!out.turns.empty()) refuse_field(place + ".role", "must stand before the other messages");
    append_paragraph(out.system, content);
  } else if (role == "user") {
    if (out.turns.empty() || is_answered) {
      out.turns.push_back({content, ""});
    } else {
      append_paragraph(out.turns.back().question, content);
    }
    is_answered = false;
  } else if (role == "assistant") {
    if (out.turns.empty()) refuse_field(place + ".role", "answers a question that is not there");
    append_paragraph(out.turns.back().answer, content);
    is_answered = true;
  } else {
    refuse_field(place + ".role", "must be system, developer, user or assistant");
  }
}

}  // namespace

ChatRequest parse_chat_request(const std::string& body) {
  const JsonTree object = parse_object(body);
  ChatRequest out;
  out.answer = parse_answer(object);
  const JsonTree* const messages = find(object, "messages");
  if (messages == nullptr) refuse_field("messages", "is missing", "missing");
  if (!messages->is_array()) refuse_field("messages", "must be an array", "invalid_type");
  if (messages->size() > kMaxMessages) refuse_field("messages", "has more than 4096 messages");
  bool is_answered = true;
  for (usize i = 0; i < messages->size(); ++i) {
    take_message((*messages)[i], "messages[" + std::to_string(i) + "]", out, is_answered);
  }
  if (out.turns.empty() || is_answered) refuse_field("messages", "must end with a user's message");
  return out;
}

CompletionRequest parse_completion_request(const std::string& body) {
  const JsonTree object = parse_object(body);
  CompletionRequest out;
  out.answer = parse_answer(object);
  const JsonTree* prompt = find(object, "prompt");
  if (prompt == nullptr) refuse_field("prompt", "is missing", "missing");
  if (prompt->is_array() && prompt->size() == 1 && !(*prompt)[0].is_number())
    prompt = &(*prompt)[0];
  out.has_ids = prompt->is_array();
  if (out.has_ids) {
    out.ids = ids_of(*prompt, "prompt");
  } else {
    out.text = text_of(*prompt, "prompt");
  }
  return out;
}

TokenizeRequest parse_tokenize_request(const std::string& body) {
  const JsonTree object = parse_object(body);
  const JsonTree* const content = find(object, "content");
  if (content == nullptr) refuse_field("content", "is missing", "missing");
  TokenizeRequest out = {text_of(*content, "content"), flag(object, "add_special"),
                         flag(object, "parse_special", true), flag(object, "with_pieces")};
  if (out.text.size() > kMaxTokenizeBytes) refuse_field("content", "has more than 1 MiB");
  return out;
}

std::vector<u32> parse_detokenize_request(const std::string& body) {
  const JsonTree object = parse_object(body);
  const JsonTree* const tokens = find(object, "tokens");
  if (tokens == nullptr) refuse_field("tokens", "is missing", "missing");
  return ids_of(*tokens, "tokens");
}

}  // namespace lbm::cli
