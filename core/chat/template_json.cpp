#include "core/chat/template_json.h"

#include "core/chat/template_case.h"
#include "core/chat/template_number.h"
#include "core/chat/template_object.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_sort.h"

namespace lbm {
namespace {

class JsonWriter {
 public:
  JsonWriter(TemplateBudget& budget, TextBuilder& text, const JsonStyle& style)
      : budget_(budget), text_(text), style_(style) {}

  void write(TemplateValue v) {
    TemplateNesting level(budget_);
    if (!level.ok() || !budget_.spend(1)) return;
    switch (v.kind()) {
      case TemplateKind::kNone:
      case TemplateKind::kBool:
      case TemplateKind::kInt:
      case TemplateKind::kFloat: write_scalar(v); break;
      case TemplateKind::kString: write_string(v); break;
      case TemplateKind::kList:
      case TemplateKind::kTuple: write_list(v); break;
      case TemplateKind::kMap: write_map(v); break;
      default:
        budget_.fail(ErrorCode::kBadValue, "TypeError: this type is not JSON serializable, line",
                     type_name(v));
        break;
    }
  }

 private:
  [[gnu::noinline]] void write_scalar(TemplateValue v) {
    char buffer[kNumberTextBytes];
    Str shown = "null";
    if (v.is(TemplateKind::kBool)) shown = v.as_bool() ? "true" : "false";
    if (v.is(TemplateKind::kInt)) shown = format_integer(v.as_int(), buffer);
    if (v.is(TemplateKind::kFloat)) {
      const f64 x = v.as_float();
      if (!budget_.spend(kFloatTextSteps)) return;
      shown = x != x          ? Str("NaN")
              : !is_finite(x) ? (x > 0 ? Str("Infinity") : Str("-Infinity"))
                              : format_float(x, buffer);
    }
    text_.append(shown, v.is_markup());
  }

  [[gnu::noinline]] void write_unicode_escape(u32 unit, bool markup) {
    char buffer[kNumberTextBytes];
    const Str digits = format_magnitude(unit, 16, false, buffer);
    text_.append("\\u", markup);
    text_.repeat('0', 4 - digits.size(), markup);
    text_.append(digits, markup);
  }

  // The escape of a character, if it needs one.
  bool write_escape(u32 c, bool markup) {
    constexpr Str kEscaped = "\"\\\n\r\t\b\f";
    constexpr Str kLetters = "\"\\nrtbf";
    const char byte = static_cast<char>(c);
    const usize known = c < 0x80 ? kEscaped.find(Str(&byte, 1)) : Str::kNone;
    if (known != Str::kNone) {
      text_.append("\\", markup);
      text_.append(kLetters.slice(known, 1), markup);
    } else if (c < 0x20 || (style_.ensure_ascii && c >= 0x7F && c < 0x10000)) {
      write_unicode_escape(c, markup);
    } else if (style_.ensure_ascii && c >= 0x10000) {
      write_unicode_escape(0xD800 + ((c - 0x10000) >> 10), markup);
      write_unicode_escape(0xDC00 + ((c - 0x10000) & 0x3FF), markup);
    } else {
      return false;
    }
    return true;
  }

  [[gnu::noinline]] void write_string(TemplateValue v) {
    text_.append("\"", v.is_markup());
    TextPieces pieces(v);
    while (pieces.next()) {
      usize plain = 0;
      for (usize at = 0; at < pieces.bytes.size() && budget_.ok();) {
        const usize n = character_at(pieces.bytes, at);
        const u32 c = codepoint_at(pieces.bytes, at);
        const bool special =
            c < 0x20 || c == '"' || c == '\\' || (style_.ensure_ascii && c >= 0x7F);
        if (special) {
          text_.append(pieces.bytes.slice(plain, at - plain), pieces.markup);
          plain = write_escape(c, pieces.markup) ? at + n : at;
        }
        at += n;
      }
      text_.append(pieces.bytes.from(plain), pieces.markup);
    }
    text_.append("\"", v.is_markup());
  }

  void write_break(bool markup) {
    if (!style_.indented) return;
    text_.append("\n", markup);
    for (u32 i = 0; i < depth_ && budget_.ok(); ++i) text_.append(style_.indent, markup);
  }

  void write_separator(TemplateValue separator, bool markup) {
    // A separator of the template stays markup only in a list of the template.
    if (markup)
      text_.append(separator);
    else
      text_.append(separator.text(), false);
  }

  void write_list(TemplateValue v) {
    const TemplateList& list = v.as_list();
    const bool markup = v.is_markup();
    if (list.size() == 0) return text_.append("[]", markup);
    text_.append("[", markup);
    ++depth_;
    for (u32 i = 0; i < list.size() && budget_.ok(); ++i) {
      if (i != 0) write_separator(style_.item_separator, markup);
      write_break(markup);
      write(list[i]);
    }
    --depth_;
    write_break(markup);
    text_.append("]", markup);
  }

  void write_key(TemplateValue key) {
    if (key.is(TemplateKind::kString)) return write_string(key);
    if (!is_number(key) && !key.is(TemplateKind::kNone)) {
      budget_.fail(ErrorCode::kBadValue, "TypeError: keys of JSON must be text or numbers, line",
                   type_name(key));
      return;
    }
    text_.append("\"", key.is_markup());
    write_scalar(key);
    text_.append("\"", key.is_markup());
  }

  void write_map(TemplateValue v) {
    const TemplateMap& map = v.as_map();
    const bool markup = v.is_markup();
    const u32 n = map.size();
    if (n == 0) return text_.append("{}", markup);
    TemplateValue* keys =
        static_cast<TemplateValue*>(budget_.take(u64{n} * 2 * sizeof(TemplateValue)));
    if (keys == nullptr) return;
    TemplateValue* values = keys + n;
    for (u32 i = 0; i < n; ++i) {
      keys[i] = map.entries()[i].key;
      values[i] = map.entries()[i].value;
    }
    if (style_.sort_keys && !sort_by_key(budget_, {keys, n}, {values, n}, false)) return;
    text_.append("{", markup);
    ++depth_;
    for (u32 i = 0; i < n && budget_.ok(); ++i) {
      if (i != 0) write_separator(style_.item_separator, markup);
      write_break(markup);
      write_key(keys[i]);
      write_separator(style_.key_separator, markup);
      write(values[i]);
    }
    --depth_;
    write_break(markup);
    text_.append("}", markup);
  }

  TemplateBudget& budget_;
  TextBuilder& text_;
  const JsonStyle& style_;
  u32 depth_ = 0;
};

}  // namespace

bool write_json(TemplateBudget& budget, TemplateValue v, const JsonStyle& style,
                TemplateValue* out) {
  TextBuilder text(budget);
  JsonWriter writer(budget, text, style);
  writer.write(v);
  return text.finish(out);
}

}  // namespace lbm
