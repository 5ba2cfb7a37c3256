// The kernels of recurrent layers: every table against one plain definition of R17, all bits, for
// sizes with and without a ragged end, in one piece and token by token.
#include "core/base/fmath.h"
#include "core/base/pcg32.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kTokens = 5;
constexpr u32 kMaxChannels = 80;
constexpr f32 kPoison = 1e30f;

f32 random_value(Pcg32& rng) {
  return static_cast<f32>(static_cast<i32>(rng.next() % 4001) - 2000) / 1000.0f;
}
template <usize kSize>
void fill(Pcg32& rng, f32 (&values)[kSize]) {
  for (f32& v : values) v = random_value(rng);
}
template <usize kSize>
void poison(f32 (&values)[kSize]) {
  for (f32& v : values) v = kPoison;
}
template <usize kSize>
bool same(const f32 (&a)[kSize], const f32 (&b)[kSize]) {
  return __builtin_memcmp(a, b, sizeof(a)) == 0;
}

// The sum of R11.
f32 plain_sum_of_squares(const f32* x, u32 n) {
  f32 lane[16] = {};
  for (u32 i = 0; i < n; ++i) lane[i % 16] = lane[i % 16] + x[i] * x[i];
  for (u32 width = 8; width != 0; width /= 2) {
    for (u32 i = 0; i < width; ++i) lane[i] = lane[i] + lane[i + width];
  }
  return lane[0];
}

struct ConvCase {
  u32 n_channel;
  u32 n_tap;
  bool gated;  // by `before` and `after`, else silu
  f32 taps[kMaxChannels * kMaxTaps];
  f32 tail[kMaxTaps * kMaxChannels];
  f32 x[kTokens * kMaxChannels];
  f32 before[kTokens * kMaxChannels];
  f32 after[kTokens * kMaxChannels];
};
struct ConvResult {
  f32 tail[kMaxTaps * kMaxChannels];
  f32 y[kTokens * kMaxChannels];
};

void make(Pcg32& rng, u32 n_channel, u32 n_tap, bool gated, ConvCase& c) {
  c.n_channel = n_channel;
  c.n_tap = n_tap;
  c.gated = gated;
  fill(rng, c.taps);
  fill(rng, c.tail);
  fill(rng, c.x);
  fill(rng, c.before);
  fill(rng, c.after);
}

void plain_conv(const ConvCase& c, ConvResult& r) {
  poison(r.y);
  poison(r.tail);
  for (u32 channel = 0; channel < c.n_channel; ++channel) {
    f32 window[kMaxTaps] = {};
    for (u32 tap = 0; tap + 1 < c.n_tap; ++tap) window[tap] = c.tail[tap * kMaxChannels + channel];
    for (u32 token = 0; token < kTokens; ++token) {
      const u32 at = token * kMaxChannels + channel;
      window[c.n_tap - 1] = c.gated ? c.before[at] * c.x[at] : c.x[at];
      f32 sum = 0.0f;
      for (u32 tap = 0; tap < c.n_tap; ++tap) {
        const u32 tile = channel / 16 * c.n_tap * 16;
        sum = sum + c.taps[tile + tap * 16 + channel % 16] * window[tap];
      }
      r.y[at] = c.gated ? c.after[at] * sum : silu_f32(sum);
      for (u32 tap = 0; tap + 1 < c.n_tap; ++tap) window[tap] = window[tap + 1];
    }
    for (u32 tap = 0; tap + 1 < c.n_tap; ++tap) r.tail[tap * kMaxChannels + channel] = window[tap];
  }
}

// In pieces of n_piece tokens and stretches of 32 channels; the state in place, or not.
void run_conv(const KernelTable& table, const ConvCase& c, u32 n_piece, bool in_place,
              ConvResult& r) {
  poison(r.y);
  poison(r.tail);
  if (in_place) __builtin_memcpy(r.tail, c.tail, sizeof(r.tail));
  for (u32 token = 0; token < kTokens; token += n_piece) {
    const u32 n = token + n_piece <= kTokens ? n_piece : kTokens - token;
    const u32 at = token * kMaxChannels;
    for (u32 first = 0; first < c.n_channel; first += 32) {
      const u32 n_channel = first + 32 <= c.n_channel ? 32 : c.n_channel - first;
      table.conv({c.taps, c.n_tap, first, n_channel, n, in_place || token != 0 ? r.tail : c.tail,
                  r.tail, kMaxChannels, c.x + at, c.gated ? c.before + at : nullptr,
                  c.gated ? c.after + at : nullptr, r.y + at, kMaxChannels, !c.gated});
    }
  }
  // Rows of the tail are whole lanes: what is beyond the channels is the kernel's own.
  for (u32 tap = 0; tap + 1 < c.n_tap; ++tap) {
    for (u32 i = c.n_channel; i < kMaxChannels; ++i) r.tail[tap * kMaxChannels + i] = kPoison;
  }
  for (u32 i = (c.n_tap - 1) * kMaxChannels; i < kMaxTaps * kMaxChannels; ++i) r.tail[i] = kPoison;
}

ConvCase g_conv;
ConvResult g_conv_expected, g_conv_actual;

constexpr u32 kKeyDim = 24;
constexpr u32 kValueStride = 144;

struct DeltaCase {
  f32 state[kKeyDim * kValueStride];
  f32 q[kTokens * kKeyDim];
  f32 k[kTokens * kKeyDim];
  f32 v[kTokens * kValueStride];
  f32 decay[kTokens];
  f32 beta[kTokens];
};
struct DeltaResult {
  f32 state[kKeyDim * kValueStride];
  f32 out[kTokens * kValueStride];
};

void plain_delta_net(const DeltaCase& c, u32 value_dim, DeltaResult& r) {
  __builtin_memcpy(r.state, c.state, sizeof(r.state));
  poison(r.out);
  for (u32 token = 0; token < kTokens; ++token) {
    const f32* q = c.q + token * kKeyDim;
    const f32* k = c.k + token * kKeyDim;
    for (u32 j = 0; j < value_dim; ++j) {
      f32 found = 0.0f;
      for (u32 i = 0; i < kKeyDim; ++i)
        found = found + (r.state[i * kValueStride + j] * c.decay[token]) * k[i];
      const f32 delta = (c.v[token * kValueStride + j] - found) * c.beta[token];
      f32 out = 0.0f;
      for (u32 i = 0; i < kKeyDim; ++i) {
        f32& s = r.state[i * kValueStride + j];
        s = s * c.decay[token] + k[i] * delta;
        out = out + s * q[i];
      }
      r.out[token * kValueStride + j] = out;
    }
  }
}

void run_delta_net(const KernelTable& table, const DeltaCase& c, u32 value_dim, u32 n_piece,
                   DeltaResult& r) {
  poison(r.out);
  poison(r.state);
  for (u32 token = 0; token < kTokens; token += n_piece) {
    const u32 n = token + n_piece <= kTokens ? n_piece : kTokens - token;
    // Rows of keys and queries have another stride than those of values in no model, so all are
    // copied to one.
    static f32 rows[3][kTokens * kValueStride];
    for (u32 t = 0; t < n; ++t) {
      __builtin_memcpy(rows[0] + t * kValueStride, c.q + (token + t) * kKeyDim,
                       kKeyDim * sizeof(f32));
      __builtin_memcpy(rows[1] + t * kValueStride, c.k + (token + t) * kKeyDim,
                       kKeyDim * sizeof(f32));
      __builtin_memcpy(rows[2] + t * kValueStride, c.v + (token + t) * kValueStride,
                       value_dim * sizeof(f32));
    }
    table.delta_net({token == 0 ? c.state : r.state, r.state, kValueStride, kKeyDim, value_dim, n,
                     rows[0], rows[1], rows[2], kValueStride, c.decay + token, c.beta + token, 1,
                     r.out + token * kValueStride, kValueStride});
  }
  for (u32 i = 0; i < kKeyDim; ++i) {
    for (u32 j = value_dim; j < kValueStride; ++j)
      r.state[i * kValueStride + j] = c.state[i * kValueStride + j];
  }
}

DeltaCase g_delta;
DeltaResult g_delta_expected, g_delta_actual;

}  // namespace

TEST_CASE("the convolution gives the bits of its definition in every table", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(17, 1);
  for (const u32 n_channel : {1u, 16u, 33u, 80u}) {
    for (const u32 n_tap : {2u, 3u, 4u, 16u}) {
      for (const bool gated : {false, true}) {
        make(rng, n_channel, n_tap, gated, g_conv);
        plain_conv(g_conv, g_conv_expected);
        for (u32 i = 0; i < n_table; ++i) {
          for (const u32 n_piece : {1u, 2u, kTokens}) {
            run_conv(*tables[i], g_conv, n_piece, n_piece == 2, g_conv_actual);
            CHECK(same(g_conv_actual.y, g_conv_expected.y));
            CHECK(same(g_conv_actual.tail, g_conv_expected.tail));
          }
        }
      }
    }
  }
}

TEST_CASE("a convolution may be written over its input", "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(17, 2);
  make(rng, 40, 4, false, g_conv);
  plain_conv(g_conv, g_conv_expected);
  for (u32 i = 0; i < n_table; ++i) {
    f32 y[kTokens * kMaxChannels];
    __builtin_memcpy(y, g_conv.x, sizeof(y));
    tables[i]->conv({g_conv.taps, 4, 0, 40, kTokens, g_conv.tail, g_conv_actual.tail, kMaxChannels,
                     y, nullptr, nullptr, y, kMaxChannels, true});
    for (u32 token = 0; token < kTokens; ++token) {
      const u32 at = token * kMaxChannels;
      CHECK(__builtin_memcmp(y + at, g_conv_expected.y + at, 40 * sizeof(f32)) == 0);
      CHECK(y[at + 40] == g_conv.x[at + 40]);
    }
  }
}

TEST_CASE("the delta rule gives the bits of its definition in every table", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(17, 3);
  for (const u32 value_dim : {1u, 16u, 24u, 63u, 128u, 144u}) {
    fill(rng, g_delta.state);
    fill(rng, g_delta.q);
    fill(rng, g_delta.k);
    fill(rng, g_delta.v);
    fill(rng, g_delta.decay);
    fill(rng, g_delta.beta);
    plain_delta_net(g_delta, value_dim, g_delta_expected);
    for (u32 i = 0; i < n_table; ++i) {
      for (const u32 n_piece : {1u, 3u, kTokens}) {
        run_delta_net(*tables[i], g_delta, value_dim, n_piece, g_delta_actual);
        CHECK(same(g_delta_actual.out, g_delta_expected.out));
        CHECK(same(g_delta_actual.state, g_delta_expected.state));
      }
    }
  }
}

TEST_CASE("the L2 norm gives the bits of its definition in every table", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(17, 4);
  f32 x[70];
  fill(rng, x);
  for (u32 n = 1; n < 70; n += n < 34 ? 1 : 9) {
    f32 expected[70];
    __builtin_memcpy(expected, x, sizeof(x));
    const f32 inverse = 1.0f / __builtin_sqrtf(plain_sum_of_squares(x, n) + 1e-6f);
    for (u32 i = 0; i < n; ++i) expected[i] = (x[i] * inverse) * 0.25f;
    for (u32 i = 0; i < n_table; ++i) {
      f32 actual[70];
      __builtin_memcpy(actual, x, sizeof(x));
      tables[i]->l2_norm(actual, n, 1e-6f, 0.25f, actual);
      CHECK(same(actual, expected));
    }
  }
}

TEST_CASE("softplus is exact where it can be and keeps its precision on both sides", "[base]") {
  CHECK(softplus_f32(0.0f) == 0.693147180559945309f);
  CHECK(softplus_f32(1.0f) == 1.31326168751822286f);
  CHECK(softplus_f32(-1.0f) == 0.313261687518222834f);
  CHECK(softplus_f32(-20.0f) == 2.06115361819020368e-9f);
  CHECK(softplus_f32(-80.0f) == 1.80485138784541510e-35f);
  CHECK(softplus_f32(50.0f) == 50.0f);
  CHECK(softplus_f32(__builtin_inff()) == __builtin_inff());
  CHECK(softplus_f32(-__builtin_inff()) == 0.0f);
  const f32 nan = softplus_f32(__builtin_nanf(""));
  CHECK(nan != nan);
}
