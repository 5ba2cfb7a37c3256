// Which part of a file a request asks for (RFC 9110, section 14): one range of bytes, or all. Pure
// functions of text.
#pragma once

#include <string>
#include <string_view>

#include "core/base/types.h"

namespace lbm::cli {

struct ByteRange {
  enum class Kind : u8 {
    kWhole,     // no range, or one that servers may ignore: other units, several at once
    kPart,      // [first, first + n)
    kNotThere,  // begins behind the end: 416
  };
  Kind kind = Kind::kWhole;
  u64 first = 0;
  u64 n = 0;
};

// Of a file of `size` bytes whose version is `tag` (an entity tag). With an `if_range` that is not
// this very tag, the file has changed and all of it is sent.
[[nodiscard]] ByteRange parse_range(std::string_view range, std::string_view if_range, u64 size,
                                    std::string_view tag);

}  // namespace lbm::cli
