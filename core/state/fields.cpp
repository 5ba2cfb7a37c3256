// See fields.h.
#include "core/state/fields.h"

namespace lbm {
namespace {

constexpr usize kMaxWord = 24;

bool is_word(Str text) {
  if (text.empty() || text.size() > kMaxWord) return false;
  for (const char c : text) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!fits) return false;
  }
  return true;
}

}  // namespace

void FieldWriter::add(Str word, Str bytes) {
  LBM_CHECK(is_word(word));
  out_.print("{} {}\n", word, bytes.size()).append(bytes).append("\n");
}

Result<Str> FieldWriter::finish() {
  add("end", "");
  if (out_.truncated()) return fail(ErrorCode::kLimit, "too long for its record");
  return out_.text();
}

Result<FieldReader> FieldReader::open(Str text, Str kind, Str version) {
  if (!text.starts_with(kind) || !text.from(kind.size()).starts_with(" "))
    return fail(ErrorCode::kBadMagic, "the record has something else").about(kind);
  const Str rest = text.from(kind.size() + 1);
  if (!rest.starts_with(version) || !rest.from(version.size()).starts_with("\n"))
    return fail(ErrorCode::kBadVersion, "of another version of this program").about(kind);
  FieldReader reader(text);
  reader.at_ = kind.size() + 1 + version.size() + 1;
  return reader;
}

Result<Field> FieldReader::next() {
  const usize line_end = text_.find("\n", at_);
  if (line_end == Str::kNone || line_end - at_ > FieldWriter::kMostPerField)
    return fail(ErrorCode::kTruncated, "a field has no end").at(at_);
  const Str line = text_.slice(at_, line_end - at_);
  const usize blank = line.find(" ");
  u64 n_byte = 0;
  if (blank == Str::kNone || !is_word(line.first(blank)) ||
      !parse_u64(line.from(blank + 1), n_byte))
    return fail(ErrorCode::kBadSyntax, "not a field").at(at_);
  const usize first = line_end + 1;
  if (n_byte >= text_.size() - first)  // one more for the line end
    return fail(ErrorCode::kTruncated, "the text ends within a field").at(at_);
  const usize size = static_cast<usize>(n_byte);
  if (text_[first + size] != '\n')
    return fail(ErrorCode::kBadSyntax, "a field has another length").at(at_);
  at_ = first + size + 1;
  return Field{line.first(blank), text_.slice(first, size)};
}

}  // namespace lbm
