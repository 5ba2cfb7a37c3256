// The interface of `lbm serve`: which path does what, in the objects of the OpenAI interface.
#pragma once

#include "tools/serve_files.h"
#include "tools/serve_model.h"
#include "tools/serve_server.h"

namespace lbm::cli {

// Answers one request. `policy` says whose key is asked for; Host and Origin were checked before.
void answer_request(Exchange& exchange, ServeModel& model, const WebFolder& web,
                    const AccessPolicy& policy);

}  // namespace lbm::cli
