#include "core/format/tokenizer_json_pieces.h"

#include "core/format/limits.h"

namespace lbm {
namespace {

u32 hash_of(Str text) {
  u64 state = 0xCBF29CE484222325u;  // FNV-1a, whose upper bits alone are poor
  for (const char c : text) state = (state ^ static_cast<u8>(c)) * 0x100000001B3u;
  return static_cast<u32>(((state ^ (state >> 29)) * 0x9E3779B97F4A7C15u) >> 32);
}

}  // namespace

Status TokenizerPieces::create(Arena& arena, u32 n_id, u32 n_text) {
  const char* const what = "vocabulary";
  const Result<Span<Str>> texts = arena.take<Str>(n_id, what);
  if (!texts.ok()) return texts.error();
  const Result<Span<Type>> types = arena.take<Type>(n_id, what);
  if (!types.ok()) return types.error();
  const Result<Span<f32>> scores = arena.take<f32>(n_id, what);
  if (!scores.ok()) return scores.error();
  const Result<Span<bool>> taken = arena.take<bool>(n_id, what);
  if (!taken.ok()) return taken.error();
  const Result<Span<u8>> trims = arena.take<u8>(n_id, what);
  if (!trims.ok()) return trims.error();
  const Result<Span<Slot>> slots = arena.take<Slot>(2 * u64{n_text} + 1, "vocabulary index");
  if (!slots.ok()) return slots.error();
  texts_ = texts.value();
  types_ = types.value();
  scores_ = scores.value();
  taken_ = taken.value();
  trims_ = trims.value();
  slots_ = slots.value();
  for (Type& type : types_) type = Type::kUnused;
  return {};
}

u32 TokenizerPieces::slot_of(Str text, u32 hash) const {
  u32 slot = static_cast<u32>((u64{hash} * slots_.size()) >> 32);
  for (u32 n = 0; n < kMaxProbes; ++n) {
    const Slot& at = slots_[slot];
    if (at.id_plus_one == 0) return slot;
    if (at.hash == hash && texts_[at.id_plus_one - 1] == text) return slot;
    slot = slot + 1 == slots_.size() ? 0 : slot + 1;
  }
  return kNone;
}

u32 TokenizerPieces::find(Str text) const {
  const u32 slot = slot_of(text, hash_of(text));
  if (slot == kNone || slots_[slot].id_plus_one == 0) return kNone;
  return slots_[slot].id_plus_one - 1;
}

void TokenizerPieces::put(const JsonValue& node, u32 id, Str text, Type type, f32 score) {
  LBM_CHECK(id < texts_.size());
  if (taken_[id]) return node.refuse(ErrorCode::kDuplicate, "this id is there twice");
  if (text.size() > kMaxStringBytes) {
    return node.refuse(ErrorCode::kLimit, "a token is too long");
  }
  const u32 hash = hash_of(text);
  const u32 slot = slot_of(text, hash);
  if (slot == kNone) {
    return node.refuse(ErrorCode::kLimit, "too many tokens have the same hash");
  }
  if (slots_[slot].id_plus_one != 0) {
    return node.refuse(ErrorCode::kDuplicate, "this token is there twice");
  }
  slots_[slot] = {hash, id + 1};
  texts_[id] = text;
  types_[id] = type;
  scores_[id] = score;
  taken_[id] = true;
  if (id >= n_) n_ = id + 1;
}

void TokenizerPieces::set_trims(u32 id, bool before, bool after) {
  trims_[id] |= static_cast<u8>((before ? 1 : 0) | (after ? 2 : 0));
}

}  // namespace lbm
