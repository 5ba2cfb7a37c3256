#include "core/tokenizer/byte_pairs.h"

#include "core/format/limits.h"

namespace lbm {
namespace {

constexpr Str kMergesKey = "tokenizer.ggml.merges";
constexpr u64 kArrayHeaderBytes = 12;  // element type and count stand before the elements

}  // namespace

Status BytePairs::load(Arena& arena, const ModelFile& file, const Vocab& vocab) {
  MetaValue value;
  if (!file.find(kMergesKey, value)) {
    return fail(ErrorCode::kMissing, "this tokenizer needs merges, and the file has none").about(kMergesKey);
  }
  const MetaArray& merges = value.array;
  if (value.type != MetaType::kArray || merges.type != MetaType::kString) {
    return fail(ErrorCode::kBadType, "an array of strings is needed").about(kMergesKey).at(value.file_offset);
  }
  const u64 limit = kMaxMergesPerPiece * vocab.size();
  if (merges.count > limit) {
    return fail(ErrorCode::kLimit, "too many merges for the vocabulary:")
        .about(kMergesKey)
        .with(merges.count, limit)
        .at(value.file_offset);
  }
  Result<Span<Slot>> slots = arena.take<Slot>(merges.count * 2, "merge table");
  if (!slots.ok()) return slots.error();
  slots_ = slots.value();

  StringCursor cursor(merges);
  for (u32 rank = 0; !cursor.done(); ++rank) {
    const Str merge = cursor.next();
    const Status added = add(merge, rank, vocab);
    if (!added.ok()) {
      const u64 offset = static_cast<u64>(merge.bytes().data() - merges.bytes.data());
      Error error = added.error();
      return error.at(value.file_offset + kArrayHeaderBytes + offset);
    }
  }
  return {};
}

Status BytePairs::add(Str merge, u32 rank, const Vocab& vocab) {
  // A piece may begin with a space but not have one elsewhere, so the separator is the first space that is not in front.
  usize space = 1;
  while (space < merge.size() && merge.data()[space] != ' ') ++space;
  if (space + 1 >= merge.size()) return fail(ErrorCode::kBadValue, "a merge is two pieces and a space between").about(merge);
  const Str left_text = merge.first(space);
  const Str right_text = merge.from(space + 1);

  const PieceHash left_hash = PieceHash().add(left_text);
  const u32 left = vocab.find(left_text, left_hash.finish());
  const u32 right = vocab.find(right_text);
  if (left == Vocab::kNoToken || right == Vocab::kNoToken) {
    return fail(ErrorCode::kMismatch, "this merge has a piece that is not in the vocabulary").about(merge);
  }
  char joined[kMaxStringBytes > 1024 ? 1024 : kMaxStringBytes];
  static_cast<void>(joined);
  return insert({left, right, rank, 0}, merge);
}

}  // namespace lbm
