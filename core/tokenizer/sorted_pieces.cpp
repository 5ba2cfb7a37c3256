#include "core/tokenizer/sorted_pieces.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

constexpr const char* kPurpose = "pieces in order";

u64 head_of(Str piece) {
  u64 head = 0;
  for (usize i = 0; i < 8; ++i) {
    head = head << 8 | (i < piece.size() ? static_cast<u8>(piece[i]) : 0u);
  }
  return head;
}

}  // namespace

Result<SortedPieces*> SortedPieces::create(Arena& arena, const Tokenizer& tokenizer,
                                           Arena& scratch) {
  const Arena::Mark kept = arena.mark();
  const Arena::Mark work = scratch.mark();
  Result<SortedPieces*> pieces = arena.make<SortedPieces>(kPurpose);
  if (!pieces.ok()) return pieces;
  const Status status = pieces.value()->load(arena, tokenizer, scratch);
  scratch.rewind(work);
  if (status.ok()) return pieces;
  arena.rewind(kept);
  return status.error();
}

Status SortedPieces::load(Arena& arena, const Tokenizer& tokenizer, Arena& scratch) {
  const u32 n_vocab = tokenizer.n_vocab();
  Result<Span<char>> buffer = scratch.take<char>(u64{tokenizer.max_piece_bytes()} + 1, kPurpose);
  if (!buffer.ok()) return buffer.error();
  Result<Span<u32>> first = arena.take<u32>(u64{n_vocab} + 1, kPurpose);
  if (!first.ok()) return first.error();
  first_ = first.value();
  const auto text_of = [&](u32 id) -> Str {
    if (tokenizer.is_end_of_generation(id)) return {};
    const Str text = tokenizer.piece(id, false, buffer.value());
    return text.size() <= kMaxPieceBytes ? text : Str();
  };
  u64 n_byte = 0;
  u32 n_end = 0;
  for (u32 id = 0; id < n_vocab; ++id) {
    first_[id] = static_cast<u32>(n_byte);
    n_byte += text_of(id).size();
    n_end += tokenizer.is_end_of_generation(id) ? 1u : 0u;
    if (n_byte > ~u32{0}) return fail(ErrorCode::kLimit, "the vocabulary has too much text");
  }
  first_[n_vocab] = static_cast<u32>(n_byte);
  Result<Span<u8>> text = arena.take_raw(n_byte, kPurpose);
  if (!text.ok()) return text.error();
  Result<Span<u32>> ends = arena.take<u32>(n_end, kPurpose);
  if (!ends.ok()) return ends.error();
  text_ = {reinterpret_cast<char*>(text.value().data()), text.value().size()};
  ends_ = ends.value();
  n_end = 0;
  for (u32 id = 0; id < n_vocab; ++id) {
    const Str piece = text_of(id);
    __builtin_memcpy(text_.data() + first_[id], piece.data(), piece.size());
    if (tokenizer.is_end_of_generation(id)) ends_[n_end++] = id;
  }
  return sort(arena, scratch);
}

bool SortedPieces::before(const Entry& a, const Entry& b) const {
  if (a.head != b.head) return a.head < b.head;
  return piece(a.id) < piece(b.id);
}

// Runs of twice the length from pairs of runs, until there is one. Equal pieces stay in the order
// of their ids.
Status SortedPieces::sort(Arena& arena, Arena& scratch) {
  u32 n = 0;
  for (u32 id = 0; id < n_vocab(); ++id) n += piece(id).empty() ? 0u : 1u;
  Result<Span<Entry>> entries = scratch.take<Entry>(n, kPurpose);
  if (!entries.ok()) return entries.error();
  Result<Span<Entry>> merged = scratch.take<Entry>(n, kPurpose);
  if (!merged.ok()) return merged.error();
  Span<Entry> from = entries.value();
  Span<Entry> to = merged.value();
  n = 0;
  for (u32 id = 0; id < n_vocab(); ++id) {
    if (!piece(id).empty()) from[n++] = {head_of(piece(id)), id};
  }
  for (u64 run = 1; run < n; run *= 2) {
    for (u64 start = 0; start < n; start += 2 * run) {
      usize a = static_cast<usize>(start);
      usize b = static_cast<usize>(min_u64(start + run, n));
      const usize end_a = b;
      const usize end_b = static_cast<usize>(min_u64(start + 2 * run, n));
      for (usize out = a; out < end_b; ++out) {
        const bool takes_b = b < end_b && (a == end_a || before(from[b], from[a]));
        to[out] = from[takes_b ? b++ : a++];
      }
    }
    const Span<Entry> swapped = from;
    from = to;
    to = swapped;
  }
  Result<Span<u32>> order = arena.take<u32>(n, kPurpose);
  if (!order.ok()) return order.error();
  Result<Span<u8>> n_common = arena.take<u8>(n, kPurpose);
  if (!n_common.ok()) return n_common.error();
  order_ = order.value();
  n_common_ = n_common.value();
  Str last;
  for (u32 rank = 0; rank < n; ++rank) {
    order_[rank] = from[rank].id;
    const Str text = piece(order_[rank]);
    usize same = 0;
    while (same < 255 && same < text.size() && same < last.size() && text[same] == last[same])
      ++same;
    n_common_[rank] = static_cast<u8>(same);
    last = text;
  }
  return {};
}

bool SortedPieces::is_end(u32 id) const {
  for (const u32 end : ends_) {
    if (end == id) return true;
  }
  return false;
}

}  // namespace lbm
