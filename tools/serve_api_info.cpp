// The paths that tell about the server and its model. See serve_api.h.
#include "tools/command.h"
#include "tools/serve_api.h"

namespace lbm::cli {

void health(Exchange& exchange, ServeModel&, const ServeWorld&) {
  send_json(exchange, {{"status", "ok"}});
}

void models(Exchange& exchange, ServeModel& model, const ServeWorld& world) {
  Json one = {{"id", model.id()}, {"object", "model"}, {"created", 0}, {"owned_by", "lbm"}};
  one["meta"] = {{"n_vocab", model.config().n_vocab},
                 {"n_ctx", model.n_ctx()},
                 {"n_ctx_train", model.config().n_ctx_train},
                 {"n_embd", model.config().n_embd}};
  if (world.model_file.is_open()) {
    one["meta"]["path"] = "/models/" + world.model_name;
    one["meta"]["size"] = world.model_file.size();
  }
  send_json(exchange, {{"object", "list"}, {"data", Json::array({one})}});
}

void props(Exchange& exchange, ServeModel& model, const ServeWorld&) {
  const SamplerParams standard;
  Json out;
  out["default_generation_settings"] = {
      {"n_ctx", model.n_ctx()},
      {"temperature", static_cast<f64>(standard.temperature)},
      {"top_k", standard.top_k},
      {"top_p", static_cast<f64>(standard.top_p)},
      {"min_p", static_cast<f64>(standard.min_p)},
      {"repeat_penalty", static_cast<f64>(standard.repeat_penalty)},
      {"frequency_penalty", static_cast<f64>(standard.frequency_penalty)},
      {"presence_penalty", static_cast<f64>(standard.presence_penalty)},
      {"seed", standard.seed}};
  out["total_slots"] = model.slots().n_slot();
  out["slot_bytes"] = model.slots().slot_bytes();
  out["model_alias"] = model.id();
  out["chat_template"] = to_string(model.template_source());
  out["build_info"] = std::string("lbm ") + version_text();
  send_json(exchange, out);
}

void metrics(Exchange& exchange, ServeModel& model, const ServeWorld&) {
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
  total("requests_total", "Answers that were begun or given up by their client.", counts.n_request);
  total("requests_refused_total", "Requests refused because too many waited.", counts.n_refused);
  total("requests_cancelled_total", "Requests whose client went away.", counts.n_cancelled);
  total("prompt_tokens_total", "Tokens of prompts.", counts.n_prompt);
  total("prompt_tokens_kept_total", "Tokens of prompts that were evaluated before.", counts.n_kept);
  total("tokens_predicted_total", "Tokens of answers.", counts.n_output);
  seconds("prompt_seconds_total", "Time spent on prompts.", counts.prefill_us);
  seconds("tokens_predicted_seconds_total", "Time spent on answers.", counts.decode_us);
  add("slots_busy", "gauge", "Slots that answer.", model.slots().n_busy());
  add("requests_waiting", "gauge", "Requests that wait for a slot.", model.slots().n_waiting());
  exchange.send(200, "text/plain; version=0.0.4; charset=utf-8", out);
}

}  // namespace lbm::cli
