#include "core/tokenizer/byte_pairs.h"

#include "core/format/limits.h"

namespace lbm {
namespace {

constexpr Str kMergesKey = "tokenizer.ggml.merges";
constexpr u64 kArrayHeaderBytes = 12;  // element type and count stand before the elements

bool is_joined(Str piece, Str left, Str right) {
  return piece.size() == left.size() + right.size() && piece.starts_with(left) &&
         piece.ends_with(right);
}

}  // namespace

Status BytePairs::load(Arena& arena, const ModelFile& file, const Vocab& vocab) {
  MetaValue value;
  if (!file.find(kMergesKey, value)) {
    return fail(ErrorCode::kMissing, "this tokenizer needs merges, and the file has none")
        .about(kMergesKey);
  }
  const MetaArray& merges = value.array;
  if (value.type != MetaType::kArray ||  // mutants: the array of what is none has another type
      merges.type != MetaType::kString) {
    return fail(ErrorCode::kBadType, "an array of strings is needed")
        .about(kMergesKey)
        .at(value.file_offset);
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
  u32 expected = 0;
  for (u32 rank = 0; !cursor.done(); ++rank) {
    const Str merge = cursor.next();
    const Status added = add(merge, rank, vocab, expected);
    if (!added.ok()) {
      const u64 offset = static_cast<u64>(merge.bytes().data() - merges.bytes.data());
      Error error = added.error();
      return error.at(value.file_offset + kArrayHeaderBytes + offset);
    }
  }
  return {};
}

Status BytePairs::add(Str merge, u32 rank, const Vocab& vocab, u32& expected) {
  // A piece may begin with a space but not have one elsewhere, so the separator is the first space
  // that is not in front.
  usize space = 1;
  while (space < merge.size() && merge.data()[space] != ' ') ++space;
  if (space + 1 >= merge.size()) {
    return fail(ErrorCode::kBadValue, "a merge is two pieces and a space between").about(merge);
  }
  const Str left_text = merge.first(space);
  const Str right_text = merge.from(space + 1);

  const PieceHash left_hash = PieceHash().add(left_text);
  const u32 left = vocab.find(left_text, left_hash.finish());
  const u32 right = vocab.find(right_text);
  if (left == Vocab::kNoToken || right == Vocab::kNoToken) {
    return fail(ErrorCode::kMismatch, "this merge has a piece that is not in the vocabulary")
        .about(merge);
  }
  // Training numbers tokens in the order of their merges, so the result is nearly always the token
  // after the last result.
  u32 merged = expected;
  if (merged >= vocab.size() || !is_joined(vocab.piece(merged), left_text, right_text)) {
    merged =
        vocab.find_joined(left_text, right_text, PieceHash(left_hash).add(right_text).finish());
  }
  if (merged == Vocab::kNoToken) {
    return fail(ErrorCode::kMismatch, "what this merge gives is not in the vocabulary")
        .about(merge);
  }
  expected = merged + 1;
  // Text must never become a control token, not even by a merge that the file has for one.
  if (vocab.is_restricted(merged)) return {};
  return insert({left, right, rank, merged + 1}, merge);
}

u32 BytePairs::slot_of(u32 left, u32 right) const {
  u64 hash = (u64{left} << 32 | right) * 0x9E3779B97F4A7C15u;
  hash = (hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93u;
  return static_cast<u32>(((hash >> 32) * slots_.size()) >> 32);
}

Status BytePairs::insert(const Slot& merge, Str text) {
  u32 slot = slot_of(merge.left, merge.right);
  for (u32 n = 0; n < Vocab::kMaxProbes; ++n) {
    const Slot& at = slots_[slot];
    if (at.merged_plus_one == 0) {
      slots_[slot] = merge;
      return {};
    }
    if (at.left == merge.left && at.right == merge.right) {
      return fail(ErrorCode::kDuplicate, "the file has this merge twice; the second is number")
          .about(text)
          .with(merge.rank);
    }
    slot = slot + 1 == slots_.size() ? 0 : slot + 1;
  }
  return fail(ErrorCode::kLimit, "too many merges have the same hash")
      .about(kMergesKey)
      .with(merge.rank, Vocab::kMaxProbes);
}

PairRank BytePairs::find(u32 left, u32 right) const {
  if (slots_.empty()) return {};
  u32 slot = slot_of(left, right);
  for (u32 n = 0; n < Vocab::kMaxProbes; ++n) {
    const Slot& at = slots_[slot];
    if (at.merged_plus_one == 0) return {};
    if (at.left == left && at.right == right) return {at.rank, at.merged_plus_one - 1};
    slot = slot + 1 == slots_.size() ? 0 : slot + 1;
  }
  return {};
}

}  // namespace lbm
