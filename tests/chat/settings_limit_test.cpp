// The settings at their limits, and every way in which a line of repl.cfg can be wrong.
#include "core/chat/settings.h"
#include "tests/test.h"

using namespace lbm;

namespace {

// The one bad line of a config.
class OneBadLine final : public ConfigObserver {
 public:
  void on_bad_line(u32 line_number, const Error& what) override {
    ++n;
    line = line_number;
    error = what;
  }
  u32 n = 0;
  u32 line = 0;
  Error error;
};

// The error of `line` in a config; kOk where there is none. The lines around it count all the same.
Error error_of(Settings& settings, Str line) {
  static TextBuffer<8300> text;
  text.clear();
  text.append("top_p=0.25\n").append(line).append("\nmin_p=0.75");
  OneBadLine bad;
  const u32 n_bad = settings.read_config(text.text(), &bad);
  CHECK(settings.real(Setting::kTopP) == 0.25);
  CHECK(settings.real(Setting::kMinP) == 0.75);
  CHECK(bad.n <= 1);
  CHECK(n_bad == bad.n);
  CHECK((bad.n == 0 || bad.line == 2));
  return bad.error;
}

bool refuses(Str line, ErrorCode code, Str what, Str subject) {
  Settings settings;
  const Error error = error_of(settings, line);
  return error.code == code && Str(error.what) == what && error.subject_text() == subject;
}

bool reads_system(Str line, Str expected) {
  Settings settings;
  return error_of(settings, line).code == ErrorCode::kOk &&
         settings.text(Setting::kSystem) == expected;
}

}  // namespace

TEST_CASE("settings: every number at the limits of its row", "[chat]") {
  constexpr f64 kExact = 9007199254740992.0;  // 2^53
  for (u32 i = 0; i < kSettingCount; ++i) {
    const SettingInfo& info = setting_info(static_cast<Setting>(i));
    const bool whole = info.type == SettingType::kInteger;
    if (!whole && info.type != SettingType::kReal) continue;
    const f64 step = whole ? 1 : 0.001;
    const f64 values[] = {info.low - step, info.low, info.high, info.high + step};
    for (u32 k = 0; k < 4; ++k) {
      if (values[k] >= kExact) continue;
      TextBuffer<40> text;
      if (whole) {
        text.print("{}", static_cast<i64>(values[k]));
      } else {
        text.print("{:.4}", values[k]);
      }
      Settings settings;
      const Status status = settings.set(info.key, text.text());
      const bool within = k == 1 || k == 2;
      CHECK(status.ok() == within);
      if (within) {
        CHECK((whole ? static_cast<f64>(settings.integer(info.id)) : settings.real(info.id)) ==
              values[k]);
        continue;
      }
      CHECK(status.error().code == ErrorCode::kBadValue);
      CHECK(Str(status.error().what) == "number out of range");
      CHECK(status.error().subject_text() == info.key);
    }
  }
}

TEST_CASE("settings: every text at the limits of its row", "[chat]") {
  static char text[Settings::kMaxTextBytes + 1];
  __builtin_memset(text, 'x', sizeof(text));
  for (u32 i = 0; i < kSettingCount; ++i) {
    const SettingInfo& info = setting_info(static_cast<Setting>(i));
    if (info.type != SettingType::kText) continue;
    const usize low = static_cast<usize>(info.low);
    const usize high = static_cast<usize>(info.high);
    Settings settings;
    CHECK(settings.set(info.key, Str(text, low)).ok());
    CHECK(settings.text(info.id).size() == low);
    CHECK(settings.set(info.key, Str(text, high)).ok());
    const Status longer = settings.set(info.key, Str(text, high + 1));
    REQUIRE(!longer.ok());
    CHECK(longer.error().code == ErrorCode::kLimit);
    CHECK(longer.error().value == high + 1);
    CHECK(longer.error().limit == high);
    if (low > 0) {
      const Status shorter = settings.set(info.key, Str(text, low - 1));
      REQUIRE(!shorter.ok());
      CHECK(shorter.error().code == ErrorCode::kBadValue);
      CHECK(Str(shorter.error().what) == "needs a value");
    }
    CHECK(settings.text(info.id) == Str(text, high));
  }
}

TEST_CASE("settings: words for numbers, flags and choices", "[chat]") {
  Settings settings;
  REQUIRE(settings.set("ctx", "512").ok());
  REQUIRE(settings.set("ctx", "auto").ok());
  CHECK(settings.integer(Setting::kContext) == 0);
  CHECK(Str(settings.set("batch", "auto").error().what) == "needs a whole number");
  CHECK(Str(settings.set("temp", "auto").error().what) == "needs a number");
  CHECK(Str(settings.set("stats", "maybe").error().what) == "is 1 or 0 (on, off, yes, no)");
  CHECK(Str(settings.set("kv", "f16 f32").error().what) == "is not one of the choices");
  CHECK(settings.set(" temp ", " 0.5 ").ok());
  CHECK(settings.real(Setting::kTemperature) == 0.5);
  REQUIRE(settings.set("seed", "-1").ok());
  CHECK(settings.sampler_params().seed == 0);  // the caller draws one
  const char* const on[] = {"1", "true", "on", "yes"};
  const char* const off[] = {"0", "false", "off", "no"};
  for (u32 i = 0; i < 4; ++i) {
    REQUIRE(settings.set("digest", on[i]).ok());
    CHECK(settings.flag(Setting::kDigest));
    REQUIRE(settings.set("digest", off[i]).ok());
    CHECK(!settings.flag(Setting::kDigest));
  }
}

TEST_CASE("repl.cfg: quotes", "[chat]") {
  CHECK(reads_system("system=\"a # b\"", "a # b"));
  CHECK(reads_system("system=' a; b '", " a; b "));
  CHECK(reads_system("system 'a' # c", "a"));
  CHECK(reads_system("system \"a\" ; c", "a"));
  CHECK(reads_system("system = \"\"", ""));
  CHECK(reads_system("system=\"\\n\\t\\\"\\\\\\q'\"", "\n\t\"\\q'"));
  CHECK(reads_system("system='\\n\"'", "\\n\""));  // no escapes in single ones
  CHECK(reads_system("system=a 'b' \"c\"", "a 'b' \"c\""));
  CHECK(reads_system("system=C# is # a language", "C# is"));
  CHECK(reads_system("system=# nothing", ""));
  CHECK(reads_system("SYSTEM-prompt=a", "a"));
  constexpr const char* kOpen[] = {"system=\"",      "system='",    "system=\"a\\",
                                   "system=\"a\\\"", "system='a\"", "system=\"a'"};
  for (const char* line : kOpen) {
    CHECK(refuses(line, ErrorCode::kBadSyntax, "no closing quote", "system"));
  }
  constexpr const char* kBehind[] = {"system=\"a\"b", "system='a' b", "system='a' ' # c",
                                     "system=\"a\" / c"};
  for (const char* line : kBehind) {
    CHECK(refuses(line, ErrorCode::kBadSyntax, "text after the closing quote", "system"));
  }
}

TEST_CASE("repl.cfg: a quoted text at its limit", "[chat]") {
  static char line[Settings::kMaxTextBytes + 32];
  for (const usize n : {Settings::kMaxTextBytes, Settings::kMaxTextBytes + 1}) {
    TextWriter out(line);
    out.append("system=\"");
    for (usize i = 0; i < n; ++i) out.append("x");
    out.append("\"");
    Settings settings;
    const Error error = error_of(settings, out.text());
    if (n == Settings::kMaxTextBytes) {
      CHECK(error.code == ErrorCode::kOk);
      CHECK(settings.text(Setting::kSystem).size() == n);
    } else {
      CHECK(error.code == ErrorCode::kLimit);
      CHECK(error.subject_text() == "system");
      CHECK(error.limit == Settings::kMaxTextBytes);
      CHECK(settings.text(Setting::kSystem).empty());
    }
  }
}

TEST_CASE("repl.cfg: lines that are no setting", "[chat]") {
  constexpr const char* kLines[] = {"=4",     "= 4",   "seed",       "seed;1",
                                    "temp:1", "seed+", "\"seed\"=1", "[section]"};
  for (const char* line : kLines) {
    CHECK(refuses(line, ErrorCode::kBadSyntax, "is not key=value", line));
  }
  // Shown without what a console might take for more than text.
  CHECK(refuses("\xFF=1", ErrorCode::kBadSyntax, "is not key=value", "?=1"));
  CHECK(refuses("seed\x01=1", ErrorCode::kBadSyntax, "is not key=value", "seed?=1"));
  CHECK(refuses("no.such-KEY_9=1", ErrorCode::kNotFound, "no such setting", "no.such-KEY_9"));
  CHECK(refuses("seed=", ErrorCode::kBadValue, "needs a whole number", "seed"));
  CHECK(refuses("seed =# 4", ErrorCode::kBadValue, "needs a whole number", "seed"));
}
