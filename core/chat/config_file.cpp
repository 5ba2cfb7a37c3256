// repl.cfg: reading it line by line, and writing the example. See settings.h.
#include "core/chat/settings.h"

namespace lbm {
namespace {

constexpr bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// Takes the value out of quotes: \" \\ \n \t are escapes, anything after the closing quote but a
// comment is an error.
Result<Str> unquote(Str value, Span<char> out) {
  const char quote = value[0];
  usize n = 0;
  for (usize i = 1; i < value.size(); ++i) {
    char c = value[i];
    if (c == quote) {
      const Str rest = value.from(i + 1).trimmed();
      if (!rest.empty() && rest[0] != '#' && rest[0] != ';') {
        return fail(ErrorCode::kBadSyntax, "text after the closing quote");
      }
      return Str(out.data(), n);
    }
    if (c == '\\' && quote == '"' && i + 1 < value.size()) {
      c = value[++i];
      if (c == 'n') c = '\n';
      if (c == 't') c = '\t';
    }
    if (n == out.size())
      return fail(ErrorCode::kLimit, "value too long").with(value.size(), out.size());
    out[n++] = c;
  }
  return fail(ErrorCode::kBadSyntax, "no closing quote");
}

// The value without a comment at its end. A '#' starts one only after a space, so that "C#" can be
// said without quotes.
Str without_comment(Str value) {
  for (usize i = 1; i < value.size(); ++i) {
    if (value[i] == '#' && Str::is_space(value[i - 1])) return value.first(i).trimmed();
  }
  return value;
}

Status read_line(Settings& settings, Str line) {
  usize n_key = 0;
  while (n_key < line.size() && is_key_char(line[n_key])) ++n_key;
  const Str key = line.first(n_key);
  if (key.empty()) return fail(ErrorCode::kBadSyntax, "is not key=value").about(line);
  Str value = line.from(n_key).trimmed();
  const bool has_equals = value.starts_with("=");
  if (has_equals) value = value.from(1).trimmed();
  // `key value` needs its space: "temp;1" is a mistake, not a setting.
  if (!has_equals && (value.empty() || !Str::is_space(line[n_key]))) {
    return fail(ErrorCode::kBadSyntax, "is not key=value").about(line);
  }
  char unquoted[Settings::kMaxTextBytes];
  if (value.starts_with("\"") || value.starts_with("'")) {
    const Result<Str> plain = unquote(value, unquoted);
    if (!plain.ok()) return Error(plain.error()).about(key);
    value = plain.value();
  } else {
    value = value.starts_with("#") ? Str() : without_comment(value);
  }
  const SettingInfo* info = find_setting(key);
  if (info != nullptr && info->id == Setting::kModel &&
      settings.origin(Setting::kModel) == Settings::Origin::kConfig) {
    return fail(ErrorCode::kDuplicate, "was given before, and the first one counts").about(key);
  }
  return settings.set(key, value, Settings::Origin::kConfig);
}

}  // namespace

u32 Settings::read_config(Str text, ConfigObserver* observer) {
  if (text.starts_with("\xEF\xBB\xBF")) text = text.from(3);
  u32 n_bad = 0;
  u32 line_number = 0;
  while (!text.empty()) {
    ++line_number;
    usize end = 0;
    while (end < text.size() && text[end] != '\n') ++end;
    const Str line = text.first(end).trimmed();
    text = end < text.size() ? text.from(end + 1) : Str();
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    const Status status = read_line(*this, line);
    if (status.ok()) continue;
    // Not wrong, only of another time.
    if (status.error().code != ErrorCode::kUnsupported) ++n_bad;
    if (observer != nullptr) observer->on_bad_line(line_number, status.error());
  }
  return n_bad;
}

void write_example_config(LineSink& sink) {
  sink.on_line(
      "# repl.cfg: settings of llm-baremetal. Copy this file to the root of the stick as "
      "repl.cfg.");
  sink.on_line(
      "# Generated from the table of settings; `/cfg` shows what is in effect, `/set KEY VALUE` "
      "changes it.");
  sink.on_line("#");
  sink.on_line(
      "# One key=value a line. '#' or ';' starts a comment. Put quotes around a value that has '#' "
      "or outer spaces;");
  sink.on_line(
      "# in double quotes \\n is a new line. The last of equal keys wins, but the first model=. A "
      "wrong line is named "
      "and ignored.");
  for (u32 i = 0; i < kSettingCount; ++i) {
    const SettingInfo& info = setting_info(static_cast<Setting>(i));
    TextBuffer<256> line;
    sink.on_line("");
    sink.on_line(line.print("# {}", info.help).text());
    line.clear();
    line.append("# ");
    switch (info.type) {
      case SettingType::kFlag: line.append("0 or 1"); break;
      case SettingType::kInteger:
        if (info.high > 1e9) {
          line.print("whole number from {}", static_cast<i64>(info.low));
        } else {
          line.print("whole number {}..{}", static_cast<i64>(info.low),
                     static_cast<i64>(info.high));
        }
        break;
      case SettingType::kReal: line.print("number {:.2}..{:.2}", info.low, info.high); break;
      case SettingType::kText: line.append("text"); break;
      case SettingType::kChoice: line.print("one of: {}", info.choices); break;
    }
    line.print("; takes effect {}", setting_when_text(info.when));
    if (info.aliases[0] != '\0') line.print("; also: {}", info.aliases);
    sink.on_line(line.text());
    line.clear();
    sink.on_line(line.print("#{}={}", info.key, info.standard).text());
  }
}

}  // namespace lbm
