// What may come next: the part of a grammar that the sampler and the decode loop know.
//
// A filter narrows the candidates before everything else that a sampler does (docs/numerics.md
// R18): what it does not allow takes no part in penalties, top-k or the draw, however likely it is.
// It is a function of the tokens that it accepted, so answers stay functions of (model, prompt,
// parameters), and speculation, which compares guesses with what was picked, stays lossless.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm {

class TokenFilter {
 public:
  // Back to the beginning of an answer.
  virtual void reset() = 0;

  // Whether `token` may come next. An end token may where the answer can end.
  // Errors: kLimit  the grammar is too ambiguous for the filter's memory.
  [[nodiscard]] virtual Result<bool> allows(u32 token) = 0;

  // All that may come next: token t by bit t % 32 of word t / 32. A view, until the next call.
  // Tokens beyond its last word may not come. Errors: as allows().
  [[nodiscard]] virtual Result<Span<const u32>> allowed() = 0;

  // `token` came next.
  // Errors: kBadValue  it is not allowed; kLimit. The filter stays where it was.
  [[nodiscard]] virtual Status accept(u32 token) = 0;

  // Whether the answer may end here.
  [[nodiscard]] virtual bool can_end() const = 0;
  // Whether it must: nothing but an end may follow.
  [[nodiscard]] virtual bool must_end() const = 0;

 protected:
  ~TokenFilter() = default;
};

}  // namespace lbm
