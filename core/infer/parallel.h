// Sharing work out over cores, and the small operations on one row that several files of the
// forward pass need.
#pragma once

#include "core/model/config.h"
#include "core/model/matrix.h"
#include "core/platform.h"
#include "kernels/kernel_table.h"

namespace lbm {

// More tasks than cores, so that a core that is busy elsewhere costs only its share.
inline constexpr u32 kTasksPerWorker = 4;

// Calls f(task) for 0 .. n_task - 1 on all cores.
template <class F>
void parallel(Workers& workers, u32 n_task, const F& f) {
  if (n_task == 1 || workers.n_worker() == 1) {
    for (u32 task = 0; task < n_task; ++task) f(task);
    return;
  }
  const Workers::Task call = [](void* job, u32 task) { (*static_cast<const F*>(job))(task); };
  workers.run(call, const_cast<F*>(&f),
              n_task);  // NOLINT: the pool passes a void*, f is only called
}

// Whether a matrix reads quantized activations.
inline bool is_quantized(const Matrix& matrix) {
  return matrix.present() && dtype_traits(matrix.dtype).block_size != 1;
}

// out[i] += bias[i], where there is one.
inline void add_bias(const KernelTable& kernels, f32* out, const f32* bias, u32 n) {
  if (bias != nullptr) kernels.add(out, bias, n);
}

// gate = act(gate) * up
inline void activate_gated(const KernelTable& kernels, Activation activation, f32* gate,
                           const f32* up, u32 n) {
  switch (activation) {
    case Activation::kGelu: kernels.gelu_mul(gate, up, n, gate); return;
    case Activation::kClampedSwiglu: kernels.swiglu_clamped(gate, up, n, gate); return;
    case Activation::kSilu:
    case Activation::kReluSquared: kernels.silu_mul(gate, up, n, gate); return;
  }
}

// x = act(x), in the families whose FFN has no gate.
inline void activate_alone(const KernelTable& kernels, Activation activation, f32* x, u32 n) {
  if (activation == Activation::kReluSquared) {
    kernels.relu_squared(x, n);
  } else {
    kernels.gelu(x, n);
  }
}

}  // namespace lbm
