// Text that remembers where it came from: reading, cutting and building it.
//
// Python counts characters, so do indices here where they say so; bytes that are not UTF-8 count
// one each and are kept.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_value.h"
#include "core/tokenizer/tokenizer.h"

namespace lbm {

// The origin of a value made of two others: markup only if both are.
[[nodiscard]] TemplateOrigin join_origin(TemplateValue a, TemplateValue b);
[[nodiscard]] constexpr TemplateOrigin origin_of(bool markup) {
  return markup ? TemplateOrigin::kMarkup : TemplateOrigin::kContent;
}

// Walks over the runs of a text:   TextPieces pieces(text); while (pieces.next()) use(pieces.bytes,
// pieces.markup);
class TextPieces {
 public:
  explicit TextPieces(TemplateValue text) : text_(text), all_(text.text()) {}
  [[nodiscard]] bool next();
  Str bytes;
  bool markup = false;

 private:
  TemplateValue text_;
  Str all_;
  usize done_ = 0;
  usize run_ = 0;
};

// Bytes [begin, end) of a text, with their origin and safety. Nothing is copied but the runs of
// mixed text.
[[nodiscard]] bool slice_text(TemplateBudget& budget, TemplateValue text, usize begin, usize end,
                              TemplateValue* out);

[[nodiscard]] u64 count_characters(Str text);
// Byte offset of character number `index`; text.size() when there are fewer.
[[nodiscard]] usize character_offset(Str text, u64 index);
// Bytes of the character that starts at, or ends at, `offset`.
[[nodiscard]] usize character_at(Str text, usize offset);
[[nodiscard]] usize character_before(Str text, usize offset);
[[nodiscard]] u32 codepoint_at(Str text, usize offset);
// What Python's str.isspace() and str.strip() take for white space.
[[nodiscard]] bool is_unicode_space(u32 codepoint);
// What str.splitlines() takes for the end of a line.
[[nodiscard]] bool is_line_break(u32 codepoint);

// Offset of the first `needle` in [begin, end), or Str::kNone; kNone and an error in `budget` when
// the fuel is gone.
[[nodiscard]] usize find_text(TemplateBudget& budget, Str haystack, Str needle, usize begin,
                              usize end);
[[nodiscard]] usize find_text_last(TemplateBudget& budget, Str haystack, Str needle, usize begin,
                                   usize end);

// Collects text of any origin. After a failure (recorded in the budget) it ignores what it is
// given, and finish() is false.
class TextBuilder {
 public:
  explicit TextBuilder(TemplateBudget& budget) : budget_(budget) {}
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;

  void append(Str bytes, bool markup);
  void append(TemplateValue text);  // a kString
  void append_slice(TemplateValue text, usize begin, usize end);
  void append_escaped(TemplateValue text);  // & < > ' " as HTML writes them; safe text as it is
  void append_codepoint(u32 codepoint, bool markup);
  void repeat(char c, u64 n, bool markup);

  [[nodiscard]] usize size() const { return size_; }
  [[nodiscard]] bool finish(TemplateValue* out);
  // The same as segments, for the output of a render.
  [[nodiscard]] bool finish(Span<const TextSegment>* out);

 private:
  [[nodiscard]] bool make_room(u64 n_byte);
  [[nodiscard]] bool open_run(bool markup);

  TemplateBudget& budget_;
  char* data_ = nullptr;
  usize size_ = 0;
  usize capacity_ = 0;
  u64 stamp_ = 0;  // of the arena, right after data_ was taken
  TemplateRun* runs_ = nullptr;
  u32 n_run_ = 0;
  u32 run_capacity_ = 0;
};

}  // namespace lbm
