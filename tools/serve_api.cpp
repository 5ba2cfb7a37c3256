// See serve_api.h: the table of paths, and what is checked before one of them is taken.
#include "tools/serve_api.h"

#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kModels = "/models/";

struct Route {
  const char* method;
  const char* path;
  bool needs_key;
  void (*answer)(Exchange&, ServeModel&, const ServeWorld&);
};

constexpr Route kRoutes[] = {
    {"GET", "/health", false, health},
    {"GET", "/v1/health", false, health},
    {"GET", "/v1/models", true, models},
    {"GET", "/props", true, props},
    {"GET", "/metrics", true, metrics},
    {"POST", "/v1/chat/completions", true, chat_completions},
    {"POST", "/v1/completions", true, completions},
    {"POST", "/completion", true, native_completion},
    {"POST", "/v1/embeddings", true, embeddings},
    {"POST", "/tokenize", true, tokenize},
    {"POST", "/detokenize", true, detokenize},
    {"POST", "/apply-template", true, apply_template},
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

// What a page of another origin asks before it asks.
void answer_preflight(Exchange& exchange, const AccessPolicy& policy) {
  if (!policy.is_foreign_origin(exchange.head()))
    throw ApiError(405, "nothing to ask for here", "method_not_allowed");
  exchange.send(204, "", "",
                {{"Access-Control-Allow-Methods", "GET, POST"},
                 {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
                 {"Access-Control-Max-Age", "600"}});
}

// The body that clients of llama-server wait for.
void send_loading(Exchange& exchange) {
  const Json error = {{"code", 503}, {"message", "Loading model"}, {"type", "unavailable_error"}};
  exchange.send(503, kJson, json_line({{"error", error}}), {{"Retry-After", "1"}});
}

// What the page offers to load, in the form of the file that lies beside it on other hosts. With a
// key nothing, since the page has none to fetch the model with.
Json served_models(const ServeWorld& world) {
  Json list = Json::array();
  if (world.model_file.is_open() && !world.model_name.empty() && world.policy.api_key.empty()) {
    list.push_back({{"name", world.model_name},
                    {"address", kModels + 1 + world.model_name},
                    {"bytes", world.model_file.size()}});
  }
  return {{"models", list}};
}

void take_route(Exchange& exchange, const Route& route, const ServeWorld& world) {
  const RequestHead& head = exchange.head();
  const std::string method = head.method == "HEAD" ? "GET" : head.method;
  if (method != route.method) {
    throw ApiError(405, std::string("this path takes ") + route.method + " only",
                   "method_not_allowed");
  }
  if (route.needs_key) world.policy.check_key(head);
  if (method == "POST") {
    world.policy.check_page(head);
    check_json_type(head);
  }
  ServeModel* const model = world.model.load();
  if (model == nullptr) {
    send_loading(exchange);
    return;
  }
  route.answer(exchange, *model, world);
}

}  // namespace

void send_json(Exchange& exchange, const Json& value) {
  exchange.send(200, kJson, json_line(value));
}

void answer_request(Exchange& exchange, const ServeWorld& world) {
  const RequestHead& head = exchange.head();
  if (head.method == "OPTIONS") {
    answer_preflight(exchange, world.policy);
    return;
  }
  if (world.policy.needs_ticket(head)) exchange.add_header("Set-Cookie", world.policy.ticket());
  for (const Route& route : kRoutes) {
    if (head.path != route.path) continue;
    take_route(exchange, route, world);
    return;
  }
  if (head.path.rfind("/v1/", 0) == 0)
    throw ApiError(404, "this server has no such path", "not_found");
  if (head.path == "/models.json") {
    if (head.method != "GET" && head.method != "HEAD")
      throw ApiError(405, "this path takes GET only", "method_not_allowed");
    send_json(exchange, served_models(world));
    return;
  }
  if (head.path.rfind(kModels, 0) == 0) {
    world.policy.check_key(head);
    if (world.model_name.empty() || head.path != kModels + world.model_name)
      throw ApiError(404, "there is no such path", "not_found");
    world.model_file.send(exchange);
    return;
  }
  world.web.send(exchange);
}

}  // namespace lbm::cli
