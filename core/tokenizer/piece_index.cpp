#include "core/tokenizer/piece_index.h"

namespace lbm {

Status PieceIndex::sort(const Vocab& vocab, Span<u32> ids) {
  vocab_ = &vocab;
  ids_ = ids;
  for (const u32 id : ids) {
    const Str piece = vocab.piece(id);
    if (piece.size() <= kMaxPieceBytes) continue;
    return fail(ErrorCode::kLimit, "this piece is too long:")
        .about(piece)
        .with(piece.size(), kMaxPieceBytes);
  }
  // A heap sort: in place, without recursion, and no order of the pieces makes it slow.
  const u32 n = static_cast<u32>(ids.size());
  for (u32 root = n / 2; root-- > 0;) sift_down(root, n);
  for (u32 end = n; end > 1;) {
    --end;
    const u32 largest = ids_[0];
    ids_[0] = ids_[end];
    ids_[end] = largest;
    sift_down(0, end);
  }
  u32 at = 0;
  for (u32 byte = 0; byte < 256; ++byte) {
    first_[byte] = at;
    while (at < n && static_cast<u8>(vocab.piece(ids_[at])[0]) == byte) ++at;
  }
  first_[256] = n;
  return {};
}

void PieceIndex::sift_down(u32 root, u32 n) {
  const u32 moving = ids_[root];
  const Str piece = vocab_->piece(moving);
  for (u32 child = 2 * root + 1; child < n; child = 2 * root + 1) {
    if (child + 1 < n && vocab_->piece(ids_[child]) < vocab_->piece(ids_[child + 1])) ++child;
    if (!(piece < vocab_->piece(ids_[child]))) break;
    ids_[root] = ids_[child];
    root = child;
  }
  ids_[root] = moving;
}

u32 PieceIndex::Walk::lower_bound(u32 byte) const {
  u32 low = low_;
  u32 high = high_;
  while (low < high) {
    const u32 middle = low + (high - low) / 2;
    const Str piece = index_.vocab_->piece(index_.ids_[middle]);
    // Only the first pieces may end here; they come before all that go on.
    if (piece.size() <= n_byte_ || static_cast<u8>(piece[n_byte_]) < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool PieceIndex::Walk::step(u8 byte) {
  if (n_byte_ == 0) {
    low_ = index_.first_[byte];
    high_ = index_.first_[byte + 1];
  } else {
    low_ = lower_bound(byte);
    high_ = lower_bound(u32{byte} + 1);
  }
  ++n_byte_;
  return low_ < high_;
}

u32 PieceIndex::Walk::id() const {
  if (low_ == high_) return Vocab::kNoToken;
  const u32 id = index_.ids_[low_];
  return index_.vocab_->piece(id).size() == n_byte_ ? id : Vocab::kNoToken;
}

}  // namespace lbm
