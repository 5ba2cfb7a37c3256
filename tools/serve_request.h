// The bodies of requests as values: every field has a type and a range, and what this server has
// not got is refused instead of ignored.
#pragma once

#include <string>
#include <vector>

#include "core/infer/sampler.h"
#include "tools/output.h"

namespace lbm::cli {

// What an answer may consist of.
struct ConstraintRequest {
  enum class Kind : u8 { kNone, kGrammar, kSchema, kAnyObject };
  Kind kind = Kind::kNone;
  std::string grammar;  // GBNF
  Json schema;          // JSON schema
  std::string field;    // where it stood, for messages
};

// What all kinds of answers have.
struct AnswerRequest {
  SamplerParams sampler;
  std::vector<TokenBias> bias;
  u32 max_tokens = 0;  // 0: until the answer or the context ends
  std::vector<std::string> stops;
  ConstraintRequest constraint;
  u32 n_answer = 1;  // each with the seed after that of the one before
  bool logprobs = false;
  u32 n_top = 0;  // of logprobs
  bool stream = false;
  bool include_usage = false;
  bool return_progress = false;
};

// A function that the model may call.
struct Tool {
  std::string name;
  Json definition;  // {"type": "function", "function": {"name", "description", "parameters"}}
};

struct ChatRequest {
  enum class ToolChoice : u8 { kNone, kAuto, kRequired };  // required: a call and nothing else

  AnswerRequest answer;
  Json messages;  // checked: role, content ...; two of a kind in a row are one
  std::vector<Tool> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string forced_tool;  // with kRequired: this one; empty: any

  [[nodiscard]] bool may_call() const { return !tools.empty() && tool_choice != ToolChoice::kNone; }
};

// A text, or token ids.
struct TextInput {
  std::string text;
  std::vector<u32> ids;
  bool has_ids = false;
};

struct CompletionRequest {
  AnswerRequest answer;
  TextInput prompt;
};

struct EmbeddingRequest {
  std::vector<TextInput> inputs;
  bool base64 = false;
  u32 n_dimension = 0;  // asked for; 0: those of the model
};

struct TokenizeRequest {
  std::string text;
  bool add_special = false;
  bool parse_special = false;
  bool with_pieces = false;
};

// All throw ApiError (400), naming the field.
[[nodiscard]] ChatRequest parse_chat_request(const std::string& body);
[[nodiscard]] ChatRequest parse_template_request(const std::string& body);
[[nodiscard]] CompletionRequest parse_completion_request(const std::string& body);
// /completion, the form of llama-server.
[[nodiscard]] CompletionRequest parse_native_request(const std::string& body);
[[nodiscard]] EmbeddingRequest parse_embedding_request(const std::string& body);
[[nodiscard]] TokenizeRequest parse_tokenize_request(const std::string& body);
[[nodiscard]] std::vector<u32> parse_detokenize_request(const std::string& body);

// serve_request_chat.cpp: the messages and tools of `object` into `out`.
void parse_conversation(const Json& object, ChatRequest& out);

}  // namespace lbm::cli
