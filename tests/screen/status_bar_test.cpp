// The bars above and below the text.
#include "core/screen/status_bar.h"

#include "core/base/utf8.h"
#include "tests/test.h"

namespace {

using namespace lbm;

struct Row {
  Cell cells[160];
  char text[640] = {};

  Str show(u32 n_column) {
    usize n = 0;
    for (u32 i = 0; i < n_column; ++i) {
      if ((cells[i].style & style::kTail) != 0) continue;
      char bytes[4];
      const u32 n_byte = encode_utf8(cells[i].codepoint, bytes);
      __builtin_memcpy(text + n, bytes, n_byte);
      n += n_byte;
    }
    return {text, n};
  }
  Str of(const StatusBar& bar, u32 n_column) {
    bar.compose(Span<Cell>(cells, n_column));
    return show(n_column);
  }
  Str of(const KeyBar& bar, u32 n_column, u64 n_below = 0) {
    bar.compose(Span<Cell>(cells, n_column), n_below);
    return show(n_column);
  }
  // The role of the first cell that shows `character`.
  Role role_of(u32 character) const {
    for (const Cell& cell : cells) {
      if (cell.codepoint == character) return cell.role;
    }
    return Role::kText;
  }
};

ConsoleStatus status() {
  ConsoleStatus out;
  out.model = "models/SmolLM2-135M-Instruct.Q4_1.gguf";
  out.n_ctx_used = 812;
  out.n_ctx = 2048;
  out.tok_s = 23.44;
  out.bytes_free = 5 * kGiB + kGiB / 10;
  out.clock = "2025-06-15T12:34:56";
  return out;
}

}  // namespace

TEST_CASE("the status bar says everything where there is room", "[screen]") {
  StatusBar bar;
  ConsoleStatus shown = status();
  shown.activity = "answering";
  CHECK(bar.set(shown));
  CHECK(!bar.set(shown));
  Row row;
  const Str text = row.of(bar, 130);
  CHECK(text.starts_with(" SmolLM2-135M-Instruct.Q4_1  answering  "));
  CHECK(
      text.contains("ctx 812/2048   \xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"
                    "\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91"
                    " 39%"));
  CHECK(text.ends_with("23.4 tok/s   5.1 GiB free   12:34 "));
  CHECK(row.role_of('/') == Role::kBar);
}

TEST_CASE("a full context is marked", "[screen]") {
  StatusBar bar;
  ConsoleStatus shown = status();
  Row row;
  shown.n_ctx_used = 1638;  // 79 %
  (void)bar.set(shown);
  (void)row.of(bar, 120);
  CHECK(row.role_of('/') == Role::kBar);
  shown.n_ctx_used = 1741;
  (void)bar.set(shown);
  CHECK(row.of(bar, 120).contains("85%"));
  for (const Cell& cell : row.cells) {
    const bool is_meter = cell.codepoint == 0x2588 || cell.codepoint == 0x2591;
    CHECK(is_meter == ((cell.style & style::kReverse) != 0));
  }
  CHECK(row.role_of('/') == Role::kBarWarning);
  shown.n_ctx_used = 2048;
  (void)bar.set(shown);
  CHECK(row.of(bar, 120).contains("100%"));
  CHECK(row.role_of('/') == Role::kBarAlarm);
  shown.n_ctx_used = ~0u;  // nonsense stays on the bar
  shown.tok_s = 1e300;
  (void)bar.set(shown);
  (void)row.of(bar, 120);
}

TEST_CASE("a narrow bar drops the lesser things", "[screen]") {
  StatusBar bar;
  (void)bar.set(status());
  Row row;
  const Str at_80 = row.of(bar, 80);
  CHECK(at_80.contains("ctx 812/2048"));
  CHECK(at_80.contains("23.4 tok/s"));
  CHECK(at_80.contains("12:34"));
  CHECK(!at_80.contains("GiB"));
  CHECK(row.of(bar, 50).contains("ctx 812/2048"));
  CHECK(row.of(bar, 30).contains("ctx 812/2048"));
  ConsoleStatus full = status();
  full.n_ctx_used = full.n_ctx;
  for (const ConsoleStatus& shown : {status(), full}) {
    (void)bar.set(shown);
    for (u32 n_column = 20; n_column <= 160; ++n_column) {
      (void)row.of(bar, n_column);
      CHECK(row.cells[n_column - 1].role != Role::kText);
    }
  }
}

TEST_CASE("the name of the model is short", "[screen]") {
  StatusBar bar;
  Row row;
  ConsoleStatus shown;
  shown.model = "12:a/b/c.gguf";
  (void)bar.set(shown);
  CHECK(row.of(bar, 40).trimmed() == "c");
  shown.model = "7";
  (void)bar.set(shown);
  CHECK(row.of(bar, 40).trimmed() == "7");
  shown.model =
      "a-very-long-name-of-a-model-that-nobody-will-ever-read-to-its-end-\xc3\xa4\xc3\xa4.bin";
  (void)bar.set(shown);
  CHECK(row.of(bar, 40).starts_with(" a-very-long-name"));
}

TEST_CASE("the clock alone goes on, from minute to minute", "[screen]") {
  StatusBar bar;
  Row row;
  (void)bar.set(status());
  CHECK(!bar.set_clock("2025-06-15T12:34:59"));
  CHECK(bar.set_clock("2025-06-15T12:35:00"));
  CHECK(row.of(bar, 120).trimmed().ends_with("12:35"));
  CHECK(row.of(bar, 120).contains("812/2048"));
  CHECK(bar.set_clock({}));
  CHECK(!row.of(bar, 120).contains(":3"));
  ConsoleStatus same = status();
  same.clock = {};
  CHECK(!bar.set(same));  // as if it had been set whole
}

TEST_CASE("without a model the bar says so", "[screen]") {
  StatusBar bar;
  Row row;
  CHECK(row.of(bar, 40).starts_with(" no model "));
  ConsoleStatus shown;
  shown.clock = "nonsense";
  (void)bar.set(shown);
  CHECK(Str(row.of(bar, 40)).trimmed() == "no model");
}

TEST_CASE("the key bar", "[screen]") {
  KeyBar bar;
  Row row;
  const Str keys = row.of(bar, 100);
  CHECK(keys.contains("F1"));
  CHECK(keys.contains("F10"));
  CHECK(keys.contains("Esc"));
  CHECK(keys.contains("Stop"));
  CHECK(!keys.contains("System"));
  CHECK(row.of(bar, 130).contains("System"));
  CHECK(row.of(bar, 80).contains("Stop"));
  CHECK(row.of(bar, 24).contains("F1"));
  CHECK(row.of(bar, 80, 12).contains("12 lines below"));
  CHECK(row.of(bar, 80, 1).contains("1 line below"));
  bar.set_notice("saved as lbm/screen-1.png");
  CHECK(bar.has_notice());
  CHECK(row.of(bar, 80, 12).trimmed() == "saved as lbm/screen-1.png");
  bar.clear_notice();
  CHECK(row.of(bar, 80).contains("F1"));
}
