#include "core/tokenizer/charsmap.h"

namespace lbm {
namespace {

constexpr u64 kArrayHeaderBytes = 12;  // element type and count stand before the elements
constexpr u32 kUnitBytes = 4;
constexpr u32 kValueBit = 1u << 31;

u32 read_u32(const u8* bytes) {
  u32 value = 0;
  __builtin_memcpy(&value, bytes, sizeof(value));  // every host is little-endian
  return value;
}

// From a node to where its children are: child = (node ^ distance) ^ label.
constexpr u32 distance_of(u32 unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }
constexpr u32 label_of(u32 unit) { return unit & (kValueBit | 0xFF); }
constexpr bool ends_sequence(u32 unit) { return (unit & 0x100) != 0; }

}  // namespace

u32 Charsmap::unit(u32 index) const { return read_u32(units_.data() + u64{index} * kUnitBytes); }

Str Charsmap::replacement(u32 offset) const {
  u32 n = 0;
  while (texts_.data()[offset + n] != '\0') ++n;  // the last string is terminated: load()
  return texts_.slice(offset, n);
}

// Walks through all of the array that find() can reach, twice: level by level, so that every node
// is met first by its shortest sequence, which is the one that grows most; then path by path, to
// refuse arrays that lead back to themselves. (They are no trees: ends that sequences share are
// stored once.)
class Charsmap::Graph {
 public:
  // `levels` and `marks` have an element for each unit; marks are 0.
  Graph(Charsmap& map, Span<u32> levels, Span<u8> marks)
      : map_(map), n_unit_(static_cast<u32>(marks.size())), queue_(levels), marks_(marks) {}

  // Errors: as load(); `offset` of an error is the unit's within the array of units.
  [[nodiscard]] Status check() {
    Status status = check_levels();
    if (status.ok()) status = check_paths();
    return status;
  }

 private:
  enum Mark : u8 { kNew, kQueued, kOnPath, kDone };

  // The node behind `label`, or n_unit_.
  [[nodiscard]] u32 child(u32 node, u32 label) const {
    const u32 at = node ^ distance_of(map_.unit(node)) ^ label;
    return label_of(map_.unit(at)) == label ? at : n_unit_;
  }

  [[nodiscard]] Status check_levels() {
    u32 n_queued = 1;
    queue_[0] = 0;
    marks_[0] = kQueued;
    u32 depth = 0;
    for (u32 begin = 0; begin < n_queued; ++depth) {
      const u32 end = n_queued;
      for (; begin < end; ++begin) {
        const u32 node = queue_[begin];
        const Status status = check_node(node, depth);
        if (!status.ok()) return status;
        for (u32 label = 1; label < 256; ++label) {
          const u32 next = child(node, label);
          if (next == n_unit_ || marks_[next] != kNew) continue;
          marks_[next] = kQueued;
          queue_[n_queued++] = next;
        }
      }
    }
    return {};
  }

  [[nodiscard]] Status check_node(u32 node, u32 depth) {
    const u32 bits = map_.unit(node);
    const u32 children = node ^ distance_of(bits);
    if ((children | 0xFF) >= n_unit_) {
      return fail(ErrorCode::kBadOffset, "a character map that points outside itself; unit")
          .with(children | 0xFF, n_unit_ - 1)
          .at(u64{node} * kUnitBytes);
    }
    if (depth == 0 || !ends_sequence(bits)) return {};
    const u32 text = map_.unit(children) & ~kValueBit;
    if (text >= map_.texts_.size()) {
      return fail(ErrorCode::kBadOffset, "a replacement beyond the strings of the character map:")
          .with(text, map_.texts_.size())
          .at(u64{children} * kUnitBytes);
    }
    const u32 limit = kMaxGrowth * depth;
    u32 n = 0;
    for (u32 i = text; map_.texts_.data()[i] != '\0' && n <= limit; ++i) {
      n += map_.texts_.data()[i] == ' ' ? 3u : 1u;
    }
    if (n > limit) {
      return fail(ErrorCode::kLimit, "the character map makes text too long; bytes for one:")
          .with(n / depth, kMaxGrowth)
          .at(u64{node} * kUnitBytes);
    }
    const u32 growth = (n + depth - 1) / depth;
    if (growth > map_.growth_) map_.growth_ = growth;
    return {};
  }

  [[nodiscard]] Status check_paths() {
    struct Place {
      u32 node;
      u32 label;
    };
    Place path[kMaxKeyBytes + 1];
    u32 depth = 0;
    path[0] = {0, 0};
    for (;;) {
      Place& place = path[depth];
      marks_[place.node] = kOnPath;
      if (++place.label > 255) {
        marks_[place.node] = kDone;
        if (depth-- == 0) return {};
        continue;
      }
      const u32 next = child(place.node, place.label);
      if (next == n_unit_ || marks_[next] == kDone) continue;
      const u64 at = u64{next} * kUnitBytes;
      if (marks_[next] == kOnPath) {
        return fail(ErrorCode::kBadValue, "the character map leads back to itself").at(at);
      }
      if (depth == kMaxKeyBytes) {
        return fail(ErrorCode::kLimit, "the character map has sequences that are too long; bytes:")
            .with(depth + 1, kMaxKeyBytes)
            .at(at);
      }
      path[++depth] = {next, 0};
    }
  }

  Charsmap& map_;
  const u32 n_unit_;
  Span<u32> queue_;
  Span<u8> marks_;
};

Status Charsmap::load(Arena& arena, const ModelFile& file, Str key) {
  MetaValue value;
  if (!file.find(key, value)) return {};
  const MetaArray& array = value.array;
  if (value.type != MetaType::kArray ||
      (array.type != MetaType::kU8 && array.type != MetaType::kI8)) {
    return fail(ErrorCode::kBadType, "an array of bytes is needed")
        .about(key)
        .at(value.file_offset);
  }
  if (array.count == 0) return {};
  if (array.count > kMaxBytes) {
    return fail(ErrorCode::kLimit, "the character map is too large; bytes:")
        .about(key)
        .with(array.count, kMaxBytes)
        .at(value.file_offset);
  }
  const u64 at = value.file_offset + kArrayHeaderBytes;
  if (array.count < kUnitBytes) {
    return fail(ErrorCode::kTruncated, "the character map has no room for its size; bytes:")
        .about(key)
        .with(array.count, kUnitBytes)
        .at(at);
  }
  const u64 n_byte = read_u32(array.bytes.data());
  const u64 n_left = array.count - kUnitBytes;
  if (n_byte >= n_left) {
    return fail(ErrorCode::kBadOffset, "the character map ends before its strings begin:")
        .about(key)
        .with(n_byte, n_left)
        .at(at);
  }
  if (n_byte == 0 || n_byte % kUnitBytes != 0) {
    return fail(ErrorCode::kBadValue, "the character map is not made of units of 4 bytes:")
        .about(key)
        .with(n_byte)
        .at(at);
  }
  units_ = array.bytes.slice(kUnitBytes, static_cast<usize>(n_byte));
  texts_ = Str(array.bytes.from(static_cast<usize>(kUnitBytes + n_byte)));
  if (texts_[texts_.size() - 1] != '\0') {
    return fail(ErrorCode::kTruncated, "the last string of the character map has no end")
        .about(key)
        .at(at + array.count);
  }
  const Arena::Mark mark = arena.mark();
  const u64 n_unit = n_byte / kUnitBytes;
  Result<Span<u32>> queue = arena.take<u32>(n_unit, "check of the character map");
  if (!queue.ok()) return queue.error();
  Result<Span<u8>> marks = arena.take<u8>(n_unit, "check of the character map");
  if (!marks.ok()) return marks.error();
  const Status status = Graph(*this, queue.value(), marks.value()).check();
  arena.rewind(mark);
  if (status.ok()) return {};
  Error error = status.error();
  return error.about(key).at(at + kUnitBytes + error.offset);
}

Charsmap::Match Charsmap::find(Str text) const {
  if (units_.empty()) return {};
  u32 children = distance_of(unit(0));
  u32 n_byte = 0;
  u32 offset = 0;
  for (u32 n = 0; n < text.size() && n < kMaxKeyBytes && text[n] != '\0'; ++n) {
    const u32 label = static_cast<u8>(text[n]);
    const u32 node = children ^ label;
    const u32 bits = unit(node);
    if (label_of(bits) != label) break;
    children = node ^ distance_of(bits);
    if (!ends_sequence(bits)) continue;
    n_byte = n + 1;
    offset = unit(children) & ~kValueBit;
  }
  return n_byte == 0 ? Match{} : Match{replacement(offset), n_byte};
}

}  // namespace lbm
