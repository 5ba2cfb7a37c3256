// Values as JSON, into a TextWriter.
#pragma once

#include "core/base/fmt.h"

namespace lbm::web {

// A string. What is no UTF-8 becomes U+FFFD.
void write_json_text(TextWriter& out, Str text);
// A finite number, with the fewest digits that read back as the same f64; of an f32, as its f64.
void write_json_number(TextWriter& out, f64 value);
[[nodiscard]] inline Str json_bool(bool value) { return value ? "true" : "false"; }

}  // namespace lbm::web
