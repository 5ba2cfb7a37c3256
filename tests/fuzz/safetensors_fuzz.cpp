// libFuzzer on the headers of safetensors files: u64 length, JSON, as the file has it. What is
// accepted has no byte twice and none left over.
#include "tools/safetensors.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  using namespace lbm;
  if (size < 8) return 0;
  u64 n_header = 0;
  for (u32 i = 0; i < 8; ++i) n_header |= u64{data[i]} << (8 * i);
  const Str json(Span<const u8>(data + 8, size - 8));
  // The data are imagined: as many bytes as the length says, above what the JSON takes.
  const Result<std::vector<cli::StoredTensor>> parsed =
      cli::parse_safetensors_header(json, n_header & 0xFFFFFFFF);
  if (!parsed.ok()) return 0;
  u64 sum = 0;
  for (const cli::StoredTensor& tensor : parsed.value()) {
    u64 n = cli::stored_dtype_bytes(tensor.dtype);
    for (const u64 dim : tensor.shape) n *= dim;
    if (tensor.end < tensor.begin || n != tensor.end - tensor.begin) std::abort();
    sum += n;
  }
  if (sum != (n_header & 0xFFFFFFFF)) std::abort();
  return 0;
}
