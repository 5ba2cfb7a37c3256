// Chats and completions in the objects of the OpenAI interface. See serve_writer.h.
#include <atomic>

#include "core/base/utf8.h"
#include "tools/model_reader.h"
#include "tools/serve_writer.h"

namespace lbm::cli {
namespace {

Json base_object(const char* prefix, const char* object, const ServeModel& model) {
  static std::atomic<u64> n_answer{0};
  Json out;
  out["id"] = prefix + std::to_string(unix_time()) + "-" + std::to_string(n_answer++);
  out["object"] = object;
  out["created"] = unix_time();
  out["model"] = model.id();
  return out;
}

const char* finish_reason(StopReason stop) {
  return stop == StopReason::kLength || stop == StopReason::kContext ? "length" : "stop";
}

// A token as a key: what is a part of a character only would look like all others of that kind.
std::string token_key(const Tokenizer& tokenizer, u32 id) {
  const std::string piece = decode_ids(tokenizer, {id});
  if (is_valid_utf8(to_str(piece))) return piece;
  std::string out = "bytes:";
  for (const char c : piece) out += format("\\x%02x", static_cast<unsigned char>(c));
  return out;
}

// Of all answers of a request. What the first evaluated counts once: the others went on from there.
void add_stats(GenerateStats& total, const GenerateStats& one, u32 index) {
  if (index == 0) {
    total = one;
    return;
  }
  total.n_output += one.n_output;
  total.n_decoded += one.n_decoded;
  total.decode_us += one.decode_us;
}

}  // namespace

// ---- chats --------------------------------------------------------------------------------------

ChatWriter::ChatWriter(Exchange& exchange, const ChatRequest& request, const ServeModel& model,
                       int ping_s)
    : AnswerWriter(exchange, request.answer, ping_s),
      chat_(request),
      tokenizer_(model.tokenizer()),
      finder_(request.tools),
      base_(base_object("chatcmpl-",
                        request.answer.stream ? "chat.completion.chunk" : "chat.completion",
                        model)) {}

void ChatWriter::begin_answer(u32 index) {
  AnswerWriter::begin_answer(index);
  finder_ = ToolCallFinder(chat_.tools);
  calls_ = Json::array();
  has_begun_ = false;
}

void ChatWriter::on_text(const std::string& text, const std::vector<TokenChance>& tokens) {
  if (!chat_.may_call()) {
    AnswerWriter::on_text(text, tokens);
    return;
  }
  const std::string plain = finder_.add(text);
  if (!plain.empty() || !tokens.empty()) AnswerWriter::on_text(plain, tokens);
  take_calls();
}

void ChatWriter::take_calls() {
  for (const ToolCall& call : finder_.take_calls()) {
    const usize n = calls_.size();
    const std::string id = "call_" + base_["id"].get<std::string>().substr(9) + "-" +
                           std::to_string(index_) + "-" + std::to_string(n);
    calls_.push_back({{"id", id},
                      {"type", "function"},
                      {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    if (!request_.stream) continue;
    Json first = calls_.back();
    first["index"] = n;
    first["function"]["arguments"] = "";
    send_delta({{"tool_calls", Json::array({first})}}, nullptr, nullptr);
    const Json rest = {{"index", n}, {"function", {{"arguments", call.arguments}}}};
    send_delta({{"tool_calls", Json::array({rest})}}, nullptr, nullptr);
  }
}

Json ChatWriter::logprobs_of(const std::vector<TokenChance>& tokens) const {
  if (!request_.logprobs) return nullptr;
  const auto entry = [&](u32 id, f64 logprob) {
    const std::string piece = decode_ids(tokenizer_, {id});
    Json out = {{"token", piece}, {"logprob", logprob}};
    out["bytes"] = Json::array();
    for (const char c : piece) out["bytes"].push_back(static_cast<unsigned char>(c));
    return out;
  };
  Json content = Json::array();
  for (const TokenChance& token : tokens) {
    Json one = entry(token.id, token.logprob);
    one["top_logprobs"] = Json::array();
    for (const auto& [id, logprob] : token.top) one["top_logprobs"].push_back(entry(id, logprob));
    content.push_back(one);
  }
  return {{"content", content}, {"refusal", nullptr}};
}

void ChatWriter::begin_delta() {
  if (has_begun_) return;
  has_begun_ = true;
  send_delta({{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
}

void ChatWriter::send_delta(const Json& delta, const Json& logprobs, const Json& reason) {
  begin_delta();
  Json out = base_;
  out["choices"] = Json::array(
      {{{"index", index_}, {"delta", delta}, {"logprobs", logprobs}, {"finish_reason", reason}}});
  if (request_.include_usage) out["usage"] = nullptr;
  send_event(out);
}

void ChatWriter::send_text(const std::string& text, const std::vector<TokenChance>& tokens) {
  send_delta({{"content", text}}, logprobs_of(tokens), nullptr);
}

void ChatWriter::send_reasoning(const std::string& text) {
  send_delta({{"reasoning_content", text}}, nullptr, nullptr);
}

void ChatWriter::send_progress(const Json& progress) {
  begin_delta();
  Json out = base_;
  out["choices"] = Json::array({{{"index", index_},
                                 {"delta", Json::object()},
                                 {"logprobs", nullptr},
                                 {"finish_reason", nullptr}}});
  out["prompt_progress"] = progress;
  send_event(out);
}

void ChatWriter::end_answer(const AnswerStats& stats) {
  if (chat_.may_call()) {
    const std::string rest = finder_.finish();
    if (!rest.empty()) AnswerWriter::on_text(rest, {});
    take_calls();
  }
  add_stats(total_, stats.generate, index_);
  const char* const reason = calls_.empty() ? finish_reason(stats.generate.stop) : "tool_calls";
  if (request_.stream) {
    begin_delta();
    send_delta(Json::object(), nullptr, reason);
    return;
  }
  Json message = {{"role", "assistant"}, {"content", text_}};
  if (!calls_.empty()) {
    if (text_.empty()) message["content"] = nullptr;
    message["tool_calls"] = calls_;
  }
  if (!reasoning_.empty()) message["reasoning_content"] = reasoning_;
  choices_.push_back({{"index", index_},
                      {"message", message},
                      {"logprobs", logprobs_of(chances_)},
                      {"finish_reason", reason}});
}

Json ChatWriter::whole() {
  Json out = base_;
  out["choices"] = choices_;
  out["usage"] = usage_of(total_);
  out["timings"] = timings_of(total_);
  return out;
}

void ChatWriter::end_stream() {
  if (request_.include_usage) {
    Json out = base_;
    out["choices"] = Json::array();
    out["usage"] = usage_of(total_);
    out["timings"] = timings_of(total_);
    send_event(out);
  }
  send_line("[DONE]");
}

// ---- completions --------------------------------------------------------------------------------

TextWriter::TextWriter(Exchange& exchange, const AnswerRequest& request, const ServeModel& model,
                       int ping_s)
    : AnswerWriter(exchange, request, ping_s),
      tokenizer_(model.tokenizer()),
      base_(base_object("cmpl-", "text_completion", model)) {}

void TextWriter::begin_answer(u32 index) {
  AnswerWriter::begin_answer(index);
  n_offset_ = 0;
}

Json TextWriter::logprobs_of(const std::vector<TokenChance>& tokens, usize offset) const {
  if (!request_.logprobs) return nullptr;
  Json out;
  for (const char* const key : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
    out[key] = Json::array();
  for (const TokenChance& token : tokens) {
    const std::string piece = decode_ids(tokenizer_, {token.id});
    out["tokens"].push_back(token_key(tokenizer_, token.id));
    out["token_logprobs"].push_back(token.logprob);
    out["text_offset"].push_back(offset);
    offset += piece.size();
    Json top = Json::object();
    for (const auto& [id, logprob] : token.top) top.emplace(token_key(tokenizer_, id), logprob);
    out["top_logprobs"].push_back(top);
  }
  return out;
}

void TextWriter::send_piece(const std::string& text, const Json& logprobs, const Json& reason) {
  Json out = base_;
  out["choices"] = Json::array(
      {{{"index", index_}, {"text", text}, {"logprobs", logprobs}, {"finish_reason", reason}}});
  if (request_.include_usage) out["usage"] = nullptr;
  send_event(out);
}

void TextWriter::send_text(const std::string& text, const std::vector<TokenChance>& tokens) {
  send_piece(text, logprobs_of(tokens, n_offset_), nullptr);
  for (const TokenChance& token : tokens) n_offset_ += decode_ids(tokenizer_, {token.id}).size();
}

void TextWriter::send_progress(const Json& progress) {
  Json out = base_;
  out["choices"] = Json::array(
      {{{"index", index_}, {"text", ""}, {"logprobs", nullptr}, {"finish_reason", nullptr}}});
  out["prompt_progress"] = progress;
  send_event(out);
}

void TextWriter::end_answer(const AnswerStats& stats) {
  add_stats(total_, stats.generate, index_);
  const char* const reason = finish_reason(stats.generate.stop);
  if (request_.stream) {
    send_piece("", nullptr, reason);
    return;
  }
  choices_.push_back({{"index", index_},
                      {"text", text_},
                      {"logprobs", logprobs_of(chances_, 0)},
                      {"finish_reason", reason}});
}

Json TextWriter::whole() {
  Json out = base_;
  out["choices"] = choices_;
  out["usage"] = usage_of(total_);
  out["timings"] = timings_of(total_);
  return out;
}

void TextWriter::end_stream() {
  if (request_.include_usage) {
    Json out = base_;
    out["choices"] = Json::array();
    out["usage"] = usage_of(total_);
    send_event(out);
  }
  send_line("[DONE]");
}

}  // namespace lbm::cli
