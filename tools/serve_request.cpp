// See serve_request.h; messages and tools are read by serve_request_chat.cpp.
#include "tools/serve_request.h"

#include <random>

#include "tools/serve_error.h"
#include "tools/serve_fields.h"

namespace lbm::cli {
namespace {

constexpr usize kMaxStops = 16;
constexpr usize kMaxStopBytes = 256;
constexpr usize kMaxBiases = 1024;
constexpr usize kMaxInputs = 256;
constexpr usize kMaxGrammarBytes = 256 * 1024;
constexpr usize kMaxTokenizeBytes = 1u << 20;
constexpr i64 kMaxAnswers = 16;
constexpr i64 kMaxTop = 20;

[[noreturn]] void not_here(const char* key) {
  refuse_field(key, "is not supported by this server", "unsupported");
}

std::vector<std::string> stops_of(const Json& object) {
  std::vector<std::string> out;
  const Json* const value = find_field(object, "stop");
  if (value == nullptr) return out;
  if (value->is_string()) {
    out.push_back(value->get<std::string>());
  } else {
    if (!value->is_array()) refuse_field("stop", "must be a string or an array", "invalid_type");
    for (const Json& text : array_of(*value, "stop", kMaxStops))
      out.push_back(text_of(text, "stop"));
  }
  for (const std::string& text : out) {
    if (text.empty() || text.size() > kMaxStopBytes)
      refuse_field("stop", "must have texts of 1 to 256 bytes");
  }
  return out;
}

// {"15043": -100}, or [[15043, -100]] as llama-server takes it.
std::vector<TokenBias> biases_of(const Json& object) {
  std::vector<TokenBias> out;
  const Json* const value = find_field(object, "logit_bias");
  if (value == nullptr) return out;
  const auto add = [&](u64 id, const Json& bias) {
    if (id > UINT32_MAX || !bias.is_number() || !(bias.get<f64>() >= -100.0) ||
        !(bias.get<f64>() <= 100.0))
      refuse_field("logit_bias", "must map token ids to numbers between -100 and 100");
    out.push_back({static_cast<u32>(id), static_cast<f32>(bias.get<f64>())});
  };
  if (value->is_object()) {
    for (const auto& [key, bias] : value->items()) {
      const bool is_id = !key.empty() && key.size() <= 10 &&
                         key.find_first_not_of("0123456789") == std::string::npos;
      if (!is_id) refuse_field("logit_bias", "must have token ids for keys");
      add(std::stoull(key), bias);
    }
    return out;
  }
  for (const Json& pair : array_of(*value, "logit_bias", kMaxBiases)) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_unsigned())
      refuse_field("logit_bias", "must have pairs of a token id and a number", "invalid_type");
    add(pair[0].get<u64>(), pair[1]);
  }
  return out;
}

// Fields that change an answer and that are not done here. A value that asks for nothing passes.
void refuse_unsupported(const Json& object) {
  for (const char* const key : {"functions", "function_call", "suffix", "audio", "modalities"}) {
    const Json* const value = find_field(object, key);
    if (value != nullptr && !value->empty() && *value != Json("") && *value != Json("none") &&
        *value != Json({"text"}))
      not_here(key);
  }
  if (flag_field(object, "echo")) not_here("echo");
  if (integer_field(object, "best_of", 1, 128, 1) != 1) not_here("best_of");
}

SamplerParams sampler_of(const Json& object) {
  SamplerParams out;
  const auto number = [&](const char* key, f64 low, f64 high, f32 standard) {
    return static_cast<f32>(number_field(object, key, low, high, static_cast<f64>(standard)));
  };
  out.temperature = number("temperature", 0, 100, out.temperature);
  out.top_k = static_cast<u32>(integer_field(object, "top_k", 0, INT32_MAX, out.top_k));
  out.top_p = number("top_p", 0, 1, out.top_p);
  out.min_p = number("min_p", 0, 1, out.min_p);
  out.repeat_penalty = number("repeat_penalty", 0.01, 100, out.repeat_penalty);
  out.repeat_last_n = static_cast<u32>(
      integer_field(object, "repeat_last_n", 0, Sampler::kMaxRepeatLastN, out.repeat_last_n));
  out.frequency_penalty = number("frequency_penalty", -2, 2, 0);
  out.presence_penalty = number("presence_penalty", -2, 2, 0);
  const i64 seed = integer_field(object, "seed", -1, INT64_MAX, 0);
  out.seed = seed >= 0 ? static_cast<u64>(seed) : std::random_device()();
  return out;
}

void set_constraint(ConstraintRequest& out, ConstraintRequest::Kind kind, const char* field) {
  if (out.kind != ConstraintRequest::Kind::kNone)
    refuse_field(field, "can not be combined with '" + out.field + "'");
  out.kind = kind;
  out.field = field;
}

// {"type": "text" | "json_object" | "json_schema", "json_schema": {"name", "schema", "strict"}}
void take_response_format(const Json& object, ConstraintRequest& out) {
  const char* const field = "response_format";
  const Json* const value = find_field(object, field);
  if (value == nullptr) return;
  const std::string type = text_field(object_of(*value, field), "type");
  if (type == "text") return;
  set_constraint(out, ConstraintRequest::Kind::kSchema, field);
  if (type == "json_object") {
    // llama-server takes a schema here, too.
    const Json* const schema = find_field(*value, "schema");
    if (schema == nullptr) {
      out.kind = ConstraintRequest::Kind::kAnyObject;
    } else {
      out.schema = object_of(*schema, "response_format.schema");
    }
  } else if (type == "json_schema") {
    const Json& named = object_of(need_field(*value, "json_schema"), "response_format.json_schema");
    const Json* const schema = find_field(named, "schema");
    if (schema == nullptr)
      refuse_field("response_format.json_schema.schema", "is missing", "missing");
    out.schema = object_of(*schema, "response_format.json_schema.schema");
  } else {
    refuse_field("response_format.type", "must be text, json_object or json_schema");
  }
}

ConstraintRequest constraint_of(const Json& object) {
  ConstraintRequest out;
  take_response_format(object, out);
  if (const std::string grammar = text_field(object, "grammar"); !grammar.empty()) {
    if (grammar.size() > kMaxGrammarBytes) refuse_field("grammar", "has more than 256 KiB");
    set_constraint(out, ConstraintRequest::Kind::kGrammar, "grammar");
    out.grammar = grammar;
  }
  if (const Json* const schema = find_field(object, "json_schema"); schema != nullptr) {
    set_constraint(out, ConstraintRequest::Kind::kSchema, "json_schema");
    out.schema = object_of(*schema, "json_schema");
  }
  return out;
}

// What chats and completions of every form have.
AnswerRequest parse_answer(const Json& object) {
  refuse_unsupported(object);
  static_cast<void>(text_field(object, "model"));
  AnswerRequest out;
  out.sampler = sampler_of(object);
  out.bias = biases_of(object);
  out.stops = stops_of(object);
  out.constraint = constraint_of(object);
  out.n_answer = static_cast<u32>(integer_field(object, "n", 1, kMaxAnswers, 1));
  out.stream = flag_field(object, "stream");
  out.return_progress = flag_field(object, "return_progress");
  if (const Json* const options = find_field(object, "stream_options"); options != nullptr)
    out.include_usage = flag_field(object_of(*options, "stream_options"), "include_usage");
  return out;
}

u32 max_tokens_of(const Json& object) {
  const i64 most = integer_field(object, "max_tokens", 1, INT32_MAX, 0);
  return static_cast<u32>(integer_field(object, "max_completion_tokens", 1, INT32_MAX, most));
}

TextInput input_of(const Json& value, const std::string& key) {
  TextInput out;
  out.has_ids = value.is_array();
  if (out.has_ids) {
    out.ids = ids_of(value, key);
  } else {
    out.text = text_of(value, key);
  }
  return out;
}

// One prompt; a list of one is one.
TextInput prompt_of(const Json& object) {
  const Json& value = need_field(object, "prompt");
  const bool is_list = value.is_array() && value.size() == 1 && !value[0].is_number();
  return input_of(is_list ? value[0] : value, "prompt");
}

}  // namespace

ChatRequest parse_chat_request(const std::string& body) {
  const Json object = parse_body(body);
  ChatRequest out;
  out.answer = parse_answer(object);
  out.answer.max_tokens = max_tokens_of(object);
  out.answer.logprobs = flag_field(object, "logprobs");
  out.answer.n_top = static_cast<u32>(integer_field(object, "top_logprobs", 0, kMaxTop, 0));
  if (out.answer.n_top != 0 && !out.answer.logprobs)
    refuse_field("top_logprobs", "needs 'logprobs': true");
  parse_conversation(object, out);
  if (out.may_call() && out.answer.constraint.kind != ConstraintRequest::Kind::kNone)
    refuse_field("tools", "can not be combined with '" + out.answer.constraint.field + "'");
  return out;
}

ChatRequest parse_template_request(const std::string& body) {
  ChatRequest out;
  parse_conversation(parse_body(body), out);
  return out;
}

CompletionRequest parse_completion_request(const std::string& body) {
  const Json object = parse_body(body);
  CompletionRequest out;
  out.answer = parse_answer(object);
  out.answer.max_tokens = max_tokens_of(object);
  const i64 n_top = integer_field(object, "logprobs", 0, kMaxTop, -1);
  out.answer.logprobs = n_top >= 0;
  out.answer.n_top = n_top >= 0 ? static_cast<u32>(n_top) : 0;
  out.prompt = prompt_of(object);
  return out;
}

CompletionRequest parse_native_request(const std::string& body) {
  const Json object = parse_body(body);
  CompletionRequest out;
  out.answer = parse_answer(object);
  if (out.answer.n_answer != 1) not_here("n");
  const i64 n_predict = integer_field(object, "n_predict", -1, INT32_MAX, -1);
  if (n_predict == 0) refuse_field("n_predict", "must be -1 (no limit) or at least 1");
  out.answer.max_tokens = n_predict < 0 ? 0 : static_cast<u32>(n_predict);
  out.answer.n_top = static_cast<u32>(integer_field(object, "n_probs", 0, kMaxTop, 0));
  out.answer.logprobs = out.answer.n_top != 0;
  out.prompt = prompt_of(object);
  return out;
}

EmbeddingRequest parse_embedding_request(const std::string& body) {
  const Json object = parse_body(body);
  static_cast<void>(text_field(object, "model"));
  EmbeddingRequest out;
  const Json& input = need_field(object, "input");
  const bool is_list = input.is_array() && (input.empty() || !input[0].is_number());
  if (!is_list) {
    out.inputs.push_back(input_of(input, "input"));
  } else {
    for (const Json& one : array_of(input, "input", kMaxInputs))
      out.inputs.push_back(input_of(one, "input"));
  }
  if (out.inputs.empty()) refuse_field("input", "is empty");
  for (const TextInput& one : out.inputs) {
    if (!one.has_ids && one.text.empty()) refuse_field("input", "has an empty text");
  }
  const std::string encoding = text_field(object, "encoding_format");
  out.base64 = encoding == "base64";
  if (!out.base64 && !encoding.empty() && encoding != "float")
    refuse_field("encoding_format", "must be float or base64");
  out.n_dimension = static_cast<u32>(integer_field(object, "dimensions", 1, INT32_MAX, 0));
  return out;
}

TokenizeRequest parse_tokenize_request(const std::string& body) {
  const Json object = parse_body(body);
  TokenizeRequest out = {
      text_of(need_field(object, "content"), "content"), flag_field(object, "add_special"),
      flag_field(object, "parse_special", true), flag_field(object, "with_pieces")};
  if (out.text.size() > kMaxTokenizeBytes) refuse_field("content", "has more than 1 MiB");
  return out;
}

std::vector<u32> parse_detokenize_request(const std::string& body) {
  const Json object = parse_body(body);
  return ids_of(need_field(object, "tokens"), "tokens");
}

}  // namespace lbm::cli
