// Choosing a model by keys. See repl_state.h.
//
// The list is printed once; the choice is one row below it that is drawn over by '\r', as the line
// editor does it (line_painter.h), so that the menu is the same on a screen and on a serial line.
#include "core/base/arith.h"
#include "core/chat/kept_state.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

class MenuRow {
 public:
  explicit MenuRow(Console& console) : console_(console) {}

  void draw(Str text) {
    TextBuffer<320> row;
    // Never into the last column: the line would move on, and '\r' would not come back to it.
    const u32 n_column = min_u32(console_.n_column() - 1, 300);
    row.append(text.first(static_cast<usize>(min_u64(text.size(), n_column))));
    const usize n_text = row.text().size();
    while (row.text().size() < n_last_ && row.text().size() < n_column) row.append(" ");
    n_last_ = n_text;
    console_.write("\r");
    write_printable(console_, row.text());
  }
  void end() { console_.write("\n"); }

 private:
  Console& console_;
  usize n_last_ = 0;  // columns that the last text took
};

bool is_digit(KeyEvent key) {
  return key.key == Key::kChar && key.codepoint >= '0' && key.codepoint <= '9';
}

}  // namespace

// The index of the model that was loaded last; of the first one where that is not known or not
// there any more.
u32 Repl::last_model() const {
  const Str last = kept_ != nullptr ? kept_->last_model() : Str();
  for (u32 i = 0; i < catalog_.size() && !last.empty(); ++i) {
    TextBuffer<FileEntry::kMaxPath + 16> label;
    if (file_label(catalog_.at(i), label) == last) return i;
  }
  return 0;
}

// At start, when several models are there: the one of the last time is under the cursor, and is
// what the countdown takes. False: none is wanted.
bool Repl::choose_from_menu(u32& index) {
  index = 0;
  list_models();
  if (!settings_.flag(Setting::kModelPicker) || !host_.script().text.empty()) {
    out_.line(
        "Several models are there and none is named (model= in repl.cfg): the first is taken.");
    return true;
  }
  index = last_model();
  return run_menu(index, static_cast<u64>(settings_.integer(Setting::kPickerTimeout)) * 1'000'000);
}

// Begins at `index`, and takes it when `timeout_us` (0: never) pass without a key. Digits choose by
// number. False: none is wanted.
bool Repl::run_menu(u32& index, u64 timeout_us) {
  const u32 n_model = catalog_.size();
  MenuRow row(console_);
  u64 number = 0;      // as far as it was typed
  u64 shown_s = 0;     // the seconds that the row shows
  bool is_due = true;  // to be drawn
  const u64 start_us = host_.clock().now_us();
  for (;;) {
    const u64 waited_us = host_.clock().now_us() - start_us;
    if (timeout_us != 0 && waited_us >= timeout_us) break;
    const u64 left_s = timeout_us == 0 ? 0 : (timeout_us - waited_us + 999'999) / 1'000'000;
    if (is_due || left_s != shown_s) {
      TextBuffer<FileEntry::kMaxPath + 120> text;
      TextBuffer<FileEntry::kMaxPath + 16> label;
      if (number > n_model) {
        text.print("There is no model {}; 1 to {}: ", number, n_model);
      } else {
        text.print("> {} of {}: {}", index + 1, n_model, file_label(catalog_.at(index), label));
        text.append("  (arrows or number; Enter loads it, Esc none");
        if (timeout_us != 0) text.print("; {} s", left_s);
        text.append(") ");
      }
      row.draw(text.text());
      shown_s = left_s;
      is_due = false;
    }
    const KeyEvent key = timeout_us != 0 ? console_.poll_key() : console_.wait_key();
    if (timeout_us != 0 && key.key == Key::kNone) {
      host_.idle();
      continue;
    }
    timeout_us = 0;  // somebody is there
    is_due = true;
    if (is_digit(key)) {
      number = number < 1000 ? number * 10 + (key.codepoint - '0') : number;
      if (number >= 1 && number <= n_model) index = static_cast<u32>(number - 1);
      continue;
    }
    if (key.key == Key::kEscape || (key.key == Key::kCtrl && key.codepoint == 'c')) {
      row.end();
      return false;
    }
    const bool is_chosen = key.key == Key::kEnter || key.key == Key::kNone;
    if (is_chosen && number <= n_model) break;
    number = 0;
    if (key.key == Key::kUp) index = (index + n_model - 1) % n_model;
    if (key.key == Key::kDown) index = (index + 1) % n_model;
    if (key.key == Key::kHome) index = 0;
    if (key.key == Key::kEnd) index = n_model - 1;
    if (key.key == Key::kNone) break;  // the input has ended
  }
  row.end();
  return true;
}

// F2, and /model without a name where keys can choose.
void Repl::pick_model() {
  catalog_.refresh(host_.volume());
  if (catalog_.size() == 0) {
    out_.line("No model was found. Looked for .gguf files in {}.", host_.model_places());
    return;
  }
  list_models();
  u32 index = 0;
  for (u32 i = 0; i < catalog_.size(); ++i) {
    if (is_loaded(catalog_.at(i))) index = i;
  }
  if (run_menu(index, 0)) switch_to(catalog_.at(index));
}

}  // namespace lbm
