#include "tools/requantize.h"

#include <cmath>

#include "core/tensor/dequantize.h"
#include "core/tensor/quantize.h"
#include "tools/interrupt.h"

namespace lbm::cli {
namespace {

constexpr u64 kSlabBytes = 4 * kMiB;  // of the source; f32 values and results come on top

u64 row_bytes(DType type, u64 n_col) {
  const DTypeTraits traits = dtype_traits(type);
  return n_col / traits.block_size * traits.block_bytes;
}

void stop_if_interrupted() {
  if (take_interrupt())
    throw CommandError(ExitCode::kInterrupted, "stopped; nothing was written under the new name");
}

}  // namespace

// The rows that one job works on. Every task owns one row: its values, its result, its verdict.
struct TensorStream::Slab {
  DType from = DType::kF32;
  DType to = DType::kF32;
  u64 n_col = 0;
  u64 n_row = 0;
  u64 first_row = 0;
  u64 rows_per_expert = 0;
  const std::vector<f32>* importance = nullptr;
  std::vector<u8> source;
  std::vector<u8> result;
  std::vector<f32> values;  // of each row: the values, then what became of them
  std::vector<Status> verdicts;
  std::vector<f64> error_squares;
  std::vector<f64> value_squares;

  void resize(u64 rows) {
    n_row = rows;
    source.resize(static_cast<usize>(rows * row_bytes(from, n_col)));
    result.resize(static_cast<usize>(rows * row_bytes(to, n_col)));
    values.resize(static_cast<usize>(rows * n_col));
    verdicts.assign(static_cast<usize>(rows), Status());
    error_squares.assign(static_cast<usize>(rows), 0);
    value_squares.assign(static_cast<usize>(rows), 0);
  }

  [[nodiscard]] Span<const f32> importance_of_row(u64 row) const {
    if (importance == nullptr) return {};
    const u64 expert = (first_row + row) / rows_per_expert;
    return {importance->data() + expert * n_col, static_cast<usize>(n_col)};
  }

  void convert_row(u32 row) {
    const usize n = static_cast<usize>(n_col);
    const usize from_bytes = static_cast<usize>(row_bytes(from, n_col));
    const usize to_bytes = static_cast<usize>(row_bytes(to, n_col));
    const Span<f32> x(values.data() + row * n, n);
    const Span<u8> out(result.data() + row * to_bytes, to_bytes);
    Status status = dequantize(from, {source.data() + row * from_bytes, from_bytes}, x);
    if (status.ok()) status = quantize(to, x, importance_of_row(row), out);
    if (status.ok()) measure(row, x, out);
    verdicts[row] = status;
  }

  void measure(u32 row, Span<const f32> x, Span<const u8> out) {
    std::vector<f32> kept(x.size());
    if (!dequantize(to, out, Span<f32>(kept.data(), kept.size())).ok()) return;
    for (usize i = 0; i < x.size(); ++i) {
      const f64 error = static_cast<f64>(kept[i]) - static_cast<f64>(x[i]);
      error_squares[row] += error * error;
      value_squares[row] += static_cast<f64>(x[i]) * static_cast<f64>(x[i]);
    }
  }

  static void run_row(void* slab, u32 row) { static_cast<Slab*>(slab)->convert_row(row); }
};

TensorStream::TensorStream(TensorSource& source, Workers& workers,
                           const ImportanceMatrix& importance, std::string subject)
    : source_(source), workers_(workers), importance_(importance), subject_(std::move(subject)) {}

void TensorStream::write(usize index, DType type, GgufWriter& out) {
  error_squares_ = 0;
  value_squares_ = 0;
  if (source_.tensors()[index].dtype == type) {
    copy(index, out);
  } else {
    convert(index, type, out);
  }
}

std::vector<f64> TensorStream::write_all(const std::vector<GgufTensor>& after, GgufWriter& out) {
  std::vector<f64> errors;
  ProgressLine progress;
  for (usize i = 0; i < after.size(); ++i) {
    progress.show(format("[%zu/%zu] ", i + 1, after.size()) + printable(to_str(after[i].name)) +
                  " " + dtype_traits(after[i].dtype).name);
    write(i, after[i].dtype, out);
    errors.push_back(relative_error());
  }
  return errors;
}

f64 TensorStream::relative_error() const {
  return value_squares_ == 0 ? 0 : std::sqrt(error_squares_ / value_squares_);
}

void TensorStream::copy(usize index, GgufWriter& out) {
  const u64 n_byte = source_.tensors()[index].n_byte();
  std::vector<u8> bytes;
  for (u64 at = 0; at < n_byte; at += kSlabBytes) {
    stop_if_interrupted();
    bytes.resize(static_cast<usize>(std::min(kSlabBytes, n_byte - at)));
    source_.read(index, at, Span<u8>(bytes.data(), bytes.size()));
    out.write(Span<const u8>(bytes.data(), bytes.size()));
  }
}

const std::vector<f32>* TensorStream::importance_of(const GgufTensor& tensor) const {
  const std::vector<f32>* found = importance_.find(tensor.name);
  if (found == nullptr) return nullptr;
  const u64 n_expert = tensor.dims.size() > 2 ? tensor.dims[2] : 1;
  if (found->size() == n_column(tensor) * n_expert) return found;
  // Made for another model, or for its embedding, which is gathered from and never multiplied.
  if (tensor.name == "token_embd.weight") return nullptr;
  throw CommandError(ExitCode::kModel,
                     importance_.file_name() + ": " + printable(to_str(tensor.name)) +
                         format(": %zu values for %llu columns; it is of another model [mismatch]",
                                found->size(),
                                static_cast<unsigned long long>(n_column(tensor) * n_expert)));
}

void TensorStream::refuse_row(const GgufTensor& tensor, u64 row, const Error& error) const {
  throw CommandError(
      exit_code_for(error, Stage::kModel),
      subject_ + ": " + printable(to_str(tensor.name)) +
          format(": row %llu, column %llu: %s [", static_cast<unsigned long long>(row),
                 static_cast<unsigned long long>(error.value), error.what) +
          to_string(error_code_name(error.code)) + "]");
}

void TensorStream::convert(usize index, DType type, GgufWriter& out) {
  const GgufTensor& tensor = source_.tensors()[index];
  Slab slab;
  slab.from = tensor.dtype;
  slab.to = type;
  slab.n_col = n_column(tensor);
  slab.rows_per_expert = tensor.dims.size() > 1 ? tensor.dims[1] : 1;
  slab.importance = importance_of(tensor);
  const u64 source_row = row_bytes(slab.from, slab.n_col);
  const u64 n_row_all = n_row(tensor);
  const u64 slab_rows = std::max<u64>(1, kSlabBytes / source_row);
  for (slab.first_row = 0; slab.first_row < n_row_all; slab.first_row += slab.n_row) {
    stop_if_interrupted();
    slab.resize(std::min(slab_rows, n_row_all - slab.first_row));
    source_.read(index, slab.first_row * source_row, {slab.source.data(), slab.source.size()});
    workers_.run(Slab::run_row, &slab, static_cast<u32>(slab.n_row));
    for (u64 row = 0; row < slab.n_row; ++row) {
      if (!slab.verdicts[row].ok()) refuse_row(tensor, slab.first_row + row, slab.verdicts[row].error());
      error_squares_ += slab.error_squares[row];
      value_squares_ += slab.value_squares[row];
    }
    out.write(Span<const u8>(slab.result.data(), slab.result.size()));
  }
}

}  // namespace lbm::cli
