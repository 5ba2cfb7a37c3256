// What every fuzzer of a model format does with its input: open it in the memory that a refused
// file may take, look at both ends of all that it gives out, and go on to what is read from it.
//
// Whatever the bytes are, they are refused with a named error, with nothing left taken, or
// accepted; what was accepted is looked through, so that the sanitizers see every read.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "core/model/config.h"
#include "core/model/weights.h"
#include "core/tokenizer/tokenizer.h"

namespace lbm::fuzz {

inline void must(bool condition) {
  if (!condition) std::abort();
}

// Whatever a file holds, a message about it must not reach a terminal as control characters.
inline void must_be_printable(const std::string& message) {
  for (const char c : message) must(static_cast<u8>(c) >= 0x20 || c == '\n' || c == '\t');
}

inline void look_through(const ModelFile& file) {
  for (u32 i = 0; i < file.n_meta(); ++i) {
    MetaValue found;
    must(file.find(file.meta_key(i), found));
    const MetaValue value = file.meta_value(i);
    must(value.file_offset == found.file_offset);
    if (value.type != MetaType::kArray) continue;
    if (value.array.type == MetaType::kString) {
      StringCursor cursor(value.array);
      u64 n = 0;
      while (!cursor.done()) n += cursor.next().size();
      must(n <= value.array.bytes.size());
    } else if (value.array.count != 0) {
      static_cast<void>(value.array.number(0));
      static_cast<void>(value.array.number(value.array.count - 1));
    }
  }
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    must(tensor.n_byte > 0 && tensor.n_byte <= file.data().size());
    must(tensor.file_offset <= file.data().size() - tensor.n_byte);
    if (tensor.n_byte > 65536) continue;
    std::vector<u8> bytes(static_cast<usize>(tensor.n_byte));
    const Status read = file.data().read(tensor.file_offset, {bytes.data(), bytes.size()});
    must(read.ok() || read.error().code != ErrorCode::kOk);
  }
}

inline void read_model(const ModelFile& file, Arena& arena) {
  const Result<ModelConfig> config = read_config(file);
  if (config.ok()) {
    const Result<WeightPlan> plan = plan_weights(file, config.value(), arena);
    must(plan.ok() || plan.error().code != ErrorCode::kOk);
  }
  const Result<Tokenizer*> tokenizer = Tokenizer::create(arena, file);
  if (!tokenizer.ok()) return;
  const Tokenizer& t = *tokenizer.value();
  u32 ids[128];
  const Result<u32> n =
      t.encode("The 3 cats\n <0x41> <|im_end|> \xe2\x96\x81", {true, true}, ids, arena);
  if (!n.ok()) return;
  std::vector<char> text(std::size_t{128} * (t.max_piece_bytes() + 1));
  for (u32 i = 0; i < n.value(); ++i) must(ids[i] < t.n_vocab());
  must(t.decode({ids, n.value()}, true, true, {text.data(), text.size()}).ok());
}

// `n_byte` counts the file and what lies beside it.
inline void try_model(ByteSource& source, usize n_byte, const OpenOptions& options = {}) {
  static std::vector<u8> memory((usize{64} << 10) + (usize{2} << 20));
  static std::vector<u8> more(usize{32} << 20);
  Arena arena{Span<u8>(memory.data(), (usize{64} << 10) + 2 * n_byte)};
  const Result<ModelFile> file = ModelFile::open(source, arena, options);
  if (!file.ok()) {
    must(arena.bytes_used() == 0);
    must(file.error().code != ErrorCode::kOk && file.error().what[0] != '\0');
    return;
  }
  look_through(file.value());
  Arena rest{Span<u8>(more.data(), more.size())};
  read_model(file.value(), rest);
}

inline constexpr usize kMaxInput = usize{1} << 20;

}  // namespace lbm::fuzz
