#include "tools/slm_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/arith.h"
#include "core/format/slm.h"
#include "core/model/config.h"
#include "core/tensor/dequantize.h"
#include "tools/file_writer.h"
#include "tools/gguf_writer.h"
#include "tools/output.h"

namespace lbm::cli {
namespace {

constexpr u32 kBlock = 32;
constexpr u32 kQ4BlockBytes = 18;
constexpr u32 kQ8BlockBytes = 34;

void put(std::string& out, u64 value, u32 n_byte) {
  for (u32 i = 0; i < n_byte; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}
void put_f32(std::string& out, f32 value) { put(out, __builtin_bit_cast(u32, value), 4); }

[[noreturn]] void refuse(Str subject, const std::string& what) {
  throw CommandError(ExitCode::kModel, printable(subject) + ": " + what);
}

f32 half_at(const u8* bytes) {
  f32 value = 0;
  const u8 plain[2] = {bytes[0], bytes[1]};
  expect(dequantize(DType::kF16, plain, {&value, 1}), "", Stage::kRun);
  return value;
}

// One tensor on its way into the file.
struct Payload {
  TensorInfo tensor;
  u32 dtype = slm::kF32;
  u64 offset = 0;
  u64 n_byte = 0;
  u64 scale_offset = 0;
  u64 n_scale = 0;

  [[nodiscard]] u64 n_col() const { return tensor.dims[0]; }
  [[nodiscard]] u64 n_row() const { return tensor.n_element() / n_col(); }
};

// The integers and scales of a tensor, or its values.
struct Content {
  std::string payload;
  std::string scales;
};

class SlmWriter {
 public:
  SlmWriter(const std::string& path, const ModelFile& model, SlmWeights weights)
      : path_(path), model_(model), weights_(weights) {}

  void write() {
    read_shape();
    collect();
    tokenizer_ = metadata_section();
    lay_out();
    FileWriter file(path_);
    slm::Fnv1a hash;
    const auto append = [&](std::string bytes) {
      bytes.resize(align_up(bytes.size(), slm::kAlignment), '\0');
      hash.update(to_str(bytes).bytes());
      file.write(bytes.data(), bytes.size());
    };
    append(header() + tokenizer_ + directory());
    for (const Payload& item : items_) {
      Content content = content_of(item);
      append(std::move(content.payload));
      if (!content.scales.empty()) append(std::move(content.scales));
    }
    std::string checksum;
    put(checksum, hash.value(), 8);
    file.rewrite(slm::kChecksumAt, to_str(checksum).bytes());
    file.commit();
  }

 private:
  void read_shape() {
    const Result<Str> architecture = model_.get_text("general.architecture");
    if (!architecture.ok()) throw_error(architecture.error(), path_, Stage::kModel);
    if (architecture.value() != "llama")
      refuse(architecture.value(), "an .slm file holds models of the architecture llama only");
    const ModelConfig config = expect(read_config(model_), path_, Stage::kModel);
    if (config.experts.n_expert != 0) refuse("llama", "an .slm file holds no experts");
    shape_.n_vocab = config.n_vocab;
    shape_.n_layer = config.n_layer;
    shape_.n_embd = config.n_embd;
    shape_.n_ff = config.n_ff;
    shape_.n_head = config.n_head;
    shape_.n_head_kv = config.n_head_kv;
    shape_.head_dim = config.head_dim;
    shape_.n_ctx = config.n_ctx_train;
    shape_.rope_theta = static_cast<f32>(config.rope.freq_base);
    shape_.rms_eps = config.norm_eps;
  }

  // The tensors in the order of the format; each has to be there, and no other.
  void collect() {
    TensorInfo output;
    is_tied_ = !model_.find_tensor("output.weight", output);
    const u32 n = slm::n_tensors(shape_.n_layer, is_tied_);
    for (u32 i = 0; i < n; ++i) {
      TextBuffer<kMaxTensorNameBytes> name;
      const slm::TensorShape shape = slm::tensor_shape(shape_, i, name);
      Payload item;
      if (!model_.find_tensor(name.text(), item.tensor))
        refuse(name.text(), "the model lacks this");
      const u64 n_row = shape.n_row == 0 ? 1 : shape.n_row;
      if (item.n_col() != shape.n_col || item.n_row() != n_row)
        refuse(name.text(), "its shape is not the one that the metadata ask for");
      item.dtype = shape.n_row == 0 ? slm::kF32 : dtype_of(item);
      items_.push_back(item);
    }
    if (model_.n_tensor() == n) return;
    for (u32 i = 0; i < model_.n_tensor(); ++i) {
      const Str name = model_.tensor(i).name;
      const bool known = std::any_of(items_.begin(), items_.end(),
                                     [&](const Payload& item) { return item.tensor.name == name; });
      if (!known) refuse(name, "an .slm file has no place for this tensor");
    }
  }

  [[nodiscard]] u32 dtype_of(const Payload& item) {
    switch (weights_) {
      case SlmWeights::kF32: return slm::kF32;
      case SlmWeights::kQ8_0: return slm::kQ8_0;
      case SlmWeights::kQ4_0: return item.n_col() % 2 == 0 ? slm::kQ4_0 : slm::kF32;
      case SlmWeights::kExact: break;
    }
    if (item.tensor.dtype == DType::kQ4_0) return slm::kQ4_0;
    const bool is_row = item.tensor.dtype == DType::kQ8_0 && rows_share_scales(item);
    return is_row ? slm::kQ8_0 : slm::kF32;
  }

  [[nodiscard]] std::vector<u8> read(const Payload& item) {
    std::vector<u8> bytes(item.tensor.n_byte);
    expect(model_.data().read(item.tensor.file_offset, {bytes.data(), bytes.size()}), path_,
           Stage::kModel);
    return bytes;
  }

  [[nodiscard]] bool rows_share_scales(const Payload& item) {
    const std::vector<u8> bytes = read(item);
    const u64 n_row_byte = item.n_col() / kBlock * kQ8BlockBytes;
    for (usize at = 0; at < bytes.size(); at += kQ8BlockBytes) {
      const usize row = at / n_row_byte * n_row_byte;
      if (std::memcmp(&bytes[at], &bytes[row], 2) != 0) return false;
    }
    return true;
  }

  // A GGUF file without tensors.
  [[nodiscard]] std::string metadata_section() const {
    GgufMetadata metadata;
    metadata.copy_from(model_);
    static_cast<void>(metadata.erase("general.alignment"));
    static_cast<void>(metadata.erase("general.file_type"));
    std::string out = "GGUF";
    put(out, 3, 4);
    put(out, 0, 8);
    put(out, metadata.size(), 8);
    return out + metadata.encoded();
  }

  void lay_out() {
    directory_at_ = slm::kHeaderBytes + tokenizer_.size();
    data_at_ = align_up(directory_at_ + items_.size() * slm::kEntryBytes, slm::kAlignment);
    u64 at = data_at_;
    for (Payload& item : items_) {
      const u64 n_element = item.tensor.n_element();
      item.offset = at;
      item.n_byte = item.dtype == slm::kF32    ? n_element * sizeof(f32)
                    : item.dtype == slm::kQ8_0 ? n_element
                                               : n_element / 2;
      at += align_up(item.n_byte, slm::kAlignment);
      if (item.dtype == slm::kF32) continue;
      item.scale_offset = at;
      item.n_scale = item.n_row() * (item.dtype == slm::kQ8_0 ? 1 : ceil_div(item.n_col(), kBlock));
      at += align_up(item.n_scale * sizeof(f32), slm::kAlignment);
    }
  }

  [[nodiscard]] std::string header() const {
    std::string out = "SLM1";
    const u32 numbers[] = {1,
                           slm::kHeaderBytes,
                           0,
                           is_tied_ ? slm::kTiedFlag : 0,
                           shape_.n_vocab,
                           shape_.n_layer,
                           shape_.n_head,
                           shape_.n_head_kv,
                           shape_.head_dim,
                           shape_.n_ff,
                           shape_.n_ctx,
                           shape_.n_embd,
                           0};
    for (const u32 number : numbers) put(out, number, 4);
    put_f32(out, shape_.rope_theta);
    put_f32(out, shape_.rms_eps);
    put(out, slm::kHeaderBytes, 8);
    put(out, tokenizer_.size(), 8);
    put(out, directory_at_, 8);
    put(out, items_.size(), 4);
    put(out, data_at_, 8);
    put(out, 0, 8);  // the checksum, at the end
    return out;
  }

  [[nodiscard]] std::string directory() const {
    std::string out;
    for (const Payload& item : items_) {
      const bool is_vector = item.tensor.n_dim == 1;
      put(out, slm::hash_name(item.tensor.name), 8);
      put(out, item.dtype, 4);
      put(out, is_vector ? 1 : 2, 4);
      put(out, is_vector ? item.n_col() : item.n_row(), 4);
      put(out, is_vector ? 1 : item.n_col(), 4);
      put(out, 1, 4);
      put(out, 1, 4);
      put(out, item.offset, 8);
      put(out, item.n_byte, 8);
      put(out, item.scale_offset, 8);
      put(out, item.dtype == slm::kF32 ? 0 : item.dtype == slm::kQ8_0 ? item.n_col() : kBlock, 4);
      put(out, 0, 4);
    }
    return out;
  }

  // ---- data

  [[nodiscard]] Content content_of(const Payload& item) {
    const std::vector<u8> bytes = read(item);
    if (weights_ == SlmWeights::kExact && item.dtype == slm::kQ4_0) return exact_q4(bytes);
    if (weights_ == SlmWeights::kExact && item.dtype == slm::kQ8_0) return exact_q8(item, bytes);
    std::vector<f32> values(item.tensor.n_element());
    expect(
        dequantize(item.tensor.dtype, {bytes.data(), bytes.size()}, {values.data(), values.size()}),
        path_, Stage::kModel);
    if (item.dtype == slm::kF32) {
      Content out;
      out.payload.reserve(item.n_byte);
      for (const f32 value : values) put_f32(out.payload, value);
      return out;
    }
    return quantized(item, values);
  }

  // Q4_0 has columns 0 to 15 of a block in the low bits, 16 to 31 in the high ones; .slm has
  // neighbours.
  static Content exact_q4(const std::vector<u8>& bytes) {
    Content out;
    for (usize at = 0; at < bytes.size(); at += kQ4BlockBytes) {
      put_f32(out.scales, half_at(&bytes[at]));
      const u8* q = &bytes[at + 2];
      const auto nibble = [&](u32 i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; };
      for (u32 i = 0; i < kBlock; i += 2)
        out.payload.push_back(static_cast<char>(nibble(i) | nibble(i + 1) << 4));
    }
    return out;
  }

  static Content exact_q8(const Payload& item, const std::vector<u8>& bytes) {
    Content out;
    const u64 n_block = item.n_col() / kBlock;
    for (usize at = 0; at < bytes.size(); at += kQ8BlockBytes) {
      if (at / kQ8BlockBytes % n_block == 0) put_f32(out.scales, half_at(&bytes[at]));
      out.payload.append(reinterpret_cast<const char*>(&bytes[at + 2]), kBlock);
    }
    return out;
  }

  // scale = the largest magnitude / 127 or 7; each weight to the nearest multiple of it.
  static Content quantized(const Payload& item, const std::vector<f32>& values) {
    Content out;
    const bool is_q8 = item.dtype == slm::kQ8_0;
    const usize n_col = static_cast<usize>(item.n_col());
    const usize group = is_q8 ? n_col : kBlock;
    const f32 most = is_q8 ? 127.0f : 7.0f;
    f32 scale = 0;
    for (usize row = 0; row < values.size(); row += n_col) {
      int low_nibble = 0;
      for (usize col = 0; col < n_col; ++col) {
        if (col % group == 0) {
          f32 largest = 0;
          for (usize i = col; i < std::min(col + group, n_col); ++i)
            largest = std::max(largest, std::fabs(values[row + i]));
          scale = largest / most;
          put_f32(out.scales, scale);
        }
        const f32 ratio = scale == 0.0f ? 0.0f : values[row + col] / scale;
        const int q = static_cast<int>(std::lrintf(std::clamp(ratio, -most, most)));
        if (is_q8) {
          out.payload.push_back(static_cast<char>(q));
        } else if (col % 2 == 0) {
          low_nibble = q + 8;
        } else {
          out.payload.push_back(static_cast<char>(low_nibble | (q + 8) << 4));
        }
      }
    }
    return out;
  }

  std::string path_;
  const ModelFile& model_;
  SlmWeights weights_;
  LlamaShape shape_;
  bool is_tied_ = false;
  std::vector<Payload> items_;
  std::string tokenizer_;
  u64 directory_at_ = 0;
  u64 data_at_ = 0;
};

}  // namespace

bool parse_slm_weights(const std::string& name, SlmWeights& out) {
  constexpr const char* kNames[] = {"exact", "f32", "q8_0", "q4_0"};
  for (u32 i = 0; i < 4; ++i) {
    if (name != kNames[i]) continue;
    out = static_cast<SlmWeights>(i);
    return true;
  }
  return false;
}

void write_slm(const std::string& path, const ModelFile& model, SlmWeights weights) {
  SlmWriter(path, model, weights).write();
}

}  // namespace lbm::cli
