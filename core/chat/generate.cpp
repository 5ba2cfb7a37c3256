// See generate.h; the loop itself is generation.cpp.
#include "core/chat/generate.h"

#include "core/chat/generation.h"

namespace lbm {
namespace {

f64 rate(u32 n, u64 us) {
  return n == 0 || us == 0 ? 0.0 : static_cast<f64>(n) * 1e6 / static_cast<f64>(us);
}

}  // namespace

Str stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfGeneration: return "eog";
    case StopReason::kLength: return "length";
    case StopReason::kContext: return "context";
    case StopReason::kInterrupted: return "interrupted";
    case StopReason::kLoop: return "loop";
  }
  return "";
}

f64 GenerateStats::prefill_rate() const { return rate(n_evaluated, prefill_us); }
f64 GenerateStats::decode_rate() const { return rate(n_decoded, decode_us); }

Result<GenerateStats> generate(const Generator& with, Span<const u32> prompt,
                               const GenerateOptions& options, GenerateSink& sink,
                               Session::Interrupt interrupt) {
  Generation answer(with, options, sink);
  if (const Status s = answer.begin(prompt); !s.ok()) return s.error();
  answer.run(interrupt);
  return answer.finish();  // with the error of a step, where there was one
}

}  // namespace lbm
