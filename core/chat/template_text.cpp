#include "core/chat/template_text.h"

#include "core/base/utf8.h"

namespace lbm {

TemplateOrigin join_origin(TemplateValue a, TemplateValue b) {
  return origin_of(a.is_markup() && b.is_markup());
}

bool TextPieces::next() {
  if (done_ == all_.size()) return false;
  if (text_.origin() != TemplateOrigin::kMixed) {
    bytes = all_;
    markup = text_.is_markup();
    done_ = all_.size();
    return true;
  }
  const TemplateRun& run = text_.mixed_text().runs[run_++];
  bytes = all_.slice(done_, run.end - done_);
  markup = run.markup;
  done_ = run.end;
  return true;
}

bool slice_text(TemplateBudget& budget, TemplateValue text, usize begin, usize end,
                TemplateValue* out) {
  const Str all = text.text();
  if (end > all.size()) end = all.size();
  if (begin > end) begin = end;
  const Str bytes = all.slice(begin, end - begin);
  if (text.origin() != TemplateOrigin::kMixed || bytes.empty()) {
    const bool markup = text.origin() == TemplateOrigin::kMarkup || bytes.empty();
    *out = TemplateValue::text(bytes).with_origin(origin_of(markup)).with_safe(text.is_safe());
    return true;
  }
  const Span<const TemplateRun> runs = text.mixed_text().runs;
  usize first = 0;
  while (runs[first].end <= begin) ++first;
  usize last = first;
  while (runs[last].end < end) ++last;
  if (!budget.spend(1 + last / 16)) return false;
  if (first == last) {
    *out = TemplateValue::text(bytes)
               .with_origin(origin_of(runs[first].markup))
               .with_safe(text.is_safe());
    return true;
  }
  const usize n_run = last - first + 1;
  TemplateText* cut = budget.make<TemplateText>();
  TemplateRun* kept = static_cast<TemplateRun*>(budget.take(n_run * sizeof(TemplateRun)));
  if (cut == nullptr || kept == nullptr) return false;
  for (usize i = 0; i < n_run; ++i) {
    const usize run_end = runs[first + i].end < end ? runs[first + i].end : end;
    kept[i] = {static_cast<u32>(run_end - begin), runs[first + i].markup};
  }
  cut->bytes = bytes;
  cut->runs = {kept, n_run};
  *out = TemplateValue::mixed(*cut).with_safe(text.is_safe());
  return true;
}

usize character_at(Str text, usize offset) { return decode_utf8(text.from(offset)).n_byte; }

usize character_before(Str text, usize offset) {
  // The longest sequence that decodes to exactly the bytes before `offset`.
  for (usize n = 4; n > 1; --n) {
    if (n > offset) continue;
    const Utf8Char c = decode_utf8(text.slice(offset - n, n));
    if (c.valid && c.n_byte == n) return n;
  }
  return 1;
}

u32 codepoint_at(Str text, usize offset) { return decode_utf8(text.from(offset)).codepoint; }

u64 count_characters(Str text) {
  u64 n = 0;
  for (usize at = 0; at < text.size(); ++n) at += character_at(text, at);
  return n;
}

usize character_offset(Str text, u64 index) {
  usize at = 0;
  while (index > 0 && at < text.size()) {
    at += character_at(text, at);
    --index;
  }
  return at;
}

bool is_unicode_space(u32 c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(u32 c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// Naive search is quadratic for hostile pairs; the fuel is charged for every comparison, so it ends
// all the same.
usize find_text(TemplateBudget& budget, Str haystack, Str needle, usize begin, usize end) {
  if (end > haystack.size()) end = haystack.size();
  u64 work = 0;
  usize found = Str::kNone;
  for (usize at = begin; at <= end && needle.size() <= end - at; ++at) {
    usize n = 0;
    while (n < needle.size() && haystack.data()[at + n] == needle.data()[n]) ++n;
    work += 1 + n;
    if (n == needle.size()) {
      found = at;
      break;
    }
    if (work < 4096) continue;
    if (!budget.spend_bytes(work)) return Str::kNone;
    work = 0;
  }
  return budget.spend_bytes(work) ? found : Str::kNone;
}

usize find_text_last(TemplateBudget& budget, Str haystack, Str needle, usize begin, usize end) {
  if (end > haystack.size()) end = haystack.size();
  if (begin > end || needle.size() > end - begin) return Str::kNone;
  for (usize at = end - needle.size();; --at) {
    if (!budget.spend_bytes(needle.size())) return Str::kNone;
    if (haystack.slice(at, needle.size()) == needle) return at;
    if (at == begin) return Str::kNone;
  }
}

bool TextBuilder::make_room(u64 n_byte) {
  const u64 wanted = size_ + n_byte;
  if (wanted > budget_.max_text_bytes() || wanted > TemplateValue::kMaxTextBytes) {
    return budget_.fail(ErrorCode::kLimit, "template makes too much text, line");
  }
  if (wanted <= capacity_) return true;
  u64 grown = max_u64(wanted, u64{capacity_} * 2);
  if (grown < 64) grown = 64;
  if (data_ != nullptr && budget_.extend(data_, capacity_, grown, stamp_)) {
    capacity_ = static_cast<usize>(grown);
  } else {
    void* fresh = budget_.take(grown, 1);
    if (fresh == nullptr) return false;
    if (size_ != 0) __builtin_memcpy(fresh, data_, size_);
    data_ = static_cast<char*>(fresh);
    capacity_ = static_cast<usize>(grown);
  }
  stamp_ = budget_.arena_stamp();
  return true;
}

bool TextBuilder::open_run(bool markup) {
  if (n_run_ != 0 && runs_[n_run_ - 1].markup == markup) return true;
  if (n_run_ == run_capacity_) {
    const u32 grown = run_capacity_ == 0 ? 4 : run_capacity_ * 2;
    void* fresh = budget_.take(u64{grown} * sizeof(TemplateRun));
    if (fresh == nullptr) return false;
    if (n_run_ != 0) __builtin_memcpy(fresh, runs_, n_run_ * sizeof(TemplateRun));
    runs_ = static_cast<TemplateRun*>(fresh);
    run_capacity_ = grown;
  }
  runs_[n_run_++] = {static_cast<u32>(size_), markup};
  return true;
}

void TextBuilder::append(Str bytes, bool markup) {
  if (bytes.empty() || !budget_.ok()) return;
  if (!budget_.spend_bytes(bytes.size()) || !open_run(markup) || !make_room(bytes.size())) return;
  __builtin_memcpy(data_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  runs_[n_run_ - 1].end = static_cast<u32>(size_);
}

void TextBuilder::append(TemplateValue text) {
  TextPieces pieces(text);
  while (pieces.next()) append(pieces.bytes, pieces.markup);
}

void TextBuilder::append_slice(TemplateValue text, usize begin, usize end) {
  TemplateValue part;
  if (slice_text(budget_, text, begin, end, &part)) append(part);
}

void TextBuilder::append_escaped(TemplateValue text) {
  if (text.is_safe()) return append(text);
  TextPieces pieces(text);
  while (pieces.next()) {
    usize plain = 0;
    for (usize at = 0; at < pieces.bytes.size() && budget_.ok(); ++at) {
      const char c = pieces.bytes[at];
      const Str entity = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '\'' ? "&#39;"
                         : c == '"'  ? "&#34;"
                                     : "";
      if (entity.empty()) continue;
      append(pieces.bytes.slice(plain, at - plain), pieces.markup);
      append(entity, pieces.markup);
      plain = at + 1;
    }
    append(pieces.bytes.from(plain), pieces.markup);
  }
}

void TextBuilder::append_codepoint(u32 codepoint, bool markup) {
  char bytes[4];
  append(Str(bytes, encode_utf8(codepoint, bytes)), markup);
}

void TextBuilder::repeat(char c, u64 n, bool markup) {
  char block[64];
  __builtin_memset(block, c, sizeof block);
  while (n > 0 && budget_.ok()) {
    const usize part = static_cast<usize>(min_u64(n, sizeof block));
    append(Str(block, part), markup);
    n -= part;
  }
}

bool TextBuilder::finish(TemplateValue* out) {
  if (!budget_.ok()) return false;
  if (n_run_ <= 1) {
    *out =
        TemplateValue::text({data_, size_}).with_origin(origin_of(n_run_ == 0 || runs_[0].markup));
    return true;
  }
  TemplateText* text = budget_.make<TemplateText>();
  if (text == nullptr) return false;
  text->bytes = {data_, size_};
  text->runs = {runs_, n_run_};
  *out = TemplateValue::mixed(*text);
  return true;
}

bool TextBuilder::finish(Span<const TextSegment>* out) {
  if (!budget_.ok()) return false;
  TextSegment* segments =
      static_cast<TextSegment*>(budget_.take(n_run_ * sizeof(TextSegment), alignof(TextSegment)));
  if (segments == nullptr) return false;
  usize begin = 0;
  for (u32 i = 0; i < n_run_; ++i) {
    segments[i] = {Str(data_ + begin, runs_[i].end - begin), runs_[i].markup};
    begin = runs_[i].end;
  }
  *out = {segments, n_run_};
  return true;
}

}  // namespace lbm
