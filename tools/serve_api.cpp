// See serve_api.h.
#include "tools/serve_api.h"

#include <atomic>
#include <ctime>

#include "tools/command.h"
#include "tools/model_reader.h"
#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

constexpr const char* kJson = "application/json";

void send_json(Exchange& exchange, const Json& value) {
  exchange.send(200, kJson, json_line(value));
}

i64 unix_time() { return static_cast<i64>(std::time(nullptr)); }

const char* finish_reason(StopReason stop) {
  return stop == StopReason::kLength || stop == StopReason::kContext ? "length" : "stop";
}

Json usage_of(const GenerateStats& stats) {
  Json out;
  out["prompt_tokens"] = stats.n_prompt;
  out["completion_tokens"] = stats.n_output;
  out["total_tokens"] = stats.n_prompt + stats.n_output;
  out["prompt_tokens_details"]["cached_tokens"] =
      stats.n_prompt - std::min(stats.n_prompt, stats.n_evaluated);
  return out;
}

// ---- answers ------------------------------------------------------------------------------------

// What differs between the two ways to ask for an answer.
struct AnswerForm {
  bool is_chat;
  const char* prefix;  // of its id
  const char* whole;   // "object" of the answer in one piece
  const char* piece;   // and of a piece of a stream
};
constexpr AnswerForm kChatForm = {true, "chatcmpl-", "chat.completion", "chat.completion.chunk"};
constexpr AnswerForm kTextForm = {false, "cmpl-", "text_completion", "text_completion"};

// Collects an answer, or sends it on as server-sent events while it comes.
class AnswerWriter final : public AnswerListener {
 public:
  AnswerWriter(Exchange& exchange, const AnswerForm& form, const AnswerRequest& request,
               const std::string& model)
      : exchange_(exchange), form_(form), request_(request) {
    static std::atomic<u64> n_answer{0};
    base_["id"] = form.prefix + std::to_string(unix_time()) + "-" + std::to_string(n_answer++);
    base_["object"] = request.stream ? form.piece : form.whole;
    base_["created"] = unix_time();
    base_["model"] = model;
  }

  void on_text(const std::string& text) override { take(text_, "content", text); }
  void on_reasoning(const std::string& text) override {
    take(reasoning_, "reasoning_content", text);
  }
  bool is_gone() override { return is_lost_ || exchange_.is_gone(); }

  // The answer is complete.
  void finish(const GenerateStats& stats) {
    if (stats.stop == StopReason::kInterrupted) return;  // nobody listens
    if (request_.stream) {
      finish_stream(stats);
      return;
    }
    Json out = base_;
    Json choice = {{"index", 0}};
    if (form_.is_chat) {
      choice["message"] = {{"role", "assistant"}, {"content", text_}};
      if (!reasoning_.empty()) choice["message"]["reasoning_content"] = reasoning_;
    } else {
      choice["text"] = text_;
    }
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = finish_reason(stats.stop);
    out["choices"] = Json::array({choice});
    out["usage"] = usage_of(stats);
    send_json(exchange_, out);
  }
  // Something went wrong after the first piece was sent.
  void break_off(const ApiError& error) {
    Json out;
    out["error"] = {{"message", error.what()}, {"type", "server_error"}, {"code", error.code()}};
    send_event(out);
  }

 private:
  void take(std::string& all, const char* key, const std::string& text) {
    try {
      if (!request_.stream) {
        all += text;
        return;
      }
      begin();
      send_piece(form_.is_chat ? Json{{key, text}} : Json(text), nullptr);
    } catch (const std::exception&) {  // no memory: must not pass through the core
      is_lost_ = true;
    }
  }
  void begin() {
    if (exchange_.is_begun()) return;
    is_lost_ = !exchange_.begin_stream("text/event-stream");
    if (form_.is_chat) send_piece({{"role", "assistant"}, {"content", ""}}, nullptr);
  }
  void finish_stream(const GenerateStats& stats) {
    begin();
    send_piece(form_.is_chat ? Json::object() : Json(""), finish_reason(stats.stop));
    if (request_.include_usage) {
      Json out = base_;
      out["choices"] = Json::array();
      out["usage"] = usage_of(stats);
      send_event(out);
    }
    is_lost_ = is_lost_ || !exchange_.write("data: [DONE]\n\n");
    exchange_.end_stream();
  }
  void send_piece(const Json& content, const char* reason) {
    Json out = base_;
    Json choice = {{"index", 0}};
    choice[form_.is_chat ? "delta" : "text"] = content;
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = reason == nullptr ? Json(nullptr) : Json(reason);
    out["choices"] = Json::array({choice});
    if (request_.include_usage) out["usage"] = nullptr;
    send_event(out);
  }
  void send_event(const Json& value) {
    is_lost_ = is_lost_ || !exchange_.write("data: " + json_line(value) + "\n");
  }

  Exchange& exchange_;
  const AnswerForm& form_;
  const AnswerRequest& request_;
  Json base_;
  std::string text_;
  std::string reasoning_;
  bool is_lost_ = false;
};

template <class Ask>
void answer_with(Exchange& exchange, const AnswerForm& form, const AnswerRequest& request,
                 ServeModel& model, const Ask& ask) {
  AnswerWriter writer(exchange, form, request, model.id());
  try {
    writer.finish(ask(writer));
  } catch (const ApiError& error) {
    if (!exchange.is_begun()) throw;
    writer.break_off(error);
  }
}

void chat_completions(Exchange& exchange, ServeModel& model) {
  const ChatRequest request = parse_chat_request(exchange.body());
  answer_with(exchange, kChatForm, request.answer, model,
              [&](AnswerListener& listener) { return model.chat(request, listener); });
}

void completions(Exchange& exchange, ServeModel& model) {
  const CompletionRequest request = parse_completion_request(exchange.body());
  answer_with(exchange, kTextForm, request.answer, model,
              [&](AnswerListener& listener) { return model.complete(request, listener); });
}

// ---- everything else ----------------------------------------------------------------------------

void tokenize(Exchange& exchange, ServeModel& model) {
  const TokenizeRequest request = parse_tokenize_request(exchange.body());
  const std::vector<u32> ids =
      encode_text(model.tokenizer(), request.text,
                  {.add_special = request.add_special, .parse_special = request.parse_special});
  Json out;
  out["tokens"] = ids;
  if (request.with_pieces) {
    out["tokens"] = Json::array();
    std::string buffer(model.tokenizer().max_piece_bytes(), '\0');
    for (const u32 id : ids) {
      const Str piece = model.tokenizer().piece(id, true, {buffer.data(), buffer.size()});
      out["tokens"].push_back({{"id", id}, {"piece", to_string(piece)}});
    }
  }
  send_json(exchange, out);
}

void detokenize(Exchange& exchange, ServeModel& model) {
  const std::vector<u32> ids = parse_detokenize_request(exchange.body());
  Json out;
  try {
    out["content"] = decode_ids(model.tokenizer(), ids);
  } catch (const CommandError& error) {
    throw ApiError(400, error.what(), "invalid_value", "tokens");
  }
  send_json(exchange, out);
}

void health(Exchange& exchange, ServeModel&) { send_json(exchange, {{"status", "ok"}}); }

void models(Exchange& exchange, ServeModel& model) {
  Json one = {{"id", model.id()}, {"object", "model"}, {"created", 0}, {"owned_by", "lbm"}};
  one["meta"] = {{"n_vocab", model.config().n_vocab},
                 {"n_ctx", model.n_ctx()},
                 {"n_ctx_train", model.config().n_ctx_train}};
  send_json(exchange, {{"object", "list"}, {"data", Json::array({one})}});
}

void props(Exchange& exchange, ServeModel& model) {
  const SamplerParams standard;
  Json out;
  out["default_generation_settings"] = {
      {"n_ctx", model.n_ctx()},
      {"temperature", static_cast<f64>(standard.temperature)},
      {"top_k", standard.top_k},
      {"top_p", static_cast<f64>(standard.top_p)},
      {"min_p", static_cast<f64>(standard.min_p)},
      {"repeat_penalty", static_cast<f64>(standard.repeat_penalty)},
      {"seed", standard.seed}};
  out["total_slots"] = 1;
  out["model_alias"] = model.id();
  out["chat_template"] = to_string(model.template_source());
  out["build_info"] = std::string("lbm ") + version_text();
  send_json(exchange, out);
}

void metrics(Exchange& exchange, ServeModel& model) {
  const ServeCounts& counts = model.counts();
  std::string out;
  const auto add = [&](const char* name, const char* type, const char* help, f64 value) {
    out += format("# HELP lbm_%s %s\n# TYPE lbm_%s %s\nlbm_%s %.17g\n", name, help, name, type,
                  name, value);
  };
  const auto total = [&](const char* name, const char* help, const std::atomic<u64>& value) {
    add(name, "counter", help, static_cast<f64>(value.load()));
  };
  const auto seconds = [&](const char* name, const char* help, const std::atomic<u64>& us) {
    add(name, "counter", help, static_cast<f64>(us.load()) / 1e6);
  };
  total("requests_total", "Requests for an answer that were taken.", counts.n_request);
  total("requests_refused_total", "Requests refused because too many waited.", counts.n_refused);
  total("requests_cancelled_total", "Requests whose client went away.", counts.n_cancelled);
  total("prompt_tokens_total", "Tokens of prompts.", counts.n_prompt);
  total("prompt_tokens_kept_total", "Tokens of prompts that were evaluated before.", counts.n_kept);
  total("tokens_predicted_total", "Tokens of answers.", counts.n_output);
  seconds("prompt_seconds_total", "Time spent on prompts.", counts.prefill_us);
  seconds("tokens_predicted_seconds_total", "Time spent on answers.", counts.decode_us);
  add("requests_waiting", "gauge", "Requests that wait for their turn.",
      static_cast<f64>(model.n_waiting()));
  exchange.send(200, "text/plain; version=0.0.4; charset=utf-8", out);
}

struct Route {
  const char* method;
  const char* path;
  bool needs_key;
  void (*answer)(Exchange&, ServeModel&);
};

constexpr Route kRoutes[] = {
    {"GET", "/health", false, health},
    {"GET", "/v1/models", true, models},
    {"GET", "/props", true, props},
    {"GET", "/metrics", true, metrics},
    {"POST", "/v1/chat/completions", true, chat_completions},
    {"POST", "/v1/completions", true, completions},
    {"POST", "/tokenize", true, tokenize},
    {"POST", "/detokenize", true, detokenize},
};

// A form of a foreign page can send text/plain without asking first, but not this.
void check_json_type(const RequestHead& head) {
  std::string type = head.content_type.substr(0, head.content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  for (char& c : type) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  if (type != kJson) throw ApiError(415, "Content-Type must be application/json");
}

}  // namespace

void answer_request(Exchange& exchange, ServeModel& model, const WebFolder& web,
                    const AccessPolicy& policy) {
  const RequestHead& head = exchange.head();
  if (head.method == "OPTIONS") {
    if (!policy.is_foreign_origin(head))
      throw ApiError(405, "nothing to ask for here", "method_not_allowed");
    exchange.send(204, "", "",
                  {{"Access-Control-Allow-Methods", "GET, POST"},
                   {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
                   {"Access-Control-Max-Age", "600"}});
    return;
  }
  const std::string method = head.method == "HEAD" ? "GET" : head.method;
  for (const Route& route : kRoutes) {
    if (head.path != route.path) continue;
    if (method != route.method) {
      throw ApiError(405, std::string("this path takes ") + route.method + " only",
                     "method_not_allowed");
    }
    if (route.needs_key) policy.check_key(head);
    if (method == "POST") check_json_type(head);
    route.answer(exchange, model);
    return;
  }
  web.send(exchange);
}

}  // namespace lbm::cli
