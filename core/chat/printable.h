// The one gate between text from outside (models, files, users) and a terminal.
//
// A model that was trained or tampered to emit escape sequences could retitle, clear or reprogram a
// terminal, and so could a file name or a metadata string. So every text that the core did not
// write itself passes here: control characters other than newline and tab (C0, DEL, C1 as
// U+0080..U+009F) and malformed bytes come out as U+FFFD. Histories, JSON and files keep the
// original text; only terminals get this one.
#pragma once

#include "core/base/span.h"
#include "core/platform.h"

namespace lbm {

// Bytes that `n` bytes of input can become.
constexpr usize printable_capacity(usize n) { return n * 3; }

// Writes the printable form of `text` into `out` (printable_capacity(text.size()) long) and returns
// it.
[[nodiscard]] Str make_printable(Str text, Span<char> out);

// Columns that a character takes in printable form; 0 for those that it is left to a console to
// place.
[[nodiscard]] u32 printable_width(u32 codepoint);

// Shows the printable form of `text`, of any length.
void write_printable(Console& console, Str text);

}  // namespace lbm
