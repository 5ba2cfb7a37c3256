// What a person or a file on the stick can feed the chat: repl.cfg, a text file for /read, and keys
// to the line editor with its painter.
#include "core/base/utf8.h"
#include "core/chat/commands.h"
#include "core/chat/line_painter.h"
#include "core/chat/settings.h"
#include "core/chat/text_file.h"

namespace {

using namespace lbm;

class NoConsole final : public Console {
 public:
  explicit NoConsole(u32 n_column) : n_column_(n_column) {}
  void write(Str) override {}
  KeyEvent poll_key() override { return {}; }
  KeyEvent wait_key() override { return {}; }
  [[nodiscard]] u32 n_column() const override { return n_column_; }
  bool take_interrupt() override { return false; }

 private:
  u32 n_column_;
};

// One byte is one key: most are characters, some of them wide, the rest is everything else on the
// keyboard.
KeyEvent key_of(u8 byte) {
  if (byte >= 0x80) return {Key::kChar, byte < 0xC0 ? 0x4E00u + byte : 0x300u + (byte & 0x3Fu)};
  if (byte >= 0x20) return {Key::kChar, byte};
  const u32 n_plain = static_cast<u32>(Key::kPageDown) + 1;
  if (byte < n_plain) return {static_cast<Key>(byte), 'x'};
  return {Key::kCtrl, 'a' + static_cast<u32>(byte)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Str text(Span<const u8>(data, size));
  static Settings settings;
  settings.reset();
  (void)settings.read_config(text, nullptr);
  (void)nearest_setting(text);
  (void)why_retired(text);
  static char decoded[1 << 20];
  if (text_capacity(size) <= sizeof(decoded)) {
    const Result<Str> as_text = decode_text({data, size}, decoded);
    if (as_text.ok()) LBM_CHECK(is_valid_utf8(as_text.value()));
  }
  const InputLine input = parse_input(text);
  (void)find_command(input.name);
  (void)nearest_command(input.name);

  static char line[300];
  static char draft[300];
  static char kept[400];
  InputHistory history(kept);
  LineEditor editor(line, draft, history);
  editor.start();
  NoConsole console(size > 0 ? 20 + data[0] % 60 : 80);
  LinePainter painter(console);
  painter.start("You: ");
  for (size_t i = 0; i < size; ++i) {
    const LineEditor::Action action = editor.on_key(key_of(data[i]));
    if (action == LineEditor::Action::kSubmit) {
      painter.finish(editor);
      history.add(editor.text());
      (void)strip_input_marks(editor.mutable_text());
      editor.start();
      painter.start("You: ");
    } else if (action == LineEditor::Action::kRedraw) {
      painter.redraw(editor);
    } else {
      painter.update(editor);
    }
    LBM_CHECK(editor.cursor() <= editor.text().size());
    LBM_CHECK(is_valid_utf8(editor.text()));
  }
  painter.finish(editor);
  return 0;
}
