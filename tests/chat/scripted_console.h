// A console for tests: keys come from a script, the output is kept as text and on a small screen.
//
// The screen behaves as the firmware's text console does (a character in the last column moves on
// at once) or as a VT does (it moves on with the next character); what is drawn must come out the
// same on both.
#pragma once

#include "core/base/move.h"
#include "core/base/span.h"
#include "core/base/utf8.h"
#include "core/platform.h"

namespace lbm::test {

class ScriptedConsole final : public Console {
 public:
  static constexpr u32 kMaxColumns = 80;
  static constexpr u32 kMaxRows = 64;
  static constexpr usize kMaxOutput = 64 * 1024;
  static constexpr usize kMaxKeys = 8 * 1024;

  explicit ScriptedConsole(u32 n_column = 80, bool wraps_at_once = true)
      : n_column_(n_column), wraps_at_once_(wraps_at_once) {
    clear_screen();
  }

  // Adds the characters of `text` to the keys to come; '\n' is Enter.
  void type(Str text) {
    while (!text.empty()) {
      const Utf8Char c = decode_utf8(text);
      text = text.from(c.n_byte);
      press(c.codepoint == '\n' ? KeyEvent{Key::kEnter, 0} : KeyEvent{Key::kChar, c.codepoint});
    }
  }
  void press(KeyEvent key) {
    if (n_key_ < kMaxKeys) keys_[n_key_++] = key;
  }
  void press(Key key) { press(KeyEvent{key, 0}); }
  void control(char letter) { press(KeyEvent{Key::kCtrl, static_cast<u32>(letter)}); }
  // The n-th question for an interrupt from now (0: the next) is answered with yes.
  void interrupt_after(u32 n_question) { interrupt_in_ = static_cast<i64>(n_question); }

  [[nodiscard]] Str output() const { return {output_, n_output_}; }
  [[nodiscard]] bool shows(Str text) const { return output().contains(text); }
  // True when `text` stands at the start of a line of the output.
  [[nodiscard]] bool has_line(Str text) const {
    for (usize i = output().find(text); i != Str::kNone; i = output().find(text, i + 1)) {
      if (i == 0 || output_[i - 1] == '\n') return true;
    }
    return false;
  }
  void clear_output() { n_output_ = 0; }

  // Console
  void write(Str utf8) override {
    for (const char c : utf8) {
      if (n_output_ < kMaxOutput) output_[n_output_++] = c;
    }
    while (!utf8.empty()) {
      const Utf8Char c = decode_utf8(utf8);
      utf8 = utf8.from(c.n_byte);
      put(c.codepoint);
    }
  }
  KeyEvent poll_key() override { return next_key_ < n_key_ ? keys_[next_key_++] : KeyEvent{}; }
  KeyEvent wait_key() override { return poll_key(); }
  [[nodiscard]] u32 n_column() const override { return n_column_; }
  // Keeps what the status bar was told last, and the first letters of its activities in order: "l"
  // loading, "r" reading, "a" answering, "." waiting; the same one after the other counts once.
  void show_status(const ConsoleStatus& status) override {
    const char letter = status.activity.empty() ? '.' : status.activity[0];
    if (n_activity_ == 0 || activities_[n_activity_ - 1] != letter) {
      if (n_activity_ < sizeof(activities_)) activities_[n_activity_++] = letter;
    }
    n_ctx_used_ = status.n_ctx_used;
    n_ctx_ = status.n_ctx;
    has_rate_ = status.tok_s > 0;
    has_model_ = !status.model.empty();
  }
  [[nodiscard]] Str activities() const { return {activities_, n_activity_}; }
  [[nodiscard]] u32 n_ctx_used() const { return n_ctx_used_; }
  [[nodiscard]] u32 n_ctx() const { return n_ctx_; }
  [[nodiscard]] bool has_rate() const { return has_rate_; }
  [[nodiscard]] bool has_model() const { return has_model_; }
  bool take_interrupt() override { return interrupt_in_ >= 0 && interrupt_in_-- == 0; }

  // The screen
  [[nodiscard]] u32 cursor_row() const { return row_; }
  [[nodiscard]] u32 cursor_column() const { return column_; }
  [[nodiscard]] u32 cell(u32 row, u32 column) const { return cells_[row][column]; }
  // True when something was ever printed in the last column.
  [[nodiscard]] bool used_last_column() const { return used_last_column_; }
  void clear_screen() {
    for (auto& row : cells_) {
      for (u32& cell : row) cell = ' ';
    }
    row_ = 0;
    column_ = 0;
    must_wrap_ = false;
    used_last_column_ = false;
  }

 private:
  void put(u32 codepoint) {
    if (codepoint == '\r') {
      column_ = 0;
      must_wrap_ = false;
      return;
    }
    if (codepoint == '\n') {
      new_row();
      return;
    }
    const u32 width = display_width(codepoint);
    if (width == 0) return;  // a mark lies on the cell before
    if (must_wrap_ || column_ + width > n_column_) new_row();
    cells_[row_][column_] = codepoint;
    if (width == 2) cells_[row_][column_ + 1] = 0;
    column_ += width;
    if (column_ < n_column_) return;
    used_last_column_ = true;
    if (wraps_at_once_) {
      new_row();
    } else {
      column_ = n_column_ - 1;
      must_wrap_ = true;
    }
  }
  void new_row() {
    column_ = 0;
    must_wrap_ = false;
    if (row_ + 1 < kMaxRows) {
      ++row_;
      return;
    }
    for (u32 r = 0; r + 1 < kMaxRows; ++r) {
      for (u32 c = 0; c < kMaxColumns; ++c) cells_[r][c] = cells_[r + 1][c];
    }
    for (u32& cell : cells_[kMaxRows - 1]) cell = ' ';
  }

  u32 n_column_;
  bool wraps_at_once_;
  KeyEvent keys_[kMaxKeys];
  usize n_key_ = 0;
  usize next_key_ = 0;
  i64 interrupt_in_ = -1;
  char activities_[64] = {};
  usize n_activity_ = 0;
  u32 n_ctx_used_ = 0;
  u32 n_ctx_ = 0;
  bool has_rate_ = false;
  bool has_model_ = false;
  char output_[kMaxOutput];
  usize n_output_ = 0;
  u32 cells_[kMaxRows][kMaxColumns];
  u32 row_ = 0;
  u32 column_ = 0;
  bool must_wrap_ = false;
  bool used_last_column_ = false;
};

// A new console in static memory: it is too large for the stack that firmware gives. The one before
// it ends.
inline ScriptedConsole& new_console(u32 n_column = 80, bool wraps_at_once = true) {
  alignas(ScriptedConsole) static u8 memory[sizeof(ScriptedConsole)];
  return *new (PlaceAt{memory}) ScriptedConsole(n_column, wraps_at_once);
}

}  // namespace lbm::test
