// See buffers.h.
#include "web/buffers.h"

#include "core/base/utf8.h"

namespace lbm::web {
namespace {

u64 address_of(const void* at) { return reinterpret_cast<usize>(at); }

}  // namespace

Result<u8*> Buffers::add(Pages& pages, u32 n_byte) {
  if (n_byte == 0 || n_byte > kMaxBytes) {
    return fail(ErrorCode::kInvalidArgument, "a buffer has 1 byte to 128 MiB")
        .with(n_byte, kMaxBytes);
  }
  if (n_ == kMaxBuffers)
    return fail(ErrorCode::kLimit, "too many buffers; free some").with(n_, kMaxBuffers);
  const Result<Span<u8>> range = pages.take(n_byte, "buffer");
  if (!range.ok()) return range.error();
  all_[n_++] = range.value().first(n_byte);
  return range.value().data();
}

Status Buffers::remove(Pages& pages, const u8* at, u32 n_byte) {
  for (u32 i = 0; i < n_; ++i) {
    if (all_[i].data() != at || all_[i].size() != n_byte) continue;
    pages.give_back(all_[i]);
    all_[i] = all_[--n_];
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "no buffer has this address and capacity")
      .with(address_of(at), n_byte);
}

Result<Span<u8>> Buffers::bytes(u8* at, u64 n_byte) const {
  if (n_byte == 0) return Span<u8>();
  for (u32 i = 0; i < n_; ++i) {
    const u64 first = address_of(all_[i].data());
    if (address_of(at) < first || address_of(at) + n_byte > first + all_[i].size()) continue;
    return Span<u8>(at, static_cast<usize>(n_byte));
  }
  return fail(ErrorCode::kInvalidArgument, "these bytes are not in one buffer")
      .with(address_of(at), n_byte);
}

Result<Span<const u8>> Buffers::bytes(const u8* at, u64 n_byte) const {
  const Result<Span<u8>> found = bytes(const_cast<u8*>(at), n_byte);
  if (!found.ok()) return found.error();
  return Span<const u8>(found.value());
}

Result<Str> Buffers::text(const char* at, u32 n_byte) const {
  const Result<Span<const u8>> found = bytes(reinterpret_cast<const u8*>(at), n_byte);
  if (!found.ok()) return found.error();
  const Str text(reinterpret_cast<const char*>(found.value().data()), found.value().size());
  if (!is_valid_utf8(text)) return fail(ErrorCode::kBadValue, "the text is not UTF-8");
  return text;
}

Result<Span<u32>> Buffers::words(u32* at, u32 n_word) const {
  if (address_of(at) % alignof(u32) != 0)
    return fail(ErrorCode::kInvalidArgument, "misaligned").with(address_of(at), alignof(u32));
  const Result<Span<u8>> found = bytes(reinterpret_cast<u8*>(at), u64{n_word} * sizeof(u32));
  if (!found.ok()) return found.error();
  return Span<u32>(reinterpret_cast<u32*>(found.value().data()), n_word);
}

}  // namespace lbm::web
