// See scxm.h.
#include "tools/scxm.h"

#include <algorithm>

#include "core/base/sha256.h"
#include "core/base/utf8.h"
#include "core/tensor/f16.h"
#include "tools/gguf_writer.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

constexpr u32 kVersion = 1;
constexpr u64 kHeaderBytes = 12;
constexpr u64 kFooterBytes = 32;
constexpr u64 kMinRecordBytes = 13;  // three counts and a name of one byte
constexpr u32 kMaxNameBytes = 255;
constexpr u64 kReadBytes = 32 * kKiB;  // what is refused must not take much memory
constexpr u32 kBlock = 32;             // of Q4_0

// Numbers in a row of bytes that ends at the footer.
class Cursor {
 public:
  Cursor(ByteSource& source, u64 end) : source_(source), end_(end) {}

  [[nodiscard]] u64 at() const { return at_; }
  [[nodiscard]] bool has(u64 n) const { return n <= end_ - at_; }
  [[nodiscard]] Status read(Span<u8> out, const char* what) {
    if (!has(out.size()))
      return fail(ErrorCode::kTruncated, what).with(out.size(), end_ - at_).at(at_);
    const Status status = source_.read(at_, out);
    if (status.ok()) at_ += out.size();
    return status;
  }
  [[nodiscard]] Status read_u32(u32& out, const char* what) {
    u8 bytes[4];
    const Status status = read(bytes, what);
    if (status.ok()) {
      out = static_cast<u32>(bytes[0]) | static_cast<u32>(bytes[1]) << 8 |
            static_cast<u32>(bytes[2]) << 16 | static_cast<u32>(bytes[3]) << 24;
    }
    return status;
  }
  [[nodiscard]] Status skip(u64 n, const char* what) {
    if (!has(n)) return fail(ErrorCode::kTruncated, what).with(n, end_ - at_).at(at_);
    at_ += n;
    return {};
  }

 private:
  ByteSource& source_;
  u64 end_;
  u64 at_ = 0;
};

bool is_utf8(Str text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.codepoint == 0xFFFD && !text.starts_with("\xEF\xBF\xBD")) return false;
    text = text.from(c.n_byte);
  }
  return true;
}

Status read_record(Cursor& cursor, ScxmTensor& tensor) {
  u32 n_name = 0;
  const u64 name_at = cursor.at();
  Status status = cursor.read_u32(n_name, "the length of a name is cut off");
  if (!status.ok()) return status;
  if (n_name == 0) return fail(ErrorCode::kBadName, "a tensor without a name").at(name_at);
  if (n_name > kMaxNameBytes) {
    return fail(ErrorCode::kLimit, "a name of too many bytes")
        .with(n_name, kMaxNameBytes)
        .at(name_at);
  }
  tensor.name.resize(n_name);
  status = cursor.read({reinterpret_cast<u8*>(tensor.name.data()), n_name}, "a name is cut off");
  if (!status.ok()) return status;
  const Str name = to_str(tensor.name);
  if (!is_utf8(name)) return fail(ErrorCode::kBadName, "a name that is not UTF-8").at(name_at + 4);
  status = cursor.read_u32(tensor.n_packed, "the number of values is cut off");
  if (!status.ok()) return status;
  tensor.packed_at = cursor.at();
  status = cursor.skip(tensor.n_packed, "values are cut off");
  if (!status.ok()) return status;
  status = cursor.read_u32(tensor.n_scale, "the number of scales is cut off");
  if (!status.ok()) return status;
  tensor.scales_at = cursor.at();
  return cursor.skip(u64{tensor.n_scale} * 2, "scales are cut off");
}

Status check_footer(ByteSource& source, u64 footer_at) {
  Sha256 hash;
  std::vector<u8> bytes(kReadBytes);
  for (u64 at = 0; at < footer_at; at += kReadBytes) {
    const Span<u8> part(bytes.data(), static_cast<usize>(std::min(kReadBytes, footer_at - at)));
    const Status status = source.read(at, part);
    if (!status.ok()) return status;
    hash.update(part);
  }
  Sha256Digest stored;
  const Status status = source.read(footer_at, stored.bytes);
  if (!status.ok()) return status;
  if (hash.finish() == stored) return {};
  return fail(ErrorCode::kBadHash, "the footer is not the SHA-256 of the file before it")
      .at(footer_at);
}

// ---- import -------------------------------------------------------------------------------------

[[noreturn]] void refuse_tensor(const ScxmTensor& tensor, const std::string& what, ErrorCode code) {
  refuse(ExitCode::kModel, "tensor '" + printable(to_str(tensor.name)) + "'", what, code);
}

// [rows, columns ...] of `tensor`, slowest first, or one row of all its values.
std::vector<u64> shape_of(const ScxmTensor& tensor, const Json& shapes) {
  const u64 n_value = u64{tensor.n_packed} * 2;
  if (shapes.is_null()) return {n_value};
  const auto found = shapes.find(tensor.name);
  if (found == shapes.end()) refuse_tensor(tensor, "is not among the shapes", ErrorCode::kMissing);
  std::vector<u64> shape;
  u64 n_element = 1;
  const bool is_list = found->is_array() && !found->empty() && found->size() <= 4;
  for (usize i = 0; is_list && i < found->size(); ++i) {
    const Json& n = (*found)[i];
    if (!n.is_number_unsigned() || n == 0u || n.get<u64>() > (n_value / n_element)) {
      shape.clear();
      break;
    }
    shape.push_back(n.get<u64>());
    n_element *= shape.back();
  }
  // Values are packed in pairs: the last of an odd number has a neighbour that means nothing.
  const bool fits = !shape.empty() && (n_element == n_value || n_element + 1 == n_value);
  if (!fits) {
    refuse_tensor(tensor,
                  "its shape does not have the " + std::to_string(n_value) + " values of the file",
                  ErrorCode::kBadShape);
  }
  return shape;
}

u16 read_scale(ByteSource& source, const ScxmTensor& tensor) {
  if (tensor.n_scale != 1) {
    refuse_tensor(
        tensor, std::to_string(tensor.n_scale) + " scales: which values each is for is not defined",
        ErrorCode::kUnsupported);
  }
  u8 bytes[2];
  expect(source.read(tensor.scales_at, bytes), tensor.name, Stage::kModel);
  const u16 bits = static_cast<u16>(bytes[0] | bytes[1] << 8);
  if ((bits & 0x7C00) == 0x7C00)
    refuse_tensor(tensor, "its scale is not a finite number", ErrorCode::kNumeric);
  return bits;
}

// The signed values of `tensor`, n of them from `first` on (even).
void read_values(ByteSource& source, const ScxmTensor& tensor, u64 first, std::vector<i32>& out) {
  std::vector<u8> packed((out.size() + 1) / 2);
  expect(source.read(tensor.packed_at + first / 2, {packed.data(), packed.size()}), tensor.name,
         Stage::kModel);
  for (usize i = 0; i < out.size(); ++i) {
    const u32 half = i % 2 == 0 ? packed[i / 2] & 15u : packed[i / 2] >> 4;
    out[i] = static_cast<i32>(half) - (half >= 8 ? 16 : 0);
  }
}

void append_f32(std::vector<u8>& out, f32 value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  for (u32 i = 0; i < 4; ++i) out.push_back(static_cast<u8>(bits >> (8 * i)));
}

// A block of Q4_0: the scale, then values 0..15 in low halves and 16..31 in high ones, plus 8.
void append_q4_0(std::vector<u8>& out, u16 scale, const i32* values) {
  out.push_back(static_cast<u8>(scale));
  out.push_back(static_cast<u8>(scale >> 8));
  for (u32 i = 0; i < kBlock / 2; ++i)
    out.push_back(static_cast<u8>((values[i] + 8) | (values[i + kBlock / 2] + 8) << 4));
}

void write_tensor(ByteSource& source, const ScxmTensor& tensor, u16 scale, const GgufTensor& as,
                  GgufWriter& writer) {
  u64 n_element = 1;
  for (const u64 n : as.dims) n_element *= n;
  const f32 factor = f16_to_f32(scale);
  constexpr u64 kStep = 1u << 16;  // even, and whole blocks
  std::vector<i32> values;
  std::vector<u8> bytes;
  for (u64 at = 0; at < n_element; at += kStep) {
    values.resize(static_cast<usize>(std::min(kStep, n_element - at)));
    read_values(source, tensor, at, values);
    bytes.clear();
    if (as.dtype == DType::kQ4_0) {
      for (usize i = 0; i < values.size(); i += kBlock)
        append_q4_0(bytes, scale, values.data() + i);
    } else {
      for (const i32 value : values) append_f32(bytes, static_cast<f32>(value) * factor);
    }
    writer.write({bytes.data(), bytes.size()});
  }
}

}  // namespace

bool is_scxm(ByteSource& source) {
  u8 magic[4];
  return source.size() >= sizeof(magic) && source.read(0, magic).ok() &&
         Str(Span<const u8>(magic)) == "SCXM";
}

Result<ScxmFile> read_scxm(ByteSource& source) {
  if (source.size() < kHeaderBytes + kFooterBytes) {
    return fail(ErrorCode::kTruncated, "a SCXM file has 44 bytes at least")
        .with(source.size(), kHeaderBytes + kFooterBytes)
        .at(source.size());
  }
  if (!is_scxm(source)) return fail(ErrorCode::kBadMagic, "is no SCXM file").at(0);
  ScxmFile file;
  file.footer_at = source.size() - kFooterBytes;
  Cursor cursor(source, file.footer_at);
  u32 version = 0;
  u32 n_tensor = 0;
  Status status = cursor.skip(4, "");
  if (status.ok()) status = cursor.read_u32(version, "");
  if (status.ok()) status = cursor.read_u32(n_tensor, "");
  if (!status.ok()) return status.error();
  if (version != kVersion) {
    return fail(ErrorCode::kBadVersion, "this version of SCXM is not known")
        .with(version, kVersion)
        .at(4);
  }
  const u64 n_most = (file.footer_at - kHeaderBytes) / kMinRecordBytes;
  if (n_tensor > n_most) {
    return fail(ErrorCode::kLimit, "more tensors than the file could hold")
        .with(n_tensor, n_most)
        .at(8);
  }
  for (u32 i = 0; i < n_tensor; ++i) {
    const u64 record_at = cursor.at();
    ScxmTensor tensor;
    status = read_record(cursor, tensor);
    if (!status.ok()) return status.error();
    if (!file.tensors.empty() && !(file.tensors.back().name < tensor.name)) {
      const bool is_same = file.tensors.back().name == tensor.name;
      return fail(is_same ? ErrorCode::kDuplicate : ErrorCode::kMismatch,
                  is_same ? "a name that came before" : "names are not in ascending order")
          .about(to_str(tensor.name))
          .at(record_at);
    }
    file.tensors.push_back(std::move(tensor));
  }
  if (cursor.at() != file.footer_at) {
    return fail(ErrorCode::kMismatch, "bytes between the last tensor and the footer")
        .with(file.footer_at - cursor.at())
        .at(cursor.at());
  }
  status = check_footer(source, file.footer_at);
  if (!status.ok()) return status.error();
  return file;
}

Json describe_scxm(ByteSource& source, const ScxmFile& file) {
  Json out;
  out["format"] = "SCXM";
  out["size_bytes"] = source.size();
  out["n_tensor"] = file.tensors.size();
  out["sha256_footer"] = "right";
  u64 n_value = 0;
  u64 n_odd_scales = 0;
  Json tensors = Json::array();
  for (const ScxmTensor& tensor : file.tensors) {
    n_value += u64{tensor.n_packed} * 2;
    n_odd_scales += tensor.n_scale != 1 ? 1 : 0;
    tensors.push_back(
        {{"name", tensor.name}, {"values", u64{tensor.n_packed} * 2}, {"scales", tensor.n_scale}});
  }
  out["n_value"] = n_value;
  out["quantization"] = "int4, one scale for each tensor";
  out["tensors"] = std::move(tensors);
  out["runs"] = false;
  Json problems = Json::array();
  problems.push_back(
      "SCXM stores no shapes and no configuration: it can be converted to a container "
      "of tensors (lbm convert), not run");
  if (n_odd_scales != 0) {
    problems.push_back(std::to_string(n_odd_scales) +
                       " tensors do not have exactly one scale, the only number that is defined: "
                       "they can not be converted");
  }
  out["problems"] = std::move(problems);
  return out;
}

void import_scxm(ByteSource& source, const ScxmFile& file, const Json& shapes,
                 const std::string& path) {
  if (!shapes.is_null() && !shapes.is_object())
    refuse(ExitCode::kModel, "shapes", "a JSON object is needed", ErrorCode::kBadType);
  std::vector<u16> scales;
  std::vector<GgufTensor> tensors;
  for (const ScxmTensor& tensor : file.tensors) {
    if (tensor.n_packed == 0) refuse_tensor(tensor, "has no values", ErrorCode::kBadShape);
    scales.push_back(read_scale(source, tensor));
    std::vector<u64> dims = shape_of(tensor, shapes);
    std::reverse(dims.begin(), dims.end());  // GGUF: fastest first
    const bool is_matrix = dims.size() > 1 && dims[0] % kBlock == 0;
    tensors.push_back({tensor.name, is_matrix ? DType::kQ4_0 : DType::kF32, std::move(dims)});
  }
  GgufMetadata metadata;
  metadata.set_text("general.architecture", "scxm");
  metadata.set_text("general.description", "tensors of a SCXM file; no configuration");
  GgufWriter writer(path, metadata, tensors);
  for (usize i = 0; i < tensors.size(); ++i)
    write_tensor(source, file.tensors[i], scales[i], tensors[i], writer);
  writer.finish();
}

}  // namespace lbm::cli
