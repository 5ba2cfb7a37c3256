#include "tools/tensor_source.h"

namespace lbm::cli {

ModelTensors::ModelTensors(ModelReader& reader) : reader_(reader) {
  const ModelFile& file = reader.file();
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo info = file.tensor(i);
    tensors_.push_back({to_string(info.name), info.dtype, {info.dims, info.dims + info.n_dim}});
  }
}

void ModelTensors::read(usize tensor, u64 offset, Span<u8> out) {
  const TensorInfo info = reader_.file().tensor(static_cast<u32>(tensor));
  expect(reader_.file().data().read(info.file_offset + offset, out), reader_.path(), Stage::kModel);
}

u64 n_row(const GgufTensor& tensor) {
  u64 n = 1;
  for (usize i = 1; i < tensor.dims.size(); ++i) n *= tensor.dims[i];
  return n;
}

}  // namespace lbm::cli
