// The interface of `lbm serve`: which path does what, in the objects of the OpenAI interface.
#pragma once

#include <atomic>

#include "tools/serve_files.h"
#include "tools/serve_model.h"
#include "tools/serve_server.h"

namespace lbm::cli {

// What requests are answered with.
struct ServeWorld {
  std::atomic<ServeModel*> model{nullptr};  // null while it loads
  const WebFolder& web;
  const AccessPolicy& policy;
  const SharedFile& model_file;  // is read at /models/NAME
  std::string model_name;
  int ping_s = 0;  // of streams in which nothing happens; 0: none
};

// Answers one request. Host and Origin were checked before.
void answer_request(Exchange& exchange, const ServeWorld& world);

// ---- the paths ----

// serve_api_answer.cpp
void chat_completions(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void completions(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void native_completion(Exchange& exchange, ServeModel& model, const ServeWorld& world);
// serve_api_text.cpp
void embeddings(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void tokenize(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void detokenize(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void apply_template(Exchange& exchange, ServeModel& model, const ServeWorld& world);
// serve_api_info.cpp
void health(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void models(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void props(Exchange& exchange, ServeModel& model, const ServeWorld& world);
void metrics(Exchange& exchange, ServeModel& model, const ServeWorld& world);

void send_json(Exchange& exchange, const Json& value);

}  // namespace lbm::cli
