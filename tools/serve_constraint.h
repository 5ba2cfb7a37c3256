// What an answer may consist of, as a filter for the sampler: a grammar of the client's, a JSON
// schema, or a call of a function from the moment on where the model begins one.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "core/chat/grammar_filter.h"
#include "tools/platform_posix.h"
#include "tools/serve_request.h"

namespace lbm::cli {

// A filter, and what goes with it when it is no longer needed. Its memory stands in an arena of the
// caller.
class Constraint {
 public:
  virtual ~Constraint() = default;
  [[nodiscard]] virtual TokenFilter& filter() = 0;
};

class Constraints {
 public:
  explicit Constraints(const Tokenizer& tokenizer);

  // Null where nothing is asked for. With `trigger`, anything may come until the answer has that
  // text, and again after what the constraint describes. Throws ApiError: 400 naming the field and
  // what is wrong with the grammar or the schema; 503.
  [[nodiscard]] std::unique_ptr<Constraint> make(const ConstraintRequest& request,
                                                 const std::string& trigger, Arena& arena);

 private:
  [[nodiscard]] const SortedPieces& pieces();

  const Tokenizer& tokenizer_;
  std::mutex mutex_;  // over the following, made when they are needed first
  std::unique_ptr<ReservedMemory> memory_;
  Arena arena_;
  const SortedPieces* pieces_ = nullptr;
};

}  // namespace lbm::cli
