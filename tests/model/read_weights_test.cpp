// read_weights: the same bytes in place and the same hash, whoever reads and in whatever order the
// tasks run; and of several faults the first of the file.
#include "core/base/fmt.h"
#include "core/model/weight_feed.h"
#include "core/model/weights.h"
#include "core/tensor/blocks.h"
#include "core/tensor/repack.h"
#include "tests/chat/tiny_model.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

// The worst order: the last task first.
class BackwardWorkers final : public Workers {
 public:
  [[nodiscard]] u32 n_worker() const override { return 3; }
  void run(Task task, void* job, u32 n_task) override {
    while (n_task != 0) task(job, --n_task);
  }
};

class Source final : public ByteSource {
 public:
  Source(Span<const u8> bytes, bool concurrent) : bytes_(bytes), concurrent_(concurrent) {}
  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset + out.size() > n_present) return fail(ErrorCode::kTruncated, "cut").at(n_present);
    __builtin_memcpy(out.data(), bytes_.data() + offset, out.size());
    n_read += out.size();
    return {};
  }
  [[nodiscard]] bool concurrent() const override { return concurrent_; }

  u64 n_present = ~u64{0};
  u64 n_read = 0;

 private:
  Span<const u8> bytes_;
  bool concurrent_;
};

constexpr u64 kChunk = 2 * kTileRows * 68;  // as small as the widest matrix below allows

// The header of the tiny model, and behind it other tensors than it names: Q8_0 [64][32], a gap of
// 100 bytes, Q8_0 [40][64], F32 [24], rows of F32 [5][8], a tail of 77 bytes.
struct File {
  u8 bytes[kTinyModelBytes];
  Span<const u8> all;
  u8 tables[kTinyModelBytes];
  Arena arena{Span<u8>(tables)};
  ModelFile file;
  WeightPlacement items[4];
  alignas(64) u8 places[4][8192];
  WeightPlan plan;

  File() {
    all = make_tiny_model(bytes);
    Source source(all, false);
    file = ModelFile::open(source, arena).value();
    u64 at = file.header().size();
    for (u64 i = at; i < all.size(); ++i) bytes[i] = static_cast<u8>(i * 7 + i / 251);
    at = add(0, WeightPlacement::Kind::kTiles, DType::kQ8_0, "first", 32, 64, at) + 100;
    at = add(1, WeightPlacement::Kind::kTiles, DType::kQ8_0, "second", 64, 40, at);
    at = add(2, WeightPlacement::Kind::kVector, DType::kF32, "vector", 24, 0, at);
    at = add(3, WeightPlacement::Kind::kRows, DType::kF32, "rows", 8, 5, at);
    plan.placements = items;
    plan.chunk_bytes = kChunk;
  }

  u64 add(u32 index, WeightPlacement::Kind kind, DType type, Str name, u32 n_col, u32 n_row,
          u64 at) {
    WeightPlacement& item = items[index];
    item.kind = kind;
    item.tensor.name = name;
    item.tensor.dtype = type;
    item.tensor.n_dim = n_row == 0 ? 1 : 2;
    item.tensor.dims[0] = n_col;
    item.tensor.dims[1] = n_row;
    item.tensor.file_offset = at;
    item.place = places[index];
    const DTypeTraits traits = dtype_traits(type);
    const u64 n_block = u64{n_col} / traits.block_size * (n_row == 0 ? 1 : n_row);
    for (u64 i = 0; type == DType::kQ8_0 && i < n_block; ++i) set_scale(at + i * 34, 0x3c00);
    return at + n_block * traits.block_bytes;
  }
  void set_scale(u64 at, u16 scale) {
    bytes[at] = static_cast<u8>(scale);
    bytes[at + 1] = static_cast<u8>(scale >> 8);
  }

  [[nodiscard]] Status read(ByteSource& source, Workers& workers, Sha256* hash,
                            ReadProgress progress = {}) {
    static u8 chunk[kChunk];
    for (auto& place : places) __builtin_memset(place, 0xEE, sizeof(place));
    return read_weights(plan, file, {source, workers, chunk, hash, progress});
  }
};

// Gives the file to a WeightFeed, `n_byte` bytes at a time.
Status feed(File& f, usize n_byte, Workers& workers, Sha256* hash) {
  static u8 room[kChunk / 2];
  for (auto& place : f.places) __builtin_memset(place, 0xEE, sizeof(place));
  static u8 memory[32 * kKiB];
  Arena arena{Span<u8>(memory)};
  WeightFeed& weights =
      *arena.make<WeightFeed>("feed", f.plan, f.file, workers, Span<u8>(room)).value();
  Span<const u8> rest = f.all.from(f.file.header().size());
  CHECK(weights.n_missing() == rest.size());
  while (!rest.empty()) {
    // A copy that is gone afterwards, as the chunks of a host are.
    static u8 chunk[kTinyModelBytes];
    const Span<u8> piece = Span<u8>(chunk).first(n_byte < rest.size() ? n_byte : rest.size());
    __builtin_memcpy(chunk, rest.data(), piece.size());
    if (Status s = weights.add(piece, hash); !s.ok()) return s;
    __builtin_memset(chunk, 0x55, piece.size());
    rest = rest.from(piece.size());
    REQUIRE(weights.n_missing() == rest.size());
  }
  return weights.add({}, hash);
}

// What must stand in the place of a matrix, tile by tile.
bool tiles_are_right(const File& f, const WeightPlacement& item) {
  const u64 n_col = item.tensor.dims[0];
  const u32 n_row = static_cast<u32>(item.tensor.dims[1]);
  const u64 row_bytes = n_col / 32 * 34;
  const u64 stride = tile_bytes(DType::kQ8_0, n_col);
  for (u32 row = 0; row < n_row; row += kTileRows) {
    const u32 n = n_row - row < kTileRows ? n_row - row : kTileRows;
    u8 tile[2 * sizeof(TileQ8_0)];
    const Span<const u8> rows(f.bytes + item.tensor.file_offset + row * row_bytes,
                              static_cast<usize>(n * row_bytes));
    REQUIRE(repack_tile(DType::kQ8_0, rows, n, n_col, {tile, static_cast<usize>(stride)}).ok());
    if (__builtin_memcmp(tile, item.place + row / kTileRows * stride, static_cast<usize>(stride)) !=
        0)
      return false;
  }
  return true;
}

struct Setting {
  bool concurrent, backward, hashed;
};
constexpr Setting kSettings[] = {{false, false, false}, {false, true, true}, {true, false, true},
                                 {true, true, false},   {true, true, true},  {false, true, false}};

}  // namespace

TEST_CASE("weights are read into place and hashed, once, in any order of tasks", "[model]") {
  static File f;
  SingleWorker forward;
  BackwardWorkers backward;
  Sha256 whole(sha256_blocks_portable);
  whole.update(f.all);
  const Sha256Digest expected = whole.finish();
  for (const Setting& setting : kSettings) {
    Source source(f.all, setting.concurrent);
    Sha256 hash(sha256_blocks_portable);
    hash.update(f.file.header());
    Workers& workers = setting.backward ? static_cast<Workers&>(backward) : forward;
    REQUIRE(f.read(source, workers, setting.hashed ? &hash : nullptr).ok());
    CHECK(tiles_are_right(f, f.items[0]));
    CHECK(tiles_are_right(f, f.items[1]));
    for (u32 i = 2; i < 4; ++i) {
      const u8* there = f.bytes + f.items[i].tensor.file_offset;
      CHECK(__builtin_memcmp(f.items[i].place, there, i == 2 ? 24 * 4 : 5 * 8 * 4) == 0);
    }
    CHECK(f.places[3][5 * 8 * 4] == 0xEE);
    // Everything is read for a hash. Without one the small gap is, since that keeps a read in one
    // piece, and the tail is not.
    const u64 start = f.file.header().size();
    const u64 tail = f.items[3].tensor.file_offset + u64{5} * 8 * 4;
    CHECK(source.n_read == (setting.hashed ? f.all.size() : tail) - start);
    if (setting.hashed) CHECK(hash.finish() == expected);
  }
}

TEST_CASE("weights that come in pieces of any size stand where those stand that are read",
          "[model]") {
  static File f;
  SingleWorker forward;
  BackwardWorkers backward;
  Sha256 whole(sha256_blocks_portable);
  whole.update(f.all);
  const Sha256Digest expected = whole.finish();
  const usize sizes[] = {1, 7, 68, 1000, 4096, kTinyModelBytes};
  for (const usize size : sizes) {
    for (const bool hashed : {false, true}) {
      Sha256 hash(sha256_blocks_portable);
      hash.update(f.file.header());
      Workers& workers = hashed ? static_cast<Workers&>(backward) : forward;
      REQUIRE(feed(f, size, workers, hashed ? &hash : nullptr).ok());
      CHECK(tiles_are_right(f, f.items[0]));
      CHECK(tiles_are_right(f, f.items[1]));
      for (u32 i = 2; i < 4; ++i) {
        const u8* there = f.bytes + f.items[i].tensor.file_offset;
        CHECK(__builtin_memcmp(f.items[i].place, there, i == 2 ? 24 * 4 : 5 * 8 * 4) == 0);
      }
      CHECK(f.places[3][5 * 8 * 4] == 0xEE);
      if (hashed) CHECK(hash.finish() == expected);
    }
  }
}

TEST_CASE("of several faults in weights that come the first of the file is told", "[model]") {
  static File f;
  BackwardWorkers backward;
  const u64 second = f.items[1].tensor.file_offset;
  f.set_scale(second + 37 * 68, 0x7e00);
  f.set_scale(second + 21 * 68 + 34, 0x7c00);
  const usize sizes[] = {1, 100, kTinyModelBytes};
  for (const usize size : sizes) {
    const Status status = feed(f, size, backward, nullptr);
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::kNumeric);
    CHECK(status.error().subject_text() == "second");
    CHECK(status.error().value == 21);
    CHECK(status.error().offset == second);
  }
}

TEST_CASE("of several faults in the weights the first of the file is told", "[model]") {
  static File f;
  SingleWorker forward;
  BackwardWorkers backward;
  const u64 second = f.items[1].tensor.file_offset;
  for (const Setting& setting : kSettings) {
    Workers& workers = setting.backward ? static_cast<Workers&>(backward) : forward;
    Sha256 hash(sha256_blocks_portable);
    Source source(f.all, setting.concurrent);

    // Two scales that are no numbers, then the end of the file.
    f.set_scale(second + 37 * 68, 0x7e00);
    f.set_scale(second + 21 * 68 + 34, 0x7c00);
    source.n_present = second + 39 * 68;
    Status status = f.read(source, workers, setting.hashed ? &hash : nullptr);
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::kNumeric);
    CHECK(status.error().subject_text() == "second");
    CHECK(status.error().value == 21);
    CHECK(status.error().offset == second);

    f.set_scale(second + 37 * 68, 0x3c00);
    f.set_scale(second + 21 * 68 + 34, 0x3c00);
    status = f.read(source, workers, nullptr);
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::kTruncated);
    CHECK(status.error().subject_text() == "second");
  }
}

TEST_CASE("reading weights tells how far it is, and stops when told to", "[model]") {
  static File f;
  struct Watch {
    u64 last = 0;
    u64 total = 0;
    u32 n_left = 0;
    bool grew = true;
    static bool step(void* self, u64 n_done, u64 n_total) {
      Watch& watch = *static_cast<Watch*>(self);
      watch.grew = watch.grew && n_done >= watch.last && n_done <= n_total;
      watch.last = n_done;
      watch.total = n_total;
      return watch.n_left-- != 0;
    }
  };
  SingleWorker worker;
  Source source(f.all, true);
  Watch watch;
  watch.n_left = 1000000;
  Sha256 hash(sha256_blocks_portable);
  REQUIRE(f.read(source, worker, &hash, {Watch::step, &watch}).ok());
  CHECK(watch.grew);
  CHECK(watch.last == watch.total);
  CHECK(watch.total == f.all.size() - f.file.header().size());
  Watch stop;
  stop.n_left = 2;
  const Status status = f.read(source, worker, nullptr, {Watch::step, &stop});
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kCancelled);
}
