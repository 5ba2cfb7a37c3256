// The parser behind JsonDocument (json_reader.h): one pass, no recursion.
#pragma once

#include "core/base/json_reader.h"

namespace lbm {

class JsonParser {
 public:
  JsonParser(JsonDocument& document, Arena& arena) : document_(document), arena_(arena) {}
  // Used once.
  [[nodiscard]] Status parse(Span<char> text);

 private:
  using Kind = JsonDocument::Kind;
  using Node = JsonDocument::Node;

  [[nodiscard]] u64 count_most_nodes() const;
  [[nodiscard]] Status read_value();
  [[nodiscard]] Status after_value();
  [[nodiscard]] Status open(Kind kind);
  [[nodiscard]] Status close();
  [[nodiscard]] Status read_key();
  [[nodiscard]] Status read_string();
  [[nodiscard]] Status read_escape(usize& out);
  [[nodiscard]] Status read_unit(u32& unit);
  [[nodiscard]] Status read_number();
  [[nodiscard]] Status read_word(Str word, Kind kind);
  [[nodiscard]] Status check_keys(u32 object);
  [[nodiscard]] Status check_many_keys(u32 object);
  [[nodiscard]] Status refuse_key(u32 key) const;

  void skip_space();
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_.data()[at_] : '\0'; }
  [[nodiscard]] Status unexpected() const { return unexpected(at_); }
  [[nodiscard]] Status unexpected(usize at) const;
  u32 add(Kind kind, usize at, u32 n);

  JsonDocument& document_;
  Arena& arena_;
  Span<char> text_;
  usize at_ = 0;
  Span<Node> nodes_;
  u32 n_node_ = 0;
  u32 open_[JsonDocument::kMaxDepth] = {};
  u32 depth_ = 0;
};

}  // namespace lbm
