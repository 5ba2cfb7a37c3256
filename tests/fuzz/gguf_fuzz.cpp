// libFuzzer on everything that reads a model file before its weights: container, configuration,
// vocabulary, tensor names.
//
// Whatever the bytes are, they are refused with a named error or accepted; what was accepted is
// looked through, so that the sanitizers see every read. Seeds: tests/hostile/generate.py. Build
// and run with `make fuzz`.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/model/config.h"
#include "core/model/weights.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/hosted/memory_source.h"

namespace {

using namespace lbm;

void must(bool condition) {
  if (!condition) std::abort();
}

void look_through(const ModelFile& file) {
  for (u32 i = 0; i < file.n_meta(); ++i) {
    MetaValue found;
    must(file.find(file.meta_key(i), found));
    const MetaValue value = file.meta_value(i);
    must(value.file_offset == found.file_offset);
    if (value.type != MetaType::kArray) continue;
    if (value.array.type == MetaType::kString) {
      StringCursor cursor(value.array);
      while (!cursor.done()) must(cursor.next().size() <= file.file_size());
    } else if (value.array.count != 0) {
      static_cast<void>(value.array.number(0));
      static_cast<void>(value.array.number(value.array.count - 1));
    }
  }
  u64 end = file.data_offset();
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    must(tensor.file_offset >= end && tensor.n_byte > 0);
    end = tensor.file_offset + tensor.n_byte;
    must(end <= file.file_size());
  }
}

void read_model(const ModelFile& file, Arena& arena) {
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
  const Result<Str> back = t.decode({ids, n.value()}, true, true, {text.data(), text.size()});
  must(back.ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  if (size > (usize{1} << 20)) return 0;
  // Exactly the memory that a refused file may take, so that more would be an error of its own.
  static std::vector<u8> memory((usize{64} << 10) + (usize{2} << 20));
  static std::vector<u8> more(usize{32} << 20);
  Arena arena{Span<u8>(memory.data(), (usize{64} << 10) + 2 * size)};
  test::ViewSource source({data, size});
  const Result<ModelFile> file = ModelFile::open(source, arena);
  if (!file.ok()) {
    must(file.error().code != ErrorCode::kOutOfMemory && arena.bytes_used() == 0);
    return 0;
  }
  look_through(file.value());
  Arena rest{Span<u8>(more.data(), more.size())};
  read_model(file.value(), rest);
  return 0;
}
