#include "tools/safetensors.h"

#include <algorithm>
#include <unordered_set>

#include "core/base/arith.h"
#include "core/format/limits.h"
#include "tools/output.h"

namespace lbm::cli {
namespace {

constexpr u64 kMaxHeaderBytes = 100'000'000;    // the limit of the format's own library
constexpr usize kMaxTensors = kMaxTensorCount;  // as a model may have in GGUF
constexpr usize kMaxNameBytes = 1024;
constexpr usize kMaxShape = 8;
constexpr u64 kHeaderAt = sizeof(u64);

struct DtypeBytes {
  const char* name;
  u32 n_byte;
};
constexpr DtypeBytes kDtypes[] = {{"BOOL", 1},    {"U8", 1},      {"I8", 1},  {"F8_E5M2", 1},
                                  {"F8_E4M3", 1}, {"F8_E8M0", 1}, {"I16", 2}, {"U16", 2},
                                  {"F16", 2},     {"BF16", 2},    {"I32", 4}, {"U32", 4},
                                  {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8}};

// Follows the parser event by event, so nothing is built that the format has no place for, and no
// nesting is deeper than the format's own.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return refuse("null has no place here"); }
  bool boolean(bool) override { return refuse("a bool has no place here"); }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return refuse("a number with a fraction");
  }
  bool binary(binary_t&) override { return refuse("binary data"); }  // coverage: JSON has none

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (tensor_.shape.size() == kMaxShape)
        return refuse("more dimensions than a tensor has", ErrorCode::kBadShape);
      tensor_.shape.push_back(value);
      return true;
    }
    if (place_ == Place::kOffsets && n_offset_ < 2) {
      (n_offset_++ == 0 ? tensor_.begin : tensor_.end) = value;
      return true;
    }
    return refuse("a number has no place here");
  }

  bool string(string_t& value) override {
    if (place_ == Place::kNotes) return true;
    if (place_ != Place::kTensor || field_ != "dtype") return refuse("a text has no place here");
    tensor_.dtype = value;
    return true;
  }

  bool key(string_t& value) override {
    if (place_ == Place::kTop) {
      tensor_ = {};
      tensor_.name = value;
      if (value.empty() || value.size() > kMaxNameBytes)
        return refuse("a name is empty or too long", ErrorCode::kBadName);
      if (!names_.insert(value).second) return refuse("a name twice", ErrorCode::kDuplicate);
      return true;
    }
    if (place_ == Place::kNotes) return true;
    if (!fields_.insert(value).second) return refuse("a key twice", ErrorCode::kDuplicate);
    if (value != "dtype" && value != "shape" && value != "data_offsets")
      return refuse("a key that tensors do not have");
    field_ = value;
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return refuse("an object has no place here");
    place_ = tensor_.name == "__metadata__" ? Place::kNotes : Place::kTensor;
    fields_.clear();
    n_offset_ = 0;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTop) return true;
    const bool is_tensor = place_ == Place::kTensor;
    place_ = Place::kTop;
    if (!is_tensor) return true;
    if (fields_.size() != 3 || n_offset_ != 2)
      return refuse("a tensor needs dtype, shape and two data_offsets");
    if (tensors_.size() == kMaxTensors) return refuse("too many tensors", ErrorCode::kLimit);
    tensors_.push_back(std::move(tensor_));
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") return refuse("a list has no place here");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }
  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    // The library counts the bytes that it has read, with the one that it did not expect.
    error_ = fail(ErrorCode::kBadSyntax, "the header is not JSON").at(kHeaderAt + position - 1);
    return false;
  }

  [[nodiscard]] const Status& error() const { return error_; }
  [[nodiscard]] std::vector<StoredTensor>& tensors() { return tensors_; }

 private:
  enum class Place { kOutside, kTop, kNotes, kTensor, kShape, kOffsets };

  bool refuse(const char* what, ErrorCode code = ErrorCode::kBadSyntax) {
    error_ = fail(code, what).about(to_str(tensor_.name));
    return false;
  }

  Place place_ = Place::kOutside;
  StoredTensor tensor_;
  std::string field_;
  std::unordered_set<std::string> fields_;  // of the tensor
  std::unordered_set<std::string> names_;
  u32 n_offset_ = 0;
  std::vector<StoredTensor> tensors_;
  Status error_;
};

Status check_size(const StoredTensor& tensor, u64 data_bytes) {
  const Str name = to_str(tensor.name);
  u64 n_byte = stored_dtype_bytes(tensor.dtype);
  if (n_byte == 0) return fail(ErrorCode::kBadType, "unknown dtype").about(name);
  for (const u64 n : tensor.shape) {
    if (!checked_mul(n_byte, n, n_byte))
      return fail(ErrorCode::kOverflow, "shape is too large").about(name);
  }
  if (tensor.begin > tensor.end || tensor.end - tensor.begin != n_byte) {
    return fail(ErrorCode::kMismatch, "data_offsets are not the size of shape and dtype")
        .about(name)
        .with(tensor.end - tensor.begin, n_byte);
  }
  if (tensor.end > data_bytes) {
    return fail(ErrorCode::kTruncated, "data beyond the end of the file")
        .about(name)
        .with(tensor.end, data_bytes);
  }
  return {};
}

Status check_layout(const std::vector<StoredTensor>& tensors, u64 data_bytes) {
  std::vector<const StoredTensor*> order;
  for (const StoredTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  u64 end = 0;
  for (const StoredTensor* tensor : order) {
    if (tensor->begin != end) {
      const bool shared = tensor->begin < end;
      return fail(shared ? ErrorCode::kOverlap : ErrorCode::kBadOffset,
                  shared ? "shares bytes with another tensor"
                         : "bytes before it belong to no tensor")
          .about(to_str(tensor->name))
          .with(tensor->begin, end);
    }
    end = tensor->end;
  }
  if (end != data_bytes) {
    return fail(ErrorCode::kBadOffset, "bytes at the end belong to no tensor")
        .with(end, data_bytes);
  }
  return {};
}

}  // namespace

u32 stored_dtype_bytes(const std::string& dtype) {
  for (const DtypeBytes& known : kDtypes) {
    if (dtype == known.name) return known.n_byte;
  }
  return 0;
}

Result<std::vector<StoredTensor>> parse_safetensors_header(Str json, u64 data_bytes) {
  HeaderReader reader;
  static_cast<void>(nlohmann::json::sax_parse(json.data(), json.data() + json.size(), &reader));
  if (!reader.error().ok()) return reader.error().error();
  // The library takes a byte 0 for the end of the text, whatever comes behind it.
  for (usize i = 0; i < json.size(); ++i) {
    if (json[i] == '\0')
      return fail(ErrorCode::kBadSyntax, "the header is not JSON").at(kHeaderAt + i);
  }
  for (const StoredTensor& tensor : reader.tensors()) {
    if (const Status status = check_size(tensor, data_bytes); !status.ok()) return status.error();
  }
  if (const Status status = check_layout(reader.tensors(), data_bytes); !status.ok())
    return status.error();
  return std::move(reader.tensors());
}

SafetensorsFile::SafetensorsFile(std::string path)
    : path_(std::move(path)), source_(expect(FileSource::open(path_), path_, Stage::kModel)) {
  u64 n_header = 0;
  const u64 size = source_->size();
  expect(source_->read(0, {reinterpret_cast<u8*>(&n_header), sizeof(n_header)}), path_,
         Stage::kModel);
  if (n_header > kMaxHeaderBytes) {
    throw_error(fail(ErrorCode::kLimit, "header length").with(n_header, kMaxHeaderBytes).at(0),
                path_, Stage::kModel);
  }
  if (n_header > size - sizeof(n_header)) {
    throw_error(fail(ErrorCode::kTruncated, "header length").with(n_header, size).at(0), path_,
                Stage::kModel);
  }
  data_offset_ = sizeof(n_header) + n_header;
  std::string header(static_cast<usize>(n_header), '\0');
  expect(source_->read(sizeof(n_header), {reinterpret_cast<u8*>(header.data()), header.size()}),
         path_, Stage::kModel);
  tensors_ =
      expect(parse_safetensors_header(to_str(header), size - data_offset_), path_, Stage::kModel);
}

void SafetensorsFile::read(const StoredTensor& tensor, u64 offset, Span<u8> out) const {
  expect(source_->read(data_offset_ + tensor.begin + offset, out), path_, Stage::kModel);
}

}  // namespace lbm::cli
