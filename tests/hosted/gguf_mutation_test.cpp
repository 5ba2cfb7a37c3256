// What happens to a good file when it is damaged, exhaustively: every prefix, every bit, every
// number in it.
//
// Each damaged file is either refused with a named error, the arena as before, or accepted; and
// what was accepted can be looked through to the last byte. Under ASan and UBSan this is the proof
// that no read leaves the file.
#include <cstring>
#include <string>

#include "core/base/byte_reader.h"
#include "core/model/config.h"
#include "core/model/weights.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"

using namespace lbm;

namespace {

// The damage that is being tried: which file, where, what. For the message of a failure only;
// hundreds of thousands are tried.
struct Damage {
  const char* seed = "";
  usize at = 0;
  u64 value = 0;
} g_damage;

// REQUIRE without its cost where all is well.
void must(bool condition, const char* what) {
  if (!condition)
    FAIL(what << ": " << g_damage.seed << ", byte " << g_damage.at << ", value or bit "
              << g_damage.value);
}

// Looks at both ends of everything that the file gives out. Returns a sum, so that nothing is
// optimised away.
u64 look_through(const ModelFile& file) {
  u64 sum = 0;
  const auto add = [&](Str text) {
    if (!text.empty()) sum += u64{text.bytes()[0]} + text.bytes()[text.size() - 1];
  };
  for (u32 i = 0; i < file.n_meta(); ++i) {
    add(file.meta_key(i));
    const MetaValue value = file.meta_value(i);
    add(value.text);
    MetaValue found;
    must(file.find(file.meta_key(i), found), "a key is not found");
    must(found.file_offset == value.file_offset, "a key is found elsewhere");
    if (value.type != MetaType::kArray) continue;
    if (value.array.type == MetaType::kString) {
      StringCursor cursor(value.array);
      while (!cursor.done()) add(cursor.next());
    } else if (value.array.count != 0) {
      sum += value.array.number(0) > value.array.number(value.array.count - 1) ? 1u : 0u;
    }
  }
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    must(tensor.file_offset >= file.data_offset(), "a tensor lies in the metadata");
    must(tensor.n_byte > 0, "a tensor is empty");
    must(tensor.n_byte <= file.file_size(), "a tensor is larger than the file");
    must(tensor.file_offset <= file.file_size() - tensor.n_byte, "a tensor ends beyond the file");
    TensorInfo found;
    must(file.find_tensor(tensor.name, found), "a tensor is not found");
    must(found.file_offset == tensor.file_offset, "a tensor is found elsewhere");
  }
  return sum;
}

// A file in memory and what it takes to try it again and again.
class Bench {
 public:
  explicit Bench(std::vector<u8> bytes)
      : bytes_(std::move(bytes)), memory_(bytes_.size() * 2 + 65536), more_(1 << 21) {}

  [[nodiscard]] std::vector<u8>& bytes() { return bytes_; }

  // Opens the first `n` bytes. With `whole_load`, what is accepted goes on to the later stages,
  // short of the weights.
  ErrorCode open(usize n, bool whole_load) {
    Arena arena{Span<u8>(memory_.data(), memory_.size())};
    test::ViewSource source({bytes_.data(), n});
    const Result<ModelFile> file = ModelFile::open(source, arena);
    if (!file.ok()) {
      must(file.error().code != ErrorCode::kOk, "an error without a code");
      must(file.error().code != ErrorCode::kOutOfMemory,
           "more memory than a refused file may take");
      must(file.error().what[0] != '\0', "an error without a reason");
      must(arena.bytes_used() == 0, "a refused file left something behind");
      return file.error().code;
    }
    sum_ += look_through(file.value());
    if (whole_load) load(file.value());
    return ErrorCode::kOk;
  }

 private:
  void load(const ModelFile& file) {
    Arena arena{Span<u8>(more_.data(), more_.size())};
    const Result<ModelConfig> config = read_config(file);
    if (config.ok()) {
      const Result<WeightPlan> plan = plan_weights(file, config.value(), arena);
      must(plan.ok() || plan.error().code != ErrorCode::kOk, "an error without a code");
    }
    const Result<Tokenizer*> tokenizer = Tokenizer::create(arena, file);
    if (!tokenizer.ok()) return;
    u32 ids[64];
    const Result<u32> n = tokenizer.value()->encode("then the rest", {true, true}, ids, arena);
    if (!n.ok()) return;
    for (u32 i = 0; i < n.value(); ++i)
      must(ids[i] < tokenizer.value()->n_vocab(), "an id beyond the vocabulary");
  }

  std::vector<u8> bytes_;
  std::vector<u8> memory_;
  std::vector<u8> more_;
  u64 sum_ = 0;
};

// A number in the file: where, and of how many bytes.
struct Field {
  usize offset;
  u32 n_byte;
};

// Every length, count, type, offset and scalar of a good file; of long arrays the first and last
// elements.
class FieldFinder {
 public:
  explicit FieldFinder(const std::vector<u8>& bytes) : in_({bytes.data(), bytes.size()}) {
    in_.skip(4);
    number(4);
    const u64 n_tensor = number(8);
    const u64 n_meta = number(8);
    for (u64 i = 0; i < n_meta; ++i) {
      in_.skip(number(8));
      value(static_cast<MetaType>(number(4)));
    }
    for (u64 i = 0; i < n_tensor; ++i) {
      in_.skip(number(8));
      const u64 n_dim = number(4);
      for (u64 d = 0; d < n_dim; ++d) number(8);
      number(4);
      number(8);
    }
    REQUIRE(in_.ok());
  }

  [[nodiscard]] const std::vector<Field>& fields() const { return fields_; }
  [[nodiscard]] usize table_end() const { return in_.position(); }

 private:
  u64 number(u32 n_byte, bool keep = true) {
    if (keep) fields_.push_back({in_.position(), n_byte});
    const Span<const u8> bytes = in_.read_bytes(n_byte);
    u64 out = 0;
    for (usize i = 0; i < bytes.size(); ++i) out |= u64{bytes[i]} << (8 * i);
    return out;
  }
  void value(MetaType type, bool keep = true) {
    constexpr u32 kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
    if (type != MetaType::kArray) {
      const u64 n = number(kBytes[static_cast<u32>(type)], keep);
      if (type == MetaType::kString) in_.skip(n);
      return;
    }
    const MetaType element = static_cast<MetaType>(number(4));
    const u64 count = number(8);
    for (u64 i = 0; i < count; ++i) value(element, i < 4 || i + 4 >= count);
  }

  ByteReader in_;
  std::vector<Field> fields_;
};

void write_number(std::vector<u8>& bytes, const Field& field, u64 value) {
  for (u32 i = 0; i < field.n_byte; ++i)
    bytes[field.offset + i] = static_cast<u8>(value >> (8 * i));
}

u64 read_number(const std::vector<u8>& bytes, const Field& field) {
  u64 value = 0;
  for (u32 i = 0; i < field.n_byte; ++i) value |= u64{bytes[field.offset + i]} << (8 * i);
  return value;
}

constexpr const char* kSeeds[] = {"G00-base.gguf", "G00-byte-level.gguf", "G00-smallest.gguf"};

}  // namespace

TEST_CASE("every prefix of a file is truncated (G04)", "[hostile]") {
  if (!lbm::test::hostile_corpus_is_there()) return;
  for (const char* seed : kSeeds) {
    Bench bench(lbm::test::hostile_file(seed).bytes());
    const usize size = bench.bytes().size();
    const usize table_end = FieldFinder(bench.bytes()).table_end();
    REQUIRE(bench.open(size, true) == ErrorCode::kOk);
    // In the data, which is never looked at, a step of a prime; and the last bytes.
    for (usize n = 0; n < size; n += n < table_end + 64 || n + 64 > size ? 1 : 61) {
      g_damage = {seed, n, 0};
      must(bench.open(n, false) == ErrorCode::kTruncated, "a prefix is not truncated");
    }
  }
}

TEST_CASE("every bit of the header and the tables, flipped", "[hostile]") {
  if (!lbm::test::hostile_corpus_is_there()) return;
  // The other seed has the same kinds of fields; its numbers have their turn below.
  for (const char* seed : {"G00-base.gguf", "G00-smallest.gguf"}) {
    Bench bench(lbm::test::hostile_file(seed).bytes());
    const usize table_end = FieldFinder(bench.bytes()).table_end();
    u32 n_accepted = 0;
    for (usize at = 0; at < table_end; ++at) {
      for (u32 bit = 0; bit < 8; ++bit) {
        g_damage = {seed, at, bit};
        bench.bytes()[at] ^= static_cast<u8>(1u << bit);
        n_accepted += bench.open(bench.bytes().size(), bit == at % 8) == ErrorCode::kOk ? 1u : 0u;
        bench.bytes()[at] ^= static_cast<u8>(1u << bit);
      }
    }
    // Letters of names and pieces, and values: they are not the container's business.
    CHECK(n_accepted > 0);
    CHECK(n_accepted < table_end * 8);
  }
}

TEST_CASE("every number of the header and the tables, replaced", "[hostile]") {
  if (!lbm::test::hostile_corpus_is_there()) return;
  for (const char* seed : kSeeds) {
    Bench bench(lbm::test::hostile_file(seed).bytes());
    const std::vector<Field> fields = FieldFinder(bench.bytes()).fields();
    CHECK(fields.size() > 20);
    const u64 size = bench.bytes().size();
    for (const Field& field : fields) {
      const u64 right = read_number(bench.bytes(), field);
      const u64 rest = size - field.offset - field.n_byte;
      const u64 values[] = {0,
                            1,
                            2,
                            ~u64{0},
                            u64{1} << 31,
                            (u64{1} << 32) - 1,
                            u64{1} << 32,
                            u64{1} << 62,
                            u64{1} << 63,
                            (u64{1} << 63) - 1,
                            ~u64{0} - 7,
                            ~u64{0} - 31,
                            size,
                            size - 1,
                            size + 1,
                            rest,
                            rest - 1,
                            rest + 1,
                            right - 1,
                            right + 1,
                            right * 2,
                            right + (u64{1} << 32)};
      for (const u64 value : values) {
        g_damage = {seed, field.offset, value};
        write_number(bench.bytes(), field, value);
        static_cast<void>(bench.open(bench.bytes().size(), true));
      }
      write_number(bench.bytes(), field, right);
    }
    REQUIRE(bench.open(bench.bytes().size(), true) == ErrorCode::kOk);
  }
}

TEST_CASE("every pair of counts and lengths in the smallest file, replaced together", "[hostile]") {
  if (!lbm::test::hostile_corpus_is_there()) return;
  Bench bench(lbm::test::hostile_file("G00-smallest.gguf").bytes());
  const std::vector<Field> fields = FieldFinder(bench.bytes()).fields();
  const u64 values[] = {0, 1, 3, 9, ~u64{0}, u64{1} << 40, u64{1} << 63};
  for (usize a = 0; a < fields.size(); ++a) {
    const u64 right_a = read_number(bench.bytes(), fields[a]);
    for (usize b = a + 1; b < fields.size(); ++b) {
      const u64 right_b = read_number(bench.bytes(), fields[b]);
      for (const u64 value_a : values) {
        write_number(bench.bytes(), fields[a], value_a);
        for (const u64 value_b : values) {
          g_damage = {"pair", fields[b].offset, value_b};
          write_number(bench.bytes(), fields[b], value_b);
          static_cast<void>(bench.open(bench.bytes().size(), false));
        }
      }
      write_number(bench.bytes(), fields[b], right_b);
    }
    write_number(bench.bytes(), fields[a], right_a);
  }
  CHECK(bench.open(bench.bytes().size(), false) == ErrorCode::kOk);
}
