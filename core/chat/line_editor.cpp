// See line_editor.h.
#include "core/chat/line_editor.h"

#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr Str kBlockMark = "\"\"\"";

bool is_continuation_byte(char c) { return (static_cast<u8>(c) & 0xC0) == 0x80; }

usize count_end_backslashes(Str text) {
  usize n = 0;
  while (n < text.size() && text[text.size() - 1 - n] == '\\') ++n;
  return n;
}

u32 width_at(Str text, usize position) {
  return display_width(decode_utf8(text.from(position)).codepoint);
}

}  // namespace

bool needs_more_input(Str text) {
  if (count_end_backslashes(text) % 2 == 1) return true;
  // Elsewhere """ is text: a question about Python must not hang.
  if (!text.starts_with(kBlockMark) && !text.starts_with("/")) return false;
  u32 n_mark = 0;
  for (usize i = text.find(kBlockMark); i != Str::kNone;
       i = text.find(kBlockMark, i + kBlockMark.size()))
    ++n_mark;
  return n_mark % 2 == 1;
}

Str strip_input_marks(Span<char> bytes) {
  const Str text(bytes.data(), bytes.size());
  const usize n_mark = kBlockMark.size();
  const Str outside = text.trimmed();
  if (outside.size() >= 2 * n_mark && outside.starts_with(kBlockMark) &&
      outside.ends_with(kBlockMark)) {
    return outside.slice(n_mark, outside.size() - 2 * n_mark).trimmed();
  }
  return count_end_backslashes(text) >= 2 ? text.first(text.size() - 1) : text;
}

LineEditor::LineEditor(Span<char> text, Span<char> draft, InputHistory& history)
    : text_(text), draft_(draft), history_(history) {
  LBM_CHECK(draft.size() >= text.size());
}

void LineEditor::start() {
  size_ = 0;
  cursor_ = 0;
  n_draft_ = 0;
  shown_age_ = 0;
  was_cut_ = false;
  change_ = Change::kEdit;
  changed_from_ = 0;
}

void LineEditor::touch(usize position) {
  if (position < changed_from_) changed_from_ = position;
}

LineEditor::Action LineEditor::on_key(KeyEvent key) {
  change_ = Change::kNone;
  changed_from_ = ~usize{0};
  switch (key.key) {
    case Key::kChar: type(key.codepoint); break;
    case Key::kCtrl: return on_control(key.codepoint);
    case Key::kEnter: return on_enter();
    case Key::kTab: return Action::kComplete;
    case Key::kBackspace: erase(before(cursor_), cursor_); break;
    case Key::kDelete:
      if (cursor_ == size_) {
        erase(before(cursor_), cursor_);
      } else {
        erase(cursor_, after(cursor_));
      }
      break;
    case Key::kLeft: move_to(before(cursor_)); break;
    case Key::kRight: move_to(after(cursor_)); break;
    case Key::kHome: move_to(line_start(cursor_)); break;
    case Key::kEnd: move_to(line_end(cursor_)); break;
    case Key::kUp: up(); break;
    case Key::kDown: down(); break;
    default: break;  // Esc too: a terminal's stray escape must not cost a text
  }
  return Action::kNone;
}

LineEditor::Action LineEditor::on_control(u32 letter) {
  switch (letter) {
    case 'a': move_to(line_start(cursor_)); break;
    case 'e': move_to(line_end(cursor_)); break;
    case 'b': move_to(before(cursor_)); break;
    case 'f': move_to(after(cursor_)); break;
    case 'p': up(); break;
    case 'n': down(); break;
    case 'h': erase(before(cursor_), cursor_); break;
    case 'j': insert("\n"); break;
    case 'l': return Action::kRedraw;
    case 'u': erase(line_start(cursor_), cursor_); break;
    case 'k': {
      const usize end = line_end(cursor_);
      erase(cursor_,
            end == cursor_ ? after(cursor_) : end);  // at the end of a line: joins the next
      break;
    }
    case 'w': {
      usize from = cursor_;
      while (from > 0 && Str::is_space(text_[from - 1])) --from;
      while (from > 0 && !Str::is_space(text_[from - 1])) --from;
      erase(from, cursor_);
      break;
    }
    case 'c': return Action::kInterrupt;
    case 'd':
      if (size_ == 0) return Action::kEndOfInput;
      erase(cursor_, after(cursor_));
      break;
    default: break;
  }
  return Action::kNone;
}

LineEditor::Action LineEditor::on_enter() {
  if (!needs_more_input(text())) {
    move_to(size_);
    return Action::kSubmit;
  }
  move_to(size_);
  if (count_end_backslashes(text()) % 2 == 1) erase(size_ - 1, size_);
  insert("\n");
  return Action::kNone;
}

void LineEditor::type(u32 codepoint) {
  const bool is_control = codepoint < 0x20 || (codepoint >= 0x7F && codepoint <= 0x9F);
  if (is_control) return;
  char bytes[4];
  const u32 n = encode_utf8(codepoint, bytes);
  insert({bytes, n});
}

void LineEditor::insert(Str text) {
  if (text.size() > text_.size() - size_) {
    was_cut_ = true;
    return;
  }
  if (text.empty()) return;
  // After a move or an erasure by the same key it is an edit to a painter: the cursor stood
  // elsewhere.
  const bool is_append = cursor_ == size_ && change_ == Change::kNone;
  touch(cursor_);
  __builtin_memmove(text_.data() + cursor_ + text.size(), text_.data() + cursor_, size_ - cursor_);
  __builtin_memcpy(text_.data() + cursor_, text.data(), text.size());
  size_ += text.size();
  cursor_ += text.size();
  n_appended_ = text.size();
  change_ = is_append ? Change::kAppend : Change::kEdit;
}

void LineEditor::replace_before_cursor(usize from, Str with) {
  LBM_CHECK(from <= cursor_);
  erase(from, cursor_);
  insert(with);
}

void LineEditor::erase(usize from, usize to) {
  if (from >= to) return;
  touch(from);
  __builtin_memmove(text_.data() + from, text_.data() + to, size_ - to);
  size_ -= to - from;
  cursor_ = from;
  change_ = Change::kEdit;
}

void LineEditor::move_to(usize position) {
  if (position == cursor_) return;
  cursor_ = position;
  if (change_ == Change::kNone) change_ = Change::kMove;
}

// Start of the character before `position`, with the combining marks that stand on it.
usize LineEditor::before(usize position) const {
  while (position > 0) {
    --position;
    while (position > 0 && is_continuation_byte(text_[position])) --position;
    if (text_[position] == '\n' || width_at(text(), position) > 0) break;
  }
  return position;
}

usize LineEditor::after(usize position) const {
  if (position == size_) return position;
  const bool was_newline = text_[position] == '\n';
  position += decode_utf8(text().from(position)).n_byte;
  while (!was_newline && position < size_ && text_[position] != '\n' &&
         width_at(text(), position) == 0) {
    position += decode_utf8(text().from(position)).n_byte;
  }
  return position;
}

usize LineEditor::line_start(usize position) const {
  while (position > 0 && text_[position - 1] != '\n') --position;
  return position;
}

usize LineEditor::line_end(usize position) const {
  while (position < size_ && text_[position] != '\n') ++position;
  return position;
}

// The place in the line at `to_line` that is as many characters from its start as `position` is
// from `from_line`.
usize LineEditor::same_column(usize from_line, usize position, usize to_line) const {
  const usize end = line_end(to_line);
  while (from_line < position && to_line < end) {
    from_line = after(from_line);
    to_line = after(to_line);
  }
  return to_line;
}

void LineEditor::up() {
  const usize line = line_start(cursor_);
  if (line > 0) {
    move_to(same_column(line, cursor_, line_start(line - 1)));
  } else if (shown_age_ < history_.size()) {
    show_history(shown_age_ + 1);
  }
}

void LineEditor::down() {
  const usize end = line_end(cursor_);
  if (end < size_) {
    move_to(same_column(line_start(cursor_), cursor_, end + 1));
  } else if (shown_age_ > 0) {
    show_history(shown_age_ - 1);
  }
}

void LineEditor::show_history(u32 age) {
  if (shown_age_ == 0) {
    n_draft_ = size_;
    __builtin_memcpy(draft_.data(), text_.data(), size_);
  }
  shown_age_ = age;
  set_text(age == 0 ? Str(draft_.data(), n_draft_) : history_.at(age - 1));
}

void LineEditor::set_text(Str text) {
  const usize n = text.size() < text_.size() ? text.size() : text_.size();
  __builtin_memcpy(text_.data(), text.data(), n);
  size_ = n;
  cursor_ = n;
  change_ = Change::kEdit;
  changed_from_ = 0;
}

}  // namespace lbm
