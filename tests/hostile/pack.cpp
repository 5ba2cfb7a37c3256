#include "tests/hostile/pack.h"

#include "core/base/fmt.h"
#include "tests/hostile/replay.h"

namespace lbm::test {
namespace {

struct PackHead {
  char magic[8];
  u64 n_entry;
};
struct PackEntry {
  char name[96];
  char error[24];
  char stage[16];
  u64 offset;
  u64 place;
  u64 size;
};
static_assert(sizeof(PackEntry) == 160);

Span<u8> bytes_of(PackHead& head) { return {reinterpret_cast<u8*>(&head), sizeof(head)}; }
Span<u8> bytes_of(PackEntry& entry) { return {reinterpret_cast<u8*>(&entry), sizeof(entry)}; }

// One file of the pack. Its neighbours are the other files.
class PackedFile final : public ByteSource {
 public:
  PackedFile() = default;
  PackedFile(ByteSource& pack, const PackEntry& entry) : pack_(&pack), entry_(entry) {}
  [[nodiscard]] u64 size() const override { return entry_.size; }
  [[nodiscard]] Str name() const override { return entry_.name; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset > entry_.size || out.size() > entry_.size - offset) {
      return fail(ErrorCode::kTruncated, "the source ends early").at(entry_.size);
    }
    return pack_->read(entry_.place + offset, out);
  }
  [[nodiscard]] Result<ByteSource*> open_beside(Str neighbour) override;

 private:
  ByteSource* pack_ = nullptr;
  PackEntry entry_ = {};
};

Result<u64> count_of(ByteSource& pack) {
  PackHead head = {};
  if (Status s = pack.read(0, bytes_of(head)); !s.ok()) return s.error();
  if (!(Str(head.magic, sizeof(head.magic)) == "LBMPACK1")) {
    return fail(ErrorCode::kBadMagic, "not a pack of hostile files").at(0);
  }
  return head.n_entry;
}

Result<PackEntry> entry_of(ByteSource& pack, u64 index) {
  PackEntry entry = {};
  const u64 at = sizeof(PackHead) + index * sizeof(PackEntry);
  if (Status s = pack.read(at, bytes_of(entry)); !s.ok()) return s.error();
  return entry;
}

// What open_beside() has opened for the file that is being replayed.
constexpr u32 kMaxNeighbours = 8;
PackedFile g_neighbours[kMaxNeighbours];
u32 g_n_neighbour = 0;

Result<ByteSource*> PackedFile::open_beside(Str neighbour) {
  const Result<u64> count = count_of(*pack_);
  if (!count.ok()) return count.error();
  for (u64 i = 0; i < count.value(); ++i) {
    const Result<PackEntry> entry = entry_of(*pack_, i);
    if (!entry.ok()) return entry.error();
    if (!(Str(entry.value().name) == neighbour)) continue;
    if (g_n_neighbour == kMaxNeighbours) return fail(ErrorCode::kLimit, "too many files are open");
    PackedFile& file = g_neighbours[g_n_neighbour++];
    file = PackedFile(*pack_, entry.value());
    return static_cast<ByteSource*>(&file);
  }
  return fail(ErrorCode::kNotFound, "no such file beside it").about(neighbour);
}

bool is_as_expected(const PackEntry& entry, const ReplayOutcome& outcome) {
  return outcome.stage == Str(entry.stage) &&
         error_code_name(outcome.error.code) == Str(entry.error) &&
         entry.offset == outcome.error.offset;
}

// True where the file behaves as its entry says.
bool check_entry(ByteSource& pack, const PackEntry& entry, Arena& arena, Pages& pages,
                 void (*tell)(Str line)) {
  g_n_neighbour = 0;
  PackedFile file(pack, entry);
  const Str name(entry.name);
  TextBuffer<640> line;
  char text[320];
  const ReplayOutcome outcome = replay(name, file, arena);
  if (!is_as_expected(entry, outcome)) {
    line.print("{}: expected [{}] of {} at {}, not {}: {}\n", name, Str(entry.error),
               Str(entry.stage), entry.offset, outcome.stage, format_error(outcome.error, text));
    tell(line.text());
    return false;
  }
  if (!is_model(name) || outcome.error.code != ErrorCode::kOk) return true;
  g_n_neighbour = 0;
  const Status ran = run_accepted(file, pages);
  if (ran.ok() || ran.error().code == ErrorCode::kNumeric) return true;
  line.print("{}: was accepted, but: {}\n", name, format_error(ran.error(), text));
  tell(line.text());
  return false;
}

}  // namespace

Result<PackResult> replay_pack(ByteSource& pack, Arena& arena, Pages& pages,
                               void (*tell)(Str line)) {
  const Result<u64> count = count_of(pack);
  if (!count.ok()) return count.error();
  PackResult result;
  for (u64 i = 0; i < count.value(); ++i) {
    const Result<PackEntry> read = entry_of(pack, i);
    if (!read.ok()) return read.error();
    const PackEntry& entry = read.value();
    if (!can_replay(Str(entry.name)) || Str(entry.stage) == kBeside) continue;
    ++result.n_file;
    if (!check_entry(pack, entry, arena, pages, tell)) ++result.n_wrong;
  }
  return result;
}

}  // namespace lbm::test
