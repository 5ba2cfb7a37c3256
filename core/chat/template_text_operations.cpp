// Operations on text that filters and methods share. Every character keeps its origin.
#include "core/base/unicode_normalize.h"
#include "core/base/utf8.h"
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_case.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

bool in_set(Str set, u32 codepoint) {
  for (usize at = 0; at < set.size(); at += character_at(set, at)) {
    if (codepoint_at(set, at) == codepoint) return true;
  }
  return false;
}

// The whole text in one case; `first`: that of its first character.
bool change_case(TemplateBudget& budget, TemplateValue v, LetterCase first, LetterCase others,
                 TemplateValue* out) {
  TextBuilder text(budget);
  TextPieces pieces(v);
  LetterCase wanted = first;
  while (pieces.next()) {
    for (usize at = 0; at < pieces.bytes.size() && budget.ok();) {
      const usize n = character_at(pieces.bytes, at);
      append_in_case(text, pieces.bytes.slice(at, n), wanted, pieces.markup);
      wanted = others;
      at += n;
    }
  }
  if (!text.finish(out)) return false;
  *out = out->with_safe(v.is_safe());
  return true;
}

bool has_only_case(Str text, bool upper) {
  bool any = false;
  for (usize at = 0; at < text.size(); at += character_at(text, at)) {
    const u32 c = codepoint_at(text, at);
    if (upper ? is_lower(c) : is_upper(c)) return false;
    any |= upper ? is_upper(c) : is_lower(c);
  }
  return any;
}

}  // namespace

bool strip_text(TemplateBudget& budget, TemplateValue text, TemplateValue chars, bool left,
                bool right, TemplateValue* out) {
  const bool by_set = !chars.is(TemplateKind::kAbsent) && !chars.is(TemplateKind::kNone);
  if (by_set && !chars.is(TemplateKind::kString))
    return fail_type(budget, "TypeError: strip needs text, line", chars);
  const Str bytes = text.text();
  const Str set = by_set ? chars.text() : Str();
  usize begin = 0;
  usize end = bytes.size();
  u64 work = 1;
  while (left && begin < end) {
    const u32 c = codepoint_at(bytes, begin);
    if (by_set ? !in_set(set, c) : !is_unicode_space(c)) break;
    begin += character_at(bytes, begin);
    work += 1 + set.size();
  }
  if (!budget.spend_bytes(work)) return false;
  while (right && end > begin) {
    const usize n = character_before(bytes, end);
    const u32 c = codepoint_at(bytes, end - n);
    if (by_set ? !in_set(set, c) : !is_unicode_space(c)) break;
    end -= n;
    work += 1 + set.size();
  }
  return budget.spend_bytes(work) && slice_text(budget, text, begin, end, out);
}

bool replace_text(TemplateBudget& budget, TemplateValue text, TemplateValue old_text,
                  TemplateValue new_text, i64 count, TemplateValue* out) {
  const Str bytes = text.text();
  const Str needle = old_text.text();
  TextBuilder result(budget);
  usize plain = 0;
  usize at = 0;
  for (i64 n = 0; count < 0 || n < count; ++n) {
    at = find_text(budget, bytes, needle, at, bytes.size());
    if (!budget.ok()) return false;
    if (at == Str::kNone) break;
    result.append_slice(text, plain, at);
    result.append(new_text);
    plain = at + needle.size();
    at = plain;
    if (!needle.empty()) continue;
    if (at == bytes.size())
      break;  // an empty needle is found before every character and at the end
    at += character_at(bytes, at);
  }
  result.append_slice(text, plain, bytes.size());
  return result.finish(out);
}

// The sharp s has no capital of its own in Python.
void append_in_case(TextBuilder& text, Str character, LetterCase wanted, bool markup) {
  const Utf8Char c = decode_utf8(character);
  if (!c.valid) {
    text.append(character, markup);
  } else if (c.codepoint == 0xDF && wanted != LetterCase::kLower) {
    text.append(wanted == LetterCase::kTitle ? "Ss" : "SS", markup);
  } else {
    text.append_codepoint(
        wanted == LetterCase::kLower ? to_lower(c.codepoint) : to_upper(c.codepoint), markup);
  }
}

bool upper_text(TemplateBudget& budget, TemplateValue text, TemplateValue* out) {
  return change_case(budget, text, LetterCase::kUpper, LetterCase::kUpper, out);
}

bool lower_text(TemplateBudget& budget, TemplateValue text, TemplateValue* out) {
  return change_case(budget, text, LetterCase::kLower, LetterCase::kLower, out);
}

bool capitalize_text(TemplateBudget& budget, TemplateValue text, TemplateValue* out) {
  return change_case(budget, text, LetterCase::kTitle, LetterCase::kLower, out);
}

bool is_upper_text(Str text) { return has_only_case(text, true); }

bool is_lower_text(Str text) { return has_only_case(text, false); }

bool split_lines(TemplateBudget& budget, TemplateValue text, bool keep_ends, TemplateList* out) {
  const Str bytes = text.text();
  if (!budget.spend_bytes(bytes.size())) return false;
  for (usize begin = 0; begin < bytes.size();) {
    usize end = begin;
    while (end < bytes.size() && !is_line_break(codepoint_at(bytes, end)))
      end += character_at(bytes, end);
    usize after = end;
    if (after < bytes.size()) {
      const bool pair = bytes.from(after).starts_with("\r\n");
      after += pair ? 2 : character_at(bytes, after);
    }
    TemplateValue line;
    if (!slice_text(budget, text, begin, keep_ends ? after : end, &line) ||
        !append_item(budget, *out, line))
      return false;
    begin = after;
  }
  return true;
}

// str.center: the odd blank goes where Python puts it.
bool center_text(TemplateBudget& budget, TemplateValue text, i64 width, TemplateValue fill,
                 TemplateValue* out) {
  const u64 size = count_characters(text.text());
  *out = text;
  if (!budget.spend_bytes(text.text().size())) return false;
  if (width <= 0 || static_cast<u64>(width) <= size) return true;
  const u64 margin = static_cast<u64>(width) - size;
  const u64 left = margin / 2 + (margin & static_cast<u64>(width) & 1);
  TextBuilder centered(budget);
  for (u64 i = 0; i < left && budget.ok(); ++i) centered.append(fill);
  centered.append(text);
  for (u64 i = left; i < margin && budget.ok(); ++i) centered.append(fill);
  return centered.finish(out);
}

}  // namespace lbm
