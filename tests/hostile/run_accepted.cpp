// What replay.cpp does without: a model that was accepted is evaluated.
#include "core/chat/engine.h"
#include "kernels/select.h"
#include "tests/hostile/replay.h"

namespace lbm::test {

Status run_accepted(ByteSource& source, Pages& pages) {
  SingleWorker worker;
  Engine engine(pages, worker, *find_kernel_table(detect_cpu_features(), "scalar"));
  EngineOptions options;
  options.n_ctx = 16;
  options.hash_file = false;
  if (Status s = engine.load(source, "accepted", options, nullptr); !s.ok()) return s;
  const u32 n_vocab = engine.session().model().config.n_vocab;
  const u32 prompt[] = {1 % n_vocab, 70 % n_vocab, 104 % n_vocab};
  if (Status s = engine.session().evaluate(prompt); !s.ok()) return s;
  for (u32 i = 0; i < 4; ++i) {
    if (Status s = engine.session().decode((5 + i) % n_vocab); !s.ok()) return s;
  }
  for (const f32 logit : engine.session().logits()) {
    if (logit - logit != 0.0f) return fail(ErrorCode::kInvalidArgument, "a logit is not finite");
  }
  return {};
}

}  // namespace lbm::test
