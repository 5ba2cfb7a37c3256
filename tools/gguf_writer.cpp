#include "tools/gguf_writer.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "core/base/arith.h"
#include "core/format/gguf.h"
#include "tools/output.h"

namespace lbm::cli {
namespace {

// Numbers in the byte order of the file, whatever the machine's.
template <class T>
void append(std::string& out, T value) {
  u64 bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  for (usize i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(bits >> (8 * i)));
}

void append_text(std::string& out, const std::string& text) {
  append(out, u64{text.size()});
  out += text;
}

template <class T>
std::string scalar(T value) {
  std::string out;
  append(out, value);
  return out;
}

std::string text_value(const std::string& text) {
  std::string out;
  append_text(out, text);
  return out;
}

std::string array_head(MetaType type, usize count) {
  std::string out;
  append(out, static_cast<u32>(type));
  append(out, u64{count});
  return out;
}

template <class T>
std::string array_value(MetaType type, const std::vector<T>& values) {
  std::string out = array_head(type, values.size());
  for (const T& value : values) append(out, value);
  return out;
}

// The bytes of a scalar from its conversion to i64 or f64, both of which are exact.
std::string scalar_bytes(const MetaValue& value) {
  if (value.type == MetaType::kF32) return scalar(static_cast<f32>(value.number));
  if (value.type == MetaType::kF64) return scalar(value.number);
  return scalar(value.integer).substr(0, meta_type_bytes(value.type));
}

[[noreturn]] void refuse(const std::string& subject, const char* what) {
  throw CommandError(ExitCode::kUsage, subject + ": " + what);
}

TensorInfo measured(const GgufTensor& tensor) {
  TensorInfo info;
  if (tensor.dims.empty() || tensor.dims.size() > kMaxDims)
    refuse(tensor.name, "a tensor has 1 to 4 dimensions");
  info.dtype = tensor.dtype;
  info.n_dim = static_cast<u32>(tensor.dims.size());
  std::copy(tensor.dims.begin(), tensor.dims.end(), info.dims);
  expect(measure_tensor(info), tensor.name, Stage::kUsage);
  return info;
}

}  // namespace

// ---- metadata -----------------------------------------------------------------------------------

void GgufMetadata::set(const std::string& key, MetaType type, std::string bytes) {
  if (key.empty() || key.size() > kMaxKeyBytes || !is_clean_name(to_str(key)))
    refuse(key, "not a name that a metadata key can have");
  for (Entry& entry : entries_) {
    if (entry.key != key) continue;
    entry.type = type;
    entry.bytes = std::move(bytes);
    return;
  }
  entries_.push_back({key, type, std::move(bytes)});
}

void GgufMetadata::set_u8(const std::string& key, u8 value) {
  set(key, MetaType::kU8, scalar(value));
}
void GgufMetadata::set_u32(const std::string& key, u32 value) {
  set(key, MetaType::kU32, scalar(value));
}
void GgufMetadata::set_i32(const std::string& key, i32 value) {
  set(key, MetaType::kI32, scalar(value));
}
void GgufMetadata::set_u64(const std::string& key, u64 value) {
  set(key, MetaType::kU64, scalar(value));
}
void GgufMetadata::set_f32(const std::string& key, f32 value) {
  set(key, MetaType::kF32, scalar(value));
}
void GgufMetadata::set_bool(const std::string& key, bool value) {
  set(key, MetaType::kBool, scalar(static_cast<u8>(value ? 1 : 0)));
}
void GgufMetadata::set_text(const std::string& key, const std::string& value) {
  set(key, MetaType::kString, text_value(value));
}
void GgufMetadata::set_u32_array(const std::string& key, const std::vector<u32>& values) {
  set(key, MetaType::kArray, array_value(MetaType::kU32, values));
}
void GgufMetadata::set_i32_array(const std::string& key, const std::vector<i32>& values) {
  set(key, MetaType::kArray, array_value(MetaType::kI32, values));
}
void GgufMetadata::set_f32_array(const std::string& key, const std::vector<f32>& values) {
  set(key, MetaType::kArray, array_value(MetaType::kF32, values));
}
void GgufMetadata::set_bool_array(const std::string& key, const std::vector<bool>& values) {
  std::string out = array_head(MetaType::kBool, values.size());
  for (const bool value : values) append(out, static_cast<u8>(value ? 1 : 0));
  set(key, MetaType::kArray, std::move(out));
}
void GgufMetadata::set_text_array(const std::string& key, const std::vector<std::string>& values) {
  std::string out = array_head(MetaType::kString, values.size());
  for (const std::string& value : values) append_text(out, value);
  set(key, MetaType::kArray, std::move(out));
}

void GgufMetadata::set_value(const std::string& key, const MetaValue& value) {
  if (value.type == MetaType::kString) return set_text(key, to_string(value.text));
  if (value.type != MetaType::kArray) return set(key, value.type, scalar_bytes(value));
  std::string out = array_head(value.array.type, value.array.count);
  const Span<const u8> bytes = value.array.bytes;
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  set(key, MetaType::kArray, std::move(out));
}

void GgufMetadata::copy_from(const ModelFile& file) {
  for (u32 i = 0; i < file.n_meta(); ++i) {
    if (file.meta_key(i).starts_with("split.")) continue;
    set_value(to_string(file.meta_key(i)), file.meta_value(i));
  }
}

bool GgufMetadata::erase(const std::string& key) {
  return std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; }) != 0;
}

bool GgufMetadata::contains(const std::string& key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.key == key; });
}

std::string GgufMetadata::encoded() const {
  std::string out;
  for (const Entry& entry : entries_) {
    append_text(out, entry.key);
    append(out, static_cast<u32>(entry.type));
    out += entry.bytes;
  }
  return out;
}

// ---- tensors ------------------------------------------------------------------------------------

u64 GgufTensor::n_byte() const { return measured(*this).n_byte; }

GgufWriter::GgufWriter(const std::string& path, const GgufMetadata& metadata,
                       std::vector<GgufTensor> tensors, GgufOptions options)
    : metadata_(metadata), tensors_(std::move(tensors)), options_(options) {
  if (!is_power_of_two(options_.alignment) || options_.alignment > kMaxAlignment)
    refuse("alignment", "it must be a power of two, at most 65536");
  if (options_.alignment != kDefaultAlignment)
    metadata_.set_u32("general.alignment", static_cast<u32>(options_.alignment));
  std::set<std::string> names;
  for (const GgufTensor& tensor : tensors_) {
    if (tensor.name.empty() || tensor.name.size() > kMaxTensorNameBytes)
      refuse(tensor.name, "a tensor has a name of 1 to 63 bytes");
    if (!names.insert(tensor.name).second) refuse(tensor.name, "two tensors of this name");
    static_cast<void>(measured(tensor));
  }
  plan_files(path);
  start_file(0);
}

GgufWriter::~GgufWriter() = default;

// Which tensors go into which file: as many as fit, at least one, in order.
void GgufWriter::plan_files(const std::string& path) {
  first_tensor_ = {0};
  if (options_.max_split_bytes != 0) {
    u64 n_byte = 0;
    for (usize i = 0; i < tensors_.size(); ++i) {
      const u64 next = align_up(tensors_[i].n_byte(), options_.alignment);
      if (n_byte != 0 && n_byte + next > options_.max_split_bytes) {
        first_tensor_.push_back(i);
        n_byte = 0;
      }
      n_byte += next;
    }
  }
  const usize n_file = first_tensor_.size();
  first_tensor_.push_back(tensors_.size());
  if (n_file == 1) {
    paths_ = {path};
    return;
  }
  if (n_file > kMaxParts)
    refuse(path, "so many parts are more than a reader takes; use larger ones");
  constexpr const char* kSuffix = ".gguf";
  if (!path.ends_with(kSuffix)) refuse(path, "the name of a split model ends in .gguf");
  const std::string stem = path.substr(0, path.size() - std::strlen(kSuffix));
  for (usize i = 0; i < n_file; ++i)
    paths_.push_back(stem + format("-%05zu-of-%05zu%s", i + 1, n_file, kSuffix));
}

void GgufWriter::start_file(usize index) {
  GgufMetadata metadata;
  if (index == 0) metadata = metadata_;
  if (paths_.size() > 1) {
    if (index != 0 && options_.alignment != kDefaultAlignment)
      metadata.set_u32("general.alignment", static_cast<u32>(options_.alignment));
    MetaValue value;
    value.type = MetaType::kU16;
    value.integer = static_cast<i64>(index);
    metadata.set_value("split.no", value);
    value.integer = static_cast<i64>(paths_.size());
    metadata.set_value("split.count", value);
    metadata.set_i32("split.tensors.count", static_cast<i32>(tensors_.size()));
  }
  const usize begin = first_tensor_[index];
  const usize end = first_tensor_[index + 1];
  std::string head = "GGUF";
  append(head, u32{3});
  append(head, u64{end - begin});
  append(head, u64{metadata.size()});
  head += metadata.encoded();
  u64 offset = 0;
  for (usize i = begin; i < end; ++i) {
    const TensorInfo info = measured(tensors_[i]);
    append_text(head, tensors_[i].name);
    append(head, info.n_dim);
    for (u32 k = 0; k < info.n_dim; ++k) append(head, info.dims[k]);
    append(head, static_cast<u32>(info.dtype));
    append(head, offset);
    offset += align_up(info.n_byte, options_.alignment);
  }
  files_.push_back(std::make_unique<FileWriter>(paths_[index]));
  files_.back()->write(head.data(), head.size());
  files_.back()->pad(options_.alignment);
  file_ = index;
}

void GgufWriter::write(Span<const u8> bytes) {
  if (bytes.empty()) return;
  if (tensor_ == tensors_.size()) refuse(paths_[0], "bytes beyond the last tensor");
  while (tensor_ >= first_tensor_[file_ + 1]) start_file(file_ + 1);
  const u64 n_byte = tensors_[tensor_].n_byte();
  if (bytes.size() > n_byte - tensor_done_)
    refuse(tensors_[tensor_].name, "bytes beyond the end of this tensor");
  files_[file_]->write(bytes);
  tensor_done_ += bytes.size();
  if (tensor_done_ != n_byte) return;
  files_[file_]->pad(options_.alignment);
  tensor_done_ = 0;
  ++tensor_;
}

void GgufWriter::finish() {
  if (tensor_ != tensors_.size()) refuse(tensors_[tensor_].name, "its data are not complete");
  for (const std::unique_ptr<FileWriter>& file : files_) file->commit();
}

}  // namespace lbm::cli
