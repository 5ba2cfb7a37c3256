// What tests of the forward pass against a reference have in common: the settings the reference was
// run with, and how far two sets of logits are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/hosted/loaded_model.h"

namespace lbm::test {

struct Difference {
  f64 max_abs = 0;
  f64 nmse = 0;  // sum of squares of the differences / of what is expected
};

inline Difference compare(const std::vector<f32>& actual, const std::vector<f32>& expected) {
  REQUIRE(actual.size() == expected.size());
  Difference d;
  f64 error = 0;
  f64 energy = 0;
  for (usize i = 0; i < expected.size(); ++i) {
    const f64 delta = static_cast<f64>(actual[i]) - static_cast<f64>(expected[i]);
    d.max_abs = std::max(d.max_abs, std::fabs(delta));
    error += delta * delta;
    energy += static_cast<f64>(expected[i]) * static_cast<f64>(expected[i]);
  }
  d.nmse = error / energy;
  return d;
}

// What the reference was run with.
inline SessionParams reference_params() {
  SessionParams params;
  params.kv = KvType::kF32;
  params.n_ctx = 256;
  return params;
}

inline u32 argmax(Span<const f32> logits) {
  usize best = 0;
  for (usize i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<u32>(best);
}

// On one thread.
inline std::vector<f32> logits_of(LoadedModel& loaded, const std::vector<u32>& tokens,
                                  const SessionParams& params, const KernelTable& kernels) {
  SingleWorker worker;
  return logits_of(loaded, tokens, params, kernels, worker);
}

// The `count` tokens that follow `prompt` when the most likely one is taken each time.
inline std::vector<u32> greedy_continuation(LoadedModel& loaded, const std::vector<u32>& prompt,
                                            usize count) {
  SingleWorker worker;
  const Arena::Mark mark = loaded.arena().mark();
  Session* session = loaded.session(reference_params(), *kernel_tables().back(), worker);
  REQUIRE(session != nullptr);
  REQUIRE(session->evaluate({prompt.data(), prompt.size()}).ok());
  loaded.arena().seal();  // decoding allocates nothing: from here on a request is a panic
  std::vector<u32> greedy;
  while (greedy.size() < count) {
    greedy.push_back(argmax(session->logits()));
    REQUIRE(session->decode(greedy.back()).ok());
  }
  loaded.arena().unseal();
  loaded.arena().rewind(mark);
  return greedy;
}

}  // namespace lbm::test
