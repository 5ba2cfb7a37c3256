#include "tools/importance.h"

#include <cmath>
#include <filesystem>

#include "core/base/byte_reader.h"
#include "tools/input.h"
#include "tools/model_reader.h"

namespace lbm::cli {
namespace {

constexpr u64 kMaxEntries = 65536;  // as many as tensors

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw CommandError(ExitCode::kModel, path + ": " + what);
}

// Little-endian numbers one after the other; a file that ends early is named.
class LegacyReader {
 public:
  LegacyReader(const std::string& path, Span<const u8> bytes) : path_(path), bytes_(bytes) {}

  [[nodiscard]] bool done() const { return at_ == bytes_.size(); }

  void read(void* out, u64 size, const char* what) {
    if (size > bytes_.size() - at_) {
      refuse(path_, format("importance matrix ends inside %s at byte %zu [truncated]", what, at_));
    }
    std::memcpy(out, bytes_.data() + at_, static_cast<usize>(size));
    at_ += static_cast<usize>(size);
  }
  // A count of what takes at least `least` bytes each.
  u64 read_count(u64 least, const char* what) {
    i32 count = 0;
    const usize at = at_;
    read(&count, sizeof(count), what);
    if (count < 0 || static_cast<u64>(count) * least > bytes_.size() - at_)
      refuse(path_, format("%s %d at byte %zu is more than the file holds [limit]", what, count, at));
    return static_cast<u64>(count);
  }
  std::string read_text(const char* what) {
    std::string text(static_cast<usize>(read_count(1, what)), '\0');
    read(text.data(), text.size(), what);
    return text;
  }
  i32 read_i32(const char* what) {
    i32 value = 0;
    read(&value, sizeof(value), what);
    return value;
  }

 private:
  const std::string& path_;
  Span<const u8> bytes_;
  usize at_ = 0;
};

std::vector<f32> read_tensor(ModelReader& reader, const TensorInfo& tensor) {
  if (tensor.dtype != DType::kF32)
    refuse(reader.path(), to_string(tensor.name) + ": is not F32 [bad_type]");
  std::vector<f32> values(tensor.n_element());
  const Span<u8> bytes(reinterpret_cast<u8*>(values.data()), values.size() * sizeof(f32));
  expect(reader.file().data().read(tensor.file_offset, bytes), reader.path(), Stage::kModel);
  return values;
}

}  // namespace

ImportanceMatrix::ImportanceMatrix(const std::string& path) {
  const std::string bytes = read_file(path);
  if (bytes.rfind("GGUF", 0) == 0) {
    read_gguf(path);
  } else {
    read_legacy(path, to_str(bytes).bytes());
  }
  file_name_ = std::filesystem::path(path).filename().string();
  if (entries_.empty()) refuse(path, "holds no importance matrix [missing]");
}

const std::vector<f32>* ImportanceMatrix::find(const std::string& tensor) const {
  const auto at = entries_.find(tensor);
  return at == entries_.end() ? nullptr : &at->second;
}

void ImportanceMatrix::add(const std::string& path, const std::string& name,
                           std::vector<f32> values) {
  for (usize i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i]) && values[i] >= 0) continue;
    refuse(path, printable(to_str(name)) +
                     format(": value %zu is negative or not finite [numeric]", i));
  }
  if (!entries_.emplace(name, std::move(values)).second)
    refuse(path, printable(to_str(name)) + ": is there twice [duplicate]");
}

void ImportanceMatrix::read_gguf(const std::string& path) {
  static const std::string kSums = ".in_sum2";
  ModelReader reader(path);
  const ModelFile& file = reader.file();
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo sums = file.tensor(i);
    std::string name = to_string(sums.name);
    if (!sums.name.ends_with(to_str(kSums))) continue;
    name.resize(name.size() - kSums.size());
    TensorInfo counts;
    if (!file.find_tensor(to_str(name + ".counts"), counts))
      refuse(path, printable(to_str(name)) + ": has no .counts [missing]");
    std::vector<f32> values = read_tensor(reader, sums);
    const std::vector<f32> count = read_tensor(reader, counts);
    if (values.size() % count.size() != 0)
      refuse(path, printable(to_str(name)) + ": as many counts as experts are needed [bad_shape]");
    const usize n_column = values.size() / count.size();
    for (usize j = 0; j < values.size(); ++j) {
      const f32 n = count[j / n_column];
      values[j] = n > 0 ? values[j] / n : 1.0f;  // an expert that was never asked
    }
    add(path, name, std::move(values));
  }
  Result<u64> chunks = file.get_u64_or("imatrix.chunk_count", 0, 0, ~u32{0});
  if (chunks.ok()) n_chunk_ = static_cast<u32>(chunks.value());
  Result<MetaArray> texts = file.get_array("imatrix.datasets");
  if (texts.ok() && texts.value().type == MetaType::kString && texts.value().count > 0)
    text_name_ = to_string(StringCursor(texts.value()).next());
}

void ImportanceMatrix::read_legacy(const std::string& path, Span<const u8> bytes) {
  LegacyReader in(path, bytes);
  const u64 n_entry = in.read_count(13, "number of entries");
  if (n_entry > kMaxEntries) refuse(path, "too many entries [limit]");
  for (u64 i = 0; i < n_entry; ++i) {
    const std::string name = in.read_text("size of a name");
    const i32 n_call = in.read_i32("number of calls");
    std::vector<f32> values(static_cast<usize>(in.read_count(4, "number of values")));
    in.read(values.data(), values.size() * sizeof(f32), "values");
    for (f32& value : values) value = n_call > 0 ? value / static_cast<f32>(n_call) : value;
    add(path, name, std::move(values));
  }
  if (in.done()) return;
  n_chunk_ = static_cast<u32>(std::max(0, in.read_i32("number of chunks")));
  if (!in.done()) text_name_ = in.read_text("name of the text");
}

}  // namespace lbm::cli
