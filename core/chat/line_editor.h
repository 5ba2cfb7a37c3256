// The line editor: keys in, a text with a cursor out. It draws nothing; LinePainter
// (line_painter.h) or a cell grid does.
//
//   Left Right Ctrl-B Ctrl-F   by character (combining marks go with their base)
//   Home End Ctrl-A Ctrl-E     ends of the line
//   Up Down Ctrl-P Ctrl-N      lines of the text, then the history
//   Backspace Ctrl-H           deletes backward
//   Delete                     deletes forward; at the end of the text backward: serial terminals
//                              send 0x7f for Backspace, which firmware reports as Delete
//   Ctrl-U Ctrl-K Ctrl-W       delete to the start, to the end, the word before the cursor
//   Ctrl-J                     a new line in the text
//   Enter                      submits, or begins a new line while needs_more_input()
//   Tab Ctrl-L                 kComplete, kRedraw
//   Ctrl-C Ctrl-D              kInterrupt; kEndOfInput at an empty line, else as Delete
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/chat/input_history.h"
#include "core/platform.h"

namespace lbm {

// True while `text` asks for another line: it ends in an odd number of backslashes, or it starts
// with """ or with a slash and has an odd number of """.
[[nodiscard]] bool needs_more_input(Str text);
// Removes the marks of multi-line input from a finished text, in place: the """ around it, and one
// of two backslashes at its end.
[[nodiscard]] Str strip_input_marks(Span<char> text);

class LineEditor {
 public:
  enum class Action : u8 { kNone, kSubmit, kComplete, kInterrupt, kEndOfInput, kRedraw };
  // What the last key did to the text, so that a painter can do less than everything.
  enum class Change : u8 { kNone, kAppend, kMove, kEdit };

  // `text` and `draft` are of one size and outlive the editor; `draft` keeps an unfinished text
  // while the history is shown.
  LineEditor(Span<char> text, Span<char> draft, InputHistory& history);

  // Begins an empty line.
  void start();
  Action on_key(KeyEvent key);
  // Types `text` at the cursor; what does not fit sets was_cut().
  void insert(Str text);
  // Replaces the bytes from `from` to the cursor: completion.
  void replace_before_cursor(usize from, Str with);

  [[nodiscard]] Str text() const { return {text_.data(), size_}; }
  [[nodiscard]] Span<char> mutable_text() { return text_.first(size_); }
  [[nodiscard]] usize cursor() const { return cursor_; }
  [[nodiscard]] Change last_change() const { return change_; }
  // kAppend: how many bytes at the end are new.
  [[nodiscard]] usize n_appended() const { return n_appended_; }
  // Bytes before this position are what they were before the key.
  [[nodiscard]] usize changed_from() const { return changed_from_; }
  // True when something typed or pasted since start() did not fit.
  [[nodiscard]] bool was_cut() const { return was_cut_; }
  [[nodiscard]] usize capacity() const { return text_.size(); }

 private:
  Action on_control(u32 letter);
  Action on_enter();
  void type(u32 codepoint);
  void touch(usize position);
  void erase(usize from, usize to);
  void move_to(usize position);
  void show_history(u32 age);
  void set_text(Str text);
  void up();
  void down();
  [[nodiscard]] usize before(usize position) const;
  [[nodiscard]] usize after(usize position) const;
  [[nodiscard]] usize line_start(usize position) const;
  [[nodiscard]] usize line_end(usize position) const;
  [[nodiscard]] usize same_column(usize from_line, usize position, usize to_line) const;

  Span<char> text_;
  Span<char> draft_;
  InputHistory& history_;
  usize size_ = 0;
  usize cursor_ = 0;
  usize n_draft_ = 0;
  u32 shown_age_ = 0;  // 1 + age of the history line that is shown; 0: the text is new
  usize n_appended_ = 0;
  usize changed_from_ = 0;
  Change change_ = Change::kNone;
  bool was_cut_ = false;
};

}  // namespace lbm
