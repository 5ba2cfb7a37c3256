#include "core/format/model_file.h"

#include "core/base/arith.h"
#include "core/base/byte_reader.h"
#include "core/base/fmt.h"
#include "core/format/gguf.h"

namespace lbm {
namespace {

constexpr Str kTypeNames[kMetaTypeCount] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                            "bool", "string", "array", "u64", "i64", "f64"};

// Reads one scalar of `type`; both conversions, of which the caller takes the one that fits.
void read_scalar(ByteReader& in, MetaType type, MetaValue& out) {
  switch (type) {
    case MetaType::kU8:
    case MetaType::kBool: out.integer = in.read_u8(); break;
    case MetaType::kI8: out.integer = in.read_i8(); break;
    case MetaType::kU16: out.integer = in.read_u16(); break;
    case MetaType::kI16: out.integer = in.read_i16(); break;
    case MetaType::kU32: out.integer = in.read_u32(); break;
    case MetaType::kI32: out.integer = in.read_i32(); break;
    case MetaType::kU64: {
      const u64 bits = in.read_u64();
      out.integer = static_cast<i64>(bits);
      out.huge = bits >> 63 != 0;
      break;
    }
    case MetaType::kI64: out.integer = in.read_i64(); break;
    case MetaType::kF32: out.number = static_cast<f64>(in.read_f32()); break;
    case MetaType::kF64: out.number = in.read_f64(); break;
    case MetaType::kString:        // coverage: its callers read these themselves
    case MetaType::kArray: break;  // coverage: the same
  }
}

bool is_float(MetaType type) { return type == MetaType::kF32 || type == MetaType::kF64; }

MetaValue scalar_at(const MetaArray& array, u64 index) {
  LBM_CHECK(index < array.count && array.type != MetaType::kString);
  ByteReader in(array.bytes);
  in.skip(index * meta_type_bytes(array.type));
  MetaValue value;
  value.type = array.type;
  read_scalar(in, array.type, value);
  return value;
}

Error missing(Str key) {
  return fail(ErrorCode::kMissing, "this metadata key is needed but absent").about(key);
}

// "llama.block_count (string): an integer is needed at byte 812 [bad_type]"
Error wrong_type(Str key, const MetaValue& value, const char* what) {
  TextBuffer<Error::kSubjectCapacity> subject;
  // A long key gives way to the type, which is the news.
  constexpr usize kRoomForType = 16;
  const usize room = Error::kSubjectCapacity - kRoomForType;
  subject.print("{} ({})", key.size() > room ? key.first(room) : key, meta_type_name(value.type));
  return fail(ErrorCode::kBadType, what).about(subject.text()).at(value.file_offset);
}

Result<u64> integer_in_range(Str key, const MetaValue& value, u64 low, u64 high) {
  if (!value.is_integer()) return wrong_type(key, value, "an integer is needed");
  const u64 number = static_cast<u64>(value.integer);
  if (value.integer < 0 && !value.huge) {
    return fail(ErrorCode::kBadValue, "the value is negative").about(key).at(value.file_offset);
  }
  if (number < low) {
    return fail(ErrorCode::kBadValue, "the value is too small")
        .about(key)
        .with(number, low)
        .at(value.file_offset);
  }
  if (number > high) {
    return fail(ErrorCode::kBadValue, "the value is too large")
        .about(key)
        .with(number, high)
        .at(value.file_offset);
  }
  return number;
}

Result<f64> number_in_range(Str key, const MetaValue& value, f64 low, f64 high) {
  if (!is_float(value.type)) return wrong_type(key, value, "a floating-point number is needed");
  // NaN fails both comparisons, so it is asked for in the form that it can not pass.
  if (!(value.number - value.number == 0.0)) {
    return fail(ErrorCode::kBadValue, "the value is not finite").about(key).at(value.file_offset);
  }
  if (value.number < low) {
    return fail(ErrorCode::kBadValue, "the value is too small").about(key).at(value.file_offset);
  }
  if (value.number > high) {
    return fail(ErrorCode::kBadValue, "the value is too large").about(key).at(value.file_offset);
  }
  return value.number;
}

Result<Str> text_of(Str key, const MetaValue& value) {
  if (value.type != MetaType::kString) return wrong_type(key, value, "a string is needed");
  return value.text;
}

Result<bool> bool_of(Str key, const MetaValue& value) {
  if (value.type != MetaType::kBool) return wrong_type(key, value, "a bool is needed");
  return value.integer != 0;
}

}  // namespace

Str meta_type_name(MetaType type) {
  const u32 index = static_cast<u32>(type);
  return index < kMetaTypeCount ? kTypeNames[index] : Str("unknown");
}

u32 meta_type_bytes(MetaType type) {
  switch (type) {
    case MetaType::kU8:
    case MetaType::kI8:
    case MetaType::kBool: return 1;
    case MetaType::kU16:
    case MetaType::kI16: return 2;
    case MetaType::kU32:
    case MetaType::kI32:
    case MetaType::kF32: return 4;
    case MetaType::kU64:
    case MetaType::kI64:
    case MetaType::kF64: return 8;
    case MetaType::kString:
    case MetaType::kArray: break;
  }
  return 0;
}

i64 MetaArray::integer(u64 index) const {
  LBM_CHECK(!is_float(type));
  return scalar_at(*this, index).integer;
}

f64 MetaArray::number(u64 index) const {
  const MetaValue value = scalar_at(*this, index);
  if (is_float(type)) return value.number;
  return value.huge ? static_cast<f64>(static_cast<u64>(value.integer))
                    : static_cast<f64>(value.integer);
}

Str StringCursor::next() {
  LBM_CHECK(remaining_ > 0);
  ByteReader in(bytes_);
  const u64 n_byte = in.read_u64();
  const Str text = in.read_text(n_byte);
  LBM_CHECK(in.ok());
  bytes_ = bytes_.from(in.position());
  --remaining_;
  return text;
}

Str file_format_name(FileFormat format) {
  switch (format) {
    case FileFormat::kGguf: return "GGUF";
    case FileFormat::kSlm: return "SLM1";
    case FileFormat::kTokenizerJson: return "tokenizer.json";
    case FileFormat::kLlama2c: break;
  }
  return "llama2.c";
}

// ---- metadata

Str ModelFile::meta_key(u32 index) const { return metas_.name(index); }

MetaValue ModelFile::meta_value(u32 index) const {
  LBM_CHECK(index < metas_.size());
  // The entry ends where the next begins, so the bytes of an array of strings are known without
  // walking it.
  const u32 start = metas_.position(index);
  const u32 end = metas_.position(index + 1);
  ByteReader in(metadata_.slice(start, end - start));
  in.skip(in.read_u64());
  MetaValue value;
  value.type = static_cast<MetaType>(in.read_u32());
  value.file_offset =
      metadata_has_place() ? metadata_at_ + start + in.position() : Error::kNoOffset;
  if (value.type == MetaType::kString) {
    const u64 n_byte = in.read_u64();
    value.text = in.read_text(n_byte);
  } else if (value.type == MetaType::kArray) {
    value.array.type = static_cast<MetaType>(in.read_u32());
    value.array.count = in.read_u64();
    value.array.bytes = in.read_bytes(in.remaining());
  } else {
    read_scalar(in, value.type, value);
  }
  LBM_CHECK(in.ok());
  return value;
}

bool ModelFile::find(Str key, MetaValue& out) const {
  u32 index = 0;
  if (!metas_.find(key, index)) return false;
  out = meta_value(index);
  return true;
}

u64 ModelFile::place_of(Str key) const {
  MetaValue value;
  return find(key, value) ? value.file_offset : Error::kNoOffset;
}

Result<u64> ModelFile::get_u64(Str key, u64 low, u64 high) const {
  MetaValue value;
  if (!find(key, value)) return missing(key);
  return integer_in_range(key, value, low, high);
}

Result<f64> ModelFile::get_f64(Str key, f64 low, f64 high) const {
  MetaValue value;
  if (!find(key, value)) return missing(key);
  return number_in_range(key, value, low, high);
}

Result<Str> ModelFile::get_text(Str key) const {
  MetaValue value;
  if (!find(key, value)) return missing(key);
  return text_of(key, value);
}

Result<bool> ModelFile::get_bool(Str key) const {
  MetaValue value;
  if (!find(key, value)) return missing(key);
  return bool_of(key, value);
}

Result<MetaArray> ModelFile::get_array(Str key) const {
  MetaValue value;
  if (!find(key, value)) return missing(key);
  if (value.type != MetaType::kArray) return wrong_type(key, value, "an array is needed");
  return value.array;
}

Result<u64> ModelFile::get_u64_or(Str key, u64 fallback, u64 low, u64 high) const {
  MetaValue value;
  if (!find(key, value)) return fallback;
  return integer_in_range(key, value, low, high);
}

Result<f64> ModelFile::get_f64_or(Str key, f64 fallback, f64 low, f64 high) const {
  MetaValue value;
  if (!find(key, value)) return fallback;
  return number_in_range(key, value, low, high);
}

Result<Str> ModelFile::get_text_or(Str key, Str fallback) const {
  MetaValue value;
  if (!find(key, value)) return fallback;
  return text_of(key, value);
}

Result<bool> ModelFile::get_bool_or(Str key, bool fallback) const {
  MetaValue value;
  if (!find(key, value)) return fallback;
  return bool_of(key, value);
}

// ---- tensors

TensorInfo ModelFile::tensor(u32 index) const {
  LBM_CHECK(index < tensors_.size());
  const u32 start = tensors_.position(index);
  ByteReader in(tensor_table_.slice(start, tensors_.position(index + 1) - start));
  TensorInfo out;
  const u64 name_bytes = in.read_u64();
  out.name = in.read_text(name_bytes);
  out.n_dim = in.read_u32();
  for (u32 i = 0; i < out.n_dim; ++i) out.dims[i] = in.read_u64();
  out.dtype = static_cast<DType>(in.read_u32());
  out.file_offset = data_offset_ + in.read_u64();
  const Status measured = measure_tensor(out);
  LBM_CHECK(in.ok() && measured.ok());
  return out;
}

bool ModelFile::find_tensor(Str name, TensorInfo& out) const {
  u32 index = 0;
  if (!tensors_.find(name, index)) return false;
  out = tensor(index);
  return true;
}

}  // namespace lbm
