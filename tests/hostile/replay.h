// A hostile file on its way through the parsers: who refuses it, and why. The same code on every
// host, so that the answers can be compared.
//
// The suffix of the name says what the file claims to be, as the folder listing of a stick would:
//   .gguf .slm .bin    open, config, tokenizer, weights: the stages of a load, in their order
//   .cfg               settings: the first line that is ignored; error.offset is its number
//   .jinja             parse, render
// A file may need others that lie beside it: those have the stage kBeside, and are not replayed.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/platform.h"

namespace lbm::test {

inline constexpr Str kBeside = "beside";

struct ReplayOutcome {
  Str stage = "ok";  // who refused; "ok" where nobody did
  Error error;       // kOk where nobody did
};

// True where this build has a reader for files of this name.
[[nodiscard]] bool can_replay(Str name);
[[nodiscard]] bool is_model(Str name);

// `arena` is left as it was, whatever happens; 64 MiB are enough for any file of the corpus.
[[nodiscard]] ReplayOutcome replay(Str name, ByteSource& source, Arena& arena);

// An accepted model loads, evaluates a prompt and then 4 tokens one by one.
// Errors: those of Engine and Session; kInvalidArgument where a logit is not finite though no
// kernel said so.
[[nodiscard]] Status run_accepted(ByteSource& source, Pages& pages);

}  // namespace lbm::test
