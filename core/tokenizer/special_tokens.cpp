#include "core/tokenizer/special_tokens.h"

namespace lbm {
namespace {

bool is_special(const Vocab& vocab, u32 id) {
  return vocab.is_restricted(id) || vocab.type(id) == TokenType::kUserDefined;
}

}  // namespace

Status SpecialTokens::load(const Vocab& vocab) {
  vocab_ = &vocab;
  for (u32 id = 0; id < vocab.size(); ++id) {
    if (!is_special(vocab, id)) continue;
    const Str piece = vocab.piece(id);
    if (piece.empty()) continue;
    if (piece.size() > kMaxBytes) {
      return fail(ErrorCode::kLimit, "this special token is too long:")
          .about(piece)
          .with(piece.size(), kMaxBytes);
    }
    lengths_[piece.size() / 64] |= u64{1} << (piece.size() % 64);
    u16& longest = max_bytes_[static_cast<u8>(piece[0])];
    if (piece.size() > longest) longest = static_cast<u16>(piece.size());
  }
  return {};
}

SpecialTokens::Match SpecialTokens::match(Str text, usize n_markup) const {
  Match best;
  if (text.empty()) return best;
  usize longest = max_bytes_[static_cast<u8>(text[0])];
  if (longest > text.size()) longest = text.size();
  PieceHash hash;
  for (usize n = 1; n <= longest; ++n) {
    hash.add(text[n - 1]);
    if ((lengths_[n / 64] >> (n % 64) & 1) == 0) continue;
    const u32 id = vocab_->find(text.first(n), hash.finish());
    if (id == Vocab::kNoToken || !is_special(*vocab_, id)) continue;
    if (vocab_->is_restricted(id) && n > n_markup) continue;
    best = {id, static_cast<u32>(n)};
  }
  return best;
}

}  // namespace lbm
