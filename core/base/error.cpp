#include "core/base/error.h"

#include "core/base/fmt.h"

namespace lbm {
namespace {

constexpr Str kNames[] = {
    "ok",          "truncated",        "bad_magic",     "bad_endian",   "bad_version",
    "limit",       "bad_name",         "duplicate",     "bad_type",     "bad_alignment",
    "bad_shape",   "overflow",         "bad_offset",    "overlap",      "missing",
    "mismatch",    "bad_value",        "numeric",       "io",           "bad_hash",
    "unsupported", "invalid_argument", "out_of_memory", "context_full", "not_rewindable",
    "not_found",   "cancelled",        "bad_syntax",    "template",     "read_only"};
static_assert(sizeof(kNames) / sizeof(kNames[0]) == kErrorCodeCount);

}  // namespace

Str error_code_name(ErrorCode code) {
  const u32 index = static_cast<u32>(code);
  return index < kErrorCodeCount ? kNames[index] : Str("unknown");
}

Error& Error::about(Str name) {
  usize n = name.size() < kSubjectCapacity ? name.size() : kSubjectCapacity;
  // A name comes from a hostile file and ends on a terminal: control and non-ASCII bytes are shown
  // as '?'.
  for (usize i = 0; i < n; ++i) {
    const char c = name[i];
    subject[i] = (c >= ' ' && c <= '~') ? c : '?';
  }
  subject_size = static_cast<u8>(n);
  return *this;
}

Error fail(ErrorCode code, const char* what, const char* file, u32 line) {
  Error error;
  error.code = code;
  error.what = what;
  error.source_file = file;
  error.source_line = line;
  return error;
}

Str format_error(const Error& error, Span<char> out) {
  TextWriter text(out);
  if (error.subject_size != 0) text.print("{}: ", error.subject_text());
  text.print("{}", Str(error.what));
  if (error.has_value) text.print(" {}", error.value);
  if (error.has_limit) text.print(" (limit {})", error.limit);
  if (error.offset != Error::kNoOffset) text.print(" at byte {}", error.offset);
  text.print(" [{}]", error_code_name(error.code));
  return text.text();
}

}  // namespace lbm
