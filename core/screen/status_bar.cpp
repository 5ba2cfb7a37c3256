// See status_bar.h.
#include "core/screen/status_bar.h"

#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr u32 kWarningPercent = 80;
constexpr u32 kAlarmPercent = 95;
constexpr u32 kMeterCells = 10;
constexpr u32 kGap = 3;                 // between two parts
constexpr Str kFull = "\xe2\x96\x88";   // U+2588, full block
constexpr Str kEmpty = "\xe2\x96\x91";  // U+2591, light shade

u32 text_width(Str text) {
  u32 width = 0;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    width += display_width(c.codepoint);
    text = text.from(c.n_byte);
  }
  return width;
}

// Writes `text` from `column` on, as far as the row goes. Returns the column behind it.
u32 put(Span<Cell> row, u32 column, Str text, Role role) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    text = text.from(c.n_byte);
    const u32 width = display_width(c.codepoint);
    if (width == 0) continue;
    if (column + width > row.size()) break;
    row[column] = {c.codepoint, 0, 0, width == 2 ? style::kWide : u8{0}, role};
    if (width == 2) row[column + 1] = {' ', 0, 0, style::kTail, role};
    column += width;
  }
  return column;
}

void clear(Span<Cell> row) {
  for (Cell& cell : row) cell = {' ', 0, 0, 0, Role::kBar};
}

// Copies as many whole characters as fit.
template <usize kSize>
void copy(Str text, char (&out)[kSize]) {
  usize n = 0;
  while (n < text.size()) {
    const Utf8Char c = decode_utf8(text.from(n));
    if (n + c.n_byte >= kSize) break;
    n += c.n_byte;
  }
  __builtin_memset(out, 0, kSize);
  __builtin_memcpy(out, text.data(), n);
}

// "1:models/SmolLM2.Q4_1.gguf" -> "SmolLM2.Q4_1"
Str short_name(Str path) {
  usize n_digit = 0;
  while (n_digit < path.size() && path[n_digit] >= '0' && path[n_digit] <= '9') ++n_digit;
  if (n_digit > 0 && path.from(n_digit).starts_with(":")) path = path.from(n_digit + 1);
  for (usize slash = path.find("/"); slash != Str::kNone; slash = path.find("/"))
    path = path.from(slash + 1);
  return path.ends_with(".gguf") ? path.first(path.size() - 5) : path;
}

u32 tenths(f64 value) { return value > 0 && value < 1e8 ? static_cast<u32>(value * 10 + 0.5) : 0; }

// A part of the right half of the bar.
struct Part {
  TextBuffer<64> text;
  Role role = Role::kBar;
  bool shown = false;

  template <class... Args>
  void print(Str pattern, const Args&... args) {
    text.print(pattern, args...);
    shown = true;
  }
};
// Of "2025-06-15T12:34:56".
Str hour_and_minute(Str clock) { return clock.size() >= 16 ? clock.slice(11, 5) : Str(); }

enum PartNumber : u32 { kContext, kMeter, kSpeed, kMemory, kTime, kPartCount };
// What goes first where the row is short.
constexpr PartNumber kDropOrder[] = {kMemory, kMeter, kSpeed, kTime, kContext};

u32 right_width(const Part (&parts)[kPartCount]) {
  u32 width = 1;  // the last cell stays free
  for (const Part& part : parts) {
    if (part.shown) width += text_width(part.text.text()) + kGap;
  }
  return width;
}

}  // namespace

bool StatusBar::set(const ConsoleStatus& status) {
  Shown next;
  copy(short_name(status.model), next.model);
  copy(status.activity, next.activity);
  copy(hour_and_minute(status.clock), next.clock);
  next.n_ctx_used = status.n_ctx_used;
  next.n_ctx = status.n_ctx;
  next.tenth_tok_s = tenths(status.tok_s);
  next.tenth_gib = tenths(static_cast<f64>(status.bytes_free) / static_cast<f64>(kGiB));
  const bool changed = __builtin_memcmp(&next, &shown_, sizeof(next)) != 0;
  shown_ = next;
  return changed;
}

bool StatusBar::set_clock(Str clock) {
  const Str next = hour_and_minute(clock);
  if (next == Str(shown_.clock)) return false;
  __builtin_memset(shown_.clock, 0, sizeof(shown_.clock));
  copy(next, shown_.clock);
  return true;
}

void StatusBar::compose(Span<Cell> row) const {
  clear(row);
  Part parts[kPartCount];
  if (shown_.n_ctx > 0) {
    const u64 percent = u64{shown_.n_ctx_used} * 100 / shown_.n_ctx;
    Role role = Role::kBar;
    if (percent >= kWarningPercent) role = Role::kBarWarning;
    if (percent >= kAlarmPercent) role = Role::kBarAlarm;
    parts[kContext].print("ctx {}/{}", shown_.n_ctx_used, shown_.n_ctx);
    const u64 n_full = percent >= 100 ? kMeterCells : (percent * kMeterCells + 50) / 100;
    for (u32 i = 0; i < kMeterCells; ++i) parts[kMeter].print(i < n_full ? kFull : kEmpty);
    parts[kMeter].print(" {}%", percent);
    parts[kContext].role = role;
    parts[kMeter].role = role;
  }
  if (shown_.tenth_tok_s > 0)
    parts[kSpeed].print("{}.{} tok/s", shown_.tenth_tok_s / 10, shown_.tenth_tok_s % 10);
  if (shown_.tenth_gib > 0)
    parts[kMemory].print("{}.{} GiB free", shown_.tenth_gib / 10, shown_.tenth_gib % 10);
  if (shown_.clock[0] != 0) parts[kTime].print("{}", Str(shown_.clock));

  TextBuffer<kMaxModel + 4> model;
  model.print(" {} ", shown_.model[0] != 0 ? Str(shown_.model) : Str("no model"));
  TextBuffer<24> activity;
  if (shown_.activity[0] != 0) activity.print(" {} ", Str(shown_.activity));

  const u32 left = text_width(model.text()) + text_width(activity.text());
  for (const PartNumber dropped : kDropOrder) {
    if (left + right_width(parts) <= row.size()) break;
    // The numbers of the context matter more than the end of a name.
    if (dropped == kContext && right_width(parts) + 12 <= row.size()) break;
    parts[dropped].shown = false;
  }
  const u32 right = right_width(parts);
  u32 column = static_cast<u32>(row.size()) > right ? static_cast<u32>(row.size()) - right : 0;
  const u32 room = column;
  const u32 after_model = put(row.first(room), 0, model.text(), Role::kBar);
  put(row.first(room), after_model, activity.text(), Role::kBarStrong);
  for (const Part& part : parts) {
    if (!part.shown) continue;
    const u32 first = column + kGap;
    column = put(row, first, part.text.text(), part.role);
    // A meter of the warning's dark on its light colour would look like a hole in the bar.
    if (&part != &parts[kMeter] || part.role == Role::kBar) continue;
    if (first + kMeterCells > row.size()) continue;
    for (Cell& cell : row.slice(first, kMeterCells)) cell.style = style::kReverse;
  }
}

void KeyBar::set_notice(Str text) {
  copy(text, notice_);
  n_notice_ = static_cast<u32>(Str(notice_).size());
}

void KeyBar::compose(Span<Cell> row, u64 n_line_below) const {
  clear(row);
  if (n_notice_ > 0) {
    const u32 end = put(row, 1, Str(notice_, n_notice_), Role::kBarStrong);
    row[0].role = Role::kBarStrong;
    if (end < row.size()) row[end].role = Role::kBarStrong;
    return;
  }
  if (n_line_below > 0) {
    TextBuffer<96> text;
    text.print(" {} {} below; PgDn, or any other key to return ", n_line_below,
               n_line_below == 1 ? "line" : "lines");
    put(row, 0, text.text(), Role::kBarStrong);
    return;
  }
  struct Entry {
    Str key;
    Str what;
    bool is_extra = false;  // only where there is room for all
    [[nodiscard]] u32 width() const { return static_cast<u32>(key.size() + what.size()) + 5; }
  };
  static constexpr Entry kKeys[] = {
      {"F1", "Help"},     {"F2", "Model"},         {"F3", "System", true},
      {"F4", "Font"},     {"F5", "Context", true}, {"F9", "Save"},
      {"F10", "Picture"}, {"Esc", "Stop"},         {"PgUp", "Back"}};
  u32 all = 1;
  for (const Entry& key : kKeys) all += key.width();
  u32 column = 1;
  for (const Entry& key : kKeys) {
    if (key.is_extra && all > row.size()) continue;
    if (column + key.width() - 1 > row.size()) break;
    column = put(row, column, " ", Role::kBarStrong);
    column = put(row, column, key.key, Role::kBarStrong);
    column = put(row, column, " ", Role::kBarStrong);
    column = put(row, column, " ", Role::kBar);
    column = put(row, column, key.what, Role::kBar) + 2;
  }
}

}  // namespace lbm
