// Vector state: what enable_simd() says is what the processor does.
#include "efi/cpu_state.h"

#include <cpuid.h>
#include <immintrin.h>

#include "kernels/cpu_features.h"
#include "tests/bare/machine.h"
#include "tests/test.h"

namespace {

using namespace lbm;

bool cpuid_has_avx() {
  u32 eax = 0;
  u32 ebx = 0;
  u32 ecx = 0;
  u32 edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 28)) != 0;
}

__attribute__((target("avx2"))) i32 sum_of_squares_avx2(const i32* values) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
  alignas(32) i32 squares[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(squares), _mm256_mullo_epi32(x, x));
  i32 sum = 0;
  for (const i32 square : squares) sum += square;
  return sum;
}

}  // namespace

TEST_CASE("SSE state is on and AVX state follows the processor", "[efi]") {
  const efi::CpuState& state = bare::cpu_state();
  CHECK((state.cr4 & (u64{1} << 9)) != 0);
  CHECK((state.cr4 & (u64{1} << 10)) != 0);
  CHECK(state.xsave == ((state.cr4 & (u64{1} << 18)) != 0));
  if (state.xsave) CHECK((state.xcr0 & 3) == 3);
  CHECK(((state.xcr0 & 4) != 0) == (state.xsave && cpuid_has_avx()));
  CHECK(((state.xcr0 & 0xE0) == 0 || (state.xcr0 & 0xE4) == 0xE4));
}

TEST_CASE("an AVX2 instruction runs where the features say so", "[efi]") {
  if (!detect_cpu_features().avx2) return;
  const i32 values[8] = {1, -2, 3, -4, 5, -6, 7, -8};
  CHECK(sum_of_squares_avx2(values) == 204);
}

TEST_CASE("MXCSR is the standard one after calls of the firmware", "[efi]") {
  constexpr u32 kControlBits = 0xFFC0;  // all but the sticky exception flags
  CHECK((efi::read_mxcsr() & kControlBits) == efi::kMxcsr);
  bare::console().write("");
  CHECK((efi::read_mxcsr() & kControlBits) == efi::kMxcsr);
  (void)bare::console().poll_key();
  CHECK((efi::read_mxcsr() & kControlBits) == efi::kMxcsr);
}

TEST_CASE("enabling twice changes nothing", "[efi]") {
  const efi::CpuState again = efi::enable_simd();
  CHECK(again.cr4 == bare::cpu_state().cr4);
  CHECK(again.xcr0 == bare::cpu_state().xcr0);
}
