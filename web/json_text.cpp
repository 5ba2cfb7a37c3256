// See json_text.h.
#include "web/json_text.h"

#include "core/base/utf8.h"
#include "core/chat/template_number.h"

namespace lbm::web {

void write_json_text(TextWriter& out, Str text) {
  out.append("\"");
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    char bytes[4];
    if (c.codepoint == '"' || c.codepoint == '\\') {
      out.print("\\{}", static_cast<char>(c.codepoint));
    } else if (c.codepoint < 0x20) {
      out.append(c.codepoint < 0x10 ? "\\u000" : "\\u00").print("{:x}", c.codepoint);
    } else {
      out.append({bytes, encode_utf8(c.codepoint, bytes)});
    }
    text = text.from(c.n_byte);
  }
  out.append("\"");
}

void write_json_number(TextWriter& out, f64 value) {
  char buffer[kNumberTextBytes];
  out.append(format_float(value, buffer));
}

}  // namespace lbm::web
