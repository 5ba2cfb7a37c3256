// See text_file.h.
#include "core/chat/text_file.h"

#include "core/base/fmt.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr Str kUtf8Mark = "\xEF\xBB\xBF";

Error no_text(u64 offset) {
  return fail(ErrorCode::kBadValue, "is not a text file: bytes that are no UTF-8").at(offset);
}

Result<Str> decode_utf16(Span<const u8> bytes, bool big_endian, Span<char> out) {
  const auto unit = [&](usize i) {
    const u32 a = bytes[i];
    const u32 b = bytes[i + 1];
    return big_endian ? a << 8 | b : b << 8 | a;
  };
  usize n = 0;
  for (usize i = 2; i < bytes.size(); i += 2) {
    if (i + 2 > bytes.size()) return no_text(i);
    u32 codepoint = unit(i);
    if (codepoint >= 0xD800 && codepoint <= 0xDFFF) {
      if (codepoint > 0xDBFF || i + 4 > bytes.size()) return no_text(i);
      const u32 low = unit(i + 2);
      if (low < 0xDC00 || low > 0xDFFF) return no_text(i);
      codepoint = 0x10000 + ((codepoint - 0xD800) << 10) + (low - 0xDC00);
      i += 2;
    }
    if (codepoint == 0) return no_text(i);
    char utf8[4];
    const u32 n_utf8 = encode_utf8(codepoint, utf8);
    LBM_CHECK(n_utf8 <= out.size() - n);
    __builtin_memcpy(out.data() + n, utf8, n_utf8);
    n += n_utf8;
  }
  return Str(out.data(), n);
}

}  // namespace

Result<Str> decode_text(Span<const u8> bytes, Span<char> out) {
  LBM_CHECK(out.size() >= text_capacity(bytes.size()));
  if (bytes.size() >= 2 && bytes[0] == 0xFF && bytes[1] == 0xFE)
    return decode_utf16(bytes, false, out);
  if (bytes.size() >= 2 && bytes[0] == 0xFE && bytes[1] == 0xFF)
    return decode_utf16(bytes, true, out);
  Str text(bytes);
  if (text.starts_with(kUtf8Mark)) text = text.from(kUtf8Mark.size());
  for (Str rest = text; !rest.empty();) {
    const Utf8Char c = decode_utf8(rest);
    if (!c.valid || c.codepoint == 0) return no_text(bytes.size() - rest.size());
    rest = rest.from(c.n_byte);
  }
  __builtin_memcpy(out.data(), text.data(), text.size());
  return Str(out.data(), text.size());
}

void TextFile::release() {
  if (!range_.empty()) pages_.give_back(range_);
  range_ = {};
  text_ = {};
}

Status TextFile::read(Volume& volume, Str path, Expect expect) {
  release();
  u64 number = 0;
  const usize colon = path.find(":");
  const bool has_volume = colon != Str::kNone && parse_u64(path.first(colon), number);
  const Str inside = has_volume ? path.from(colon + 1) : path;
  if (number > 1000) return fail(ErrorCode::kNotFound, "there is no such volume").about(path);
  const Result<ByteSource*> source = volume.open(static_cast<u32>(number), inside);
  if (!source.ok()) return source.error();
  n_byte_ = source.value()->size();
  Status status;
  if (n_byte_ > kMaxBytes) {
    status =
        fail(ErrorCode::kLimit, "larger than a text may be").about(path).with(n_byte_, kMaxBytes);
  } else if (n_byte_ != 0) {
    Result<Span<u8>> range = pages_.take(n_byte_ + text_capacity(n_byte_), "text file");
    if (range.ok()) {
      range_ = range.value();
      const Span<u8> bytes = range_.first(static_cast<usize>(n_byte_));
      const Span<u8> rest = range_.from(bytes.size());
      status = source.value()->read(0, bytes);
      if (status.ok()) {
        const Result<Str> text =
            decode_text(bytes, {reinterpret_cast<char*>(rest.data()), rest.size()});
        if (text.ok()) {
          text_ = text.value();
        } else if (expect == Expect::kAnyBytes) {
          text_ = Str(bytes);
        } else {
          status = Error(text.error()).about(path);
        }
      }
    } else {
      status = range.error();
    }
  }
  volume.close(source.value());
  return status;
}

}  // namespace lbm
