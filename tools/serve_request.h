// The bodies of requests as values: every field has a type and a range, and what this server has
// not got is refused instead of ignored.
#pragma once

#include <string>
#include <vector>

#include "core/infer/sampler.h"
#include "tools/json_node.h"

namespace lbm::cli {

// What both kinds of answers have.
struct AnswerRequest {
  SamplerParams sampler;
  u32 max_tokens = 0;  // 0: until the answer or the context ends
  std::vector<std::string> stops;
  bool stream = false;
  bool include_usage = false;
};

struct ChatTurn {
  std::string question;
  std::string answer;  // empty for the last one, which is to be answered
};

struct ChatRequest {
  AnswerRequest answer;
  std::string system;
  std::vector<ChatTurn> turns;  // at least one
};

struct CompletionRequest {
  AnswerRequest answer;
  std::string text;
  std::vector<u32> ids;  // where the prompt was given as such
  bool has_ids = false;
};

struct TokenizeRequest {
  std::string text;
  bool add_special = false;
  bool parse_special = false;
  bool with_pieces = false;
};

// All throw ApiError (400), naming the field.
[[nodiscard]] ChatRequest parse_chat_request(const std::string& body);
[[nodiscard]] CompletionRequest parse_completion_request(const std::string& body);
[[nodiscard]] TokenizeRequest parse_tokenize_request(const std::string& body);
[[nodiscard]] std::vector<u32> parse_detokenize_request(const std::string& body);

}  // namespace lbm::cli
