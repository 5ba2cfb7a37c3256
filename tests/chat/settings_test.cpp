// The settings: the table, what is accepted, and repl.cfg.
#include "core/chat/settings.h"

#include "core/base/pcg32.h"
#include "core/chat/nearest.h"
#include "tests/test.h"

using namespace lbm;

namespace {

// Keeps the lines that a config was told are bad.
class BadLines final : public ConfigObserver {
 public:
  void on_bad_line(u32 line, const Error& error) override {
    if (n < 16) {
      lines[n] = line;
      errors[n] = error;
    }
    ++n;
  }
  u32 n = 0;
  u32 lines[16] = {};
  Error errors[16];
};

class ConfigText final : public LineSink {
 public:
  void on_line(Str line) override {
    out.append(line);
    out.append("\n");
  }
  TextBuffer<16 * 1024> out;
};

Str shown(const Settings& settings, Setting id) {
  static char text[Settings::kShortTextBytes];
  return settings.show(id, text);
}

}  // namespace

TEST_CASE("settings: defaults are those of the sampler and the session", "[chat]") {
  const Settings settings;
  const SamplerParams sampler = settings.sampler_params();
  const SamplerParams standard;
  CHECK(sampler.temperature == standard.temperature);
  CHECK(sampler.top_k == standard.top_k);
  CHECK(sampler.top_p == standard.top_p);
  CHECK(sampler.min_p == standard.min_p);
  CHECK(sampler.repeat_penalty == standard.repeat_penalty);
  CHECK(sampler.repeat_last_n == standard.repeat_last_n);
  CHECK(sampler.seed == standard.seed);
  const SessionParams session = settings.session_params();
  CHECK(session.n_ctx == 0);
  CHECK(session.n_batch == SessionParams().n_batch);
  CHECK(session.kv == KvType::kF16);
  CHECK(settings.text(Setting::kIsa) == "auto");
  CHECK(settings.origin(Setting::kIsa) == Settings::Origin::kStandard);
}

TEST_CASE("settings: keys and aliases, in any case, with either dash", "[chat]") {
  Settings settings;
  REQUIRE(settings.set("temperature", "0.25").ok());
  CHECK(settings.real(Setting::kTemperature) == 0.25);
  REQUIRE(settings.set("TOP-K", " 7 ").ok());
  CHECK(settings.integer(Setting::kTopK) == 7);
  REQUIRE(settings.set("ctx_len", "2048").ok());
  CHECK(settings.session_params().n_ctx == 2048);
  REQUIRE(settings.set("stats", "off").ok());
  CHECK(!settings.flag(Setting::kStats));
  REQUIRE(settings.set("kv", "F32").ok());
  CHECK(settings.session_params().kv == KvType::kF32);
  CHECK(settings.text(Setting::kKv) == "f32");
  REQUIRE(settings.set("kv", "q8_0").ok());
  CHECK(settings.session_params().kv == KvType::kQ8_0);
  CHECK(settings.origin(Setting::kKv) == Settings::Origin::kCommand);
  // Every key and no alias is another setting's key.
  for (u32 i = 0; i < kSettingCount; ++i) {
    const SettingInfo& info = setting_info(static_cast<Setting>(i));
    REQUIRE(find_setting(info.key) != nullptr);
    CHECK(find_setting(info.key)->id == info.id);
  }
}

TEST_CASE("settings: a refused value leaves the setting as it was", "[chat]") {
  Settings settings;
  REQUIRE(settings.set("temp", "0.5").ok());
  const char* const wrong[] = {"warm", "-0.1", "1e9", "", "0.5x", "nan"};
  for (const char* bad : wrong) {
    const Status status = settings.set("temp", bad);
    CHECK(!status.ok());
    CHECK(status.error().code == ErrorCode::kBadValue);
    CHECK(status.error().subject_text() == "temp");
    CHECK(settings.real(Setting::kTemperature) == 0.5);
  }
  CHECK(settings.set("batch", "0").error().code == ErrorCode::kBadValue);
  CHECK(settings.set("batch", "513").error().code == ErrorCode::kBadValue);
  CHECK(settings.set("batch", "512").ok());
  CHECK(settings.set("kv", "f64").error().code == ErrorCode::kBadValue);
  CHECK(settings.set("stats", "2").error().code == ErrorCode::kBadValue);
  CHECK(settings.set("no_such", "1").error().code == ErrorCode::kNotFound);
  char text[300];
  __builtin_memset(text, 'x', sizeof(text));
  CHECK(settings.set("model", Str(text, 255)).ok());
  CHECK(settings.set("model", Str(text, 256)).error().code == ErrorCode::kLimit);
  CHECK(settings.text(Setting::kModel).size() == 255);
}

TEST_CASE("settings: seeds up to the largest, and -1", "[chat]") {
  Settings settings;
  REQUIRE(settings.set("seed", "9223372036854775807").ok());
  CHECK(settings.sampler_params().seed == 9223372036854775807u);
  REQUIRE(settings.set("seed", "-1").ok());
  CHECK(settings.integer(Setting::kSeed) == -1);
  CHECK(!settings.set("seed", "-2").ok());
  CHECK(!settings.set("seed", "9223372036854775808").ok());
}

TEST_CASE("repl.cfg: BOM, CRLF, comments, both forms, quotes", "[chat]") {
  Settings settings;
  BadLines bad;
  const Str text =
      "\xEF\xBB\xBFtemp=0.3\r\n"
      "# a comment\r\n"
      "; another\r\n"
      "\r\n"
      "top_k 12\r\n"
      "  seed =  99   # a comment behind a value\r\n"
      "model=models/my model.gguf\r\n"
      "system=\"You know C# well.\\nBe brief.\"  # quoted\r\n"
      "stats=no";
  CHECK(settings.read_config(text, &bad) == 0);
  CHECK(bad.n == 0);
  CHECK(settings.real(Setting::kTemperature) == 0.3);
  CHECK(settings.integer(Setting::kTopK) == 12);
  CHECK(settings.integer(Setting::kSeed) == 99);
  CHECK(settings.text(Setting::kModel) == "models/my model.gguf");
  CHECK(settings.text(Setting::kSystem) == "You know C# well.\nBe brief.");
  CHECK(!settings.flag(Setting::kStats));
  CHECK(settings.origin(Setting::kTemperature) == Settings::Origin::kConfig);
}

TEST_CASE("repl.cfg: the last of equal keys wins, also under another name, but the first model",
          "[chat]") {
  Settings settings;
  BadLines bad;
  CHECK(settings.read_config("temp=0.1\nmodel=a\ntemperature=0.2\nweights=b c.gguf\n", &bad) == 1);
  CHECK(settings.real(Setting::kTemperature) == 0.2);
  CHECK(settings.text(Setting::kModel) == "a");
  REQUIRE(bad.n == 1);
  CHECK(bad.lines[0] == 4);
  CHECK(bad.errors[0].code == ErrorCode::kDuplicate);
  // A host and /set come after it all the same.
  REQUIRE(settings.set("model", "c", Settings::Origin::kHost).ok());
  CHECK(settings.text(Setting::kModel) == "c");
}

TEST_CASE("repl.cfg: keys of the prior system are named with a reason, and are no mistakes",
          "[chat]") {
  Settings settings;
  BadLines bad;
  CHECK(settings.read_config("splash_ms=0\noo_enable=1\nbudget=5\noverlay_top = 3\n"
                             "djibion_mode=1\noo=1\nood=1\n",
                             &bad) == 1);
  REQUIRE(bad.n == 7);
  for (u32 i = 0; i < 6; ++i) {
    CHECK(bad.errors[i].code == ErrorCode::kUnsupported);
    CHECK(bad.errors[i].what[0] != '\0');
  }
  CHECK(bad.errors[6].code == ErrorCode::kNotFound);  // only looks like one
  CHECK(why_retired("OO-auto-apply") != nullptr);
  CHECK(why_retired("temp") == nullptr);
  // Every key of the prior system means something here.
  const char* const keys[] = {"model",
                              "boot_verbose",
                              "boot_quiet",
                              "boot_logo",
                              "boot_diag",
                              "model_picker",
                              "ctx_len",
                              "fat83_force",
                              "temperature",
                              "min_p",
                              "top_p",
                              "top_k",
                              "repeat_penalty",
                              "no_repeat_ngram",
                              "max_tokens",
                              "stats",
                              "stop_you",
                              "stop_nl",
                              "seed",
                              "chat_format",
                              "system_prompt",
                              "autorun_autostart",
                              "autorun_shutdown_when_done",
                              "autorun_file",
                              "snap_autoload",
                              "snap_file"};
  for (const char* key : keys) CHECK(find_setting(key) != nullptr);
}

TEST_CASE("repl.cfg: auto stands for 0 where 0 is automatic", "[chat]") {
  Settings settings;
  REQUIRE(settings.set("threads", "4").ok());
  REQUIRE(settings.set("threads", "auto").ok());
  CHECK(settings.integer(Setting::kThreads) == 0);
  CHECK(!settings.set("top_k", "auto").ok());
}

TEST_CASE("repl.cfg: bad lines are named by number and ignored, good ones count", "[chat]") {
  Settings settings;
  BadLines bad;
  const u32 n_bad = settings.read_config(
      "temp=hot\ntop_k=5\nnonsense=1\n=4\n\nsystem=\"no end\ntemp;1\nseed\nmin_p=\"0.1\"x\nseed=4",
      &bad);
  CHECK(n_bad == 7);
  REQUIRE(bad.n == 7);
  const u32 expected[] = {1, 3, 4, 6, 7, 8, 9};
  for (u32 i = 0; i < 7; ++i) CHECK(bad.lines[i] == expected[i]);
  CHECK(bad.errors[0].code == ErrorCode::kBadValue);
  CHECK(bad.errors[1].code == ErrorCode::kNotFound);
  CHECK(bad.errors[1].subject_text() == "nonsense");
  CHECK(bad.errors[3].code == ErrorCode::kBadSyntax);
  CHECK(settings.integer(Setting::kTopK) == 5);
  CHECK(settings.integer(Setting::kSeed) == 4);
  CHECK(settings.real(Setting::kTemperature) == Settings().real(Setting::kTemperature));
}

TEST_CASE("repl.cfg: larger than any buffer of the prior system", "[chat]") {
  // 2 KiB was where the prior system stopped reading, without a word.
  static char text[20'000];
  usize n = 0;
  while (n < 19'000) {
    __builtin_memcpy(text + n, "# filler filler filler\n", 23);
    n += 23;
  }
  __builtin_memcpy(text + n, "max_tokens=77\n", 14);
  Settings settings;
  CHECK(settings.read_config(Str(text, n + 14), nullptr) == 0);
  CHECK(settings.integer(Setting::kMaxTokens) == 77);
}

TEST_CASE("repl.cfg: any bytes are read without harm", "[chat]") {
  Pcg32 random(7, 1);
  static char text[600];
  const Str alphabet = "temp=seedsystem \"'\\#;\r\n\t01-.\xC3\xA4\xFF";
  for (u32 round = 0; round < 300; ++round) {
    for (char& c : text) c = alphabet[random.next() % alphabet.size()];
    Settings settings;
    u32 n_line = 1;
    for (const char c : text) n_line += c == '\n' ? 1 : 0;
    CHECK(settings.read_config(Str(text, sizeof(text)), nullptr) <= n_line);
    CHECK(settings.real(Setting::kTemperature) >= 0);
  }
}

TEST_CASE("repl.cfg.example reads back without a complaint, as it is and uncommented", "[chat]") {
  static ConfigText example;
  example.out.clear();
  write_example_config(example);
  CHECK(!example.out.truncated());
  Settings settings;
  CHECK(settings.read_config(example.out.text(), nullptr) == 0);

  // Without the '#' of "#key=value" every line sets its default.
  static char text[16 * 1024];
  usize n = 0;
  u32 n_key = 0;
  const Str source = example.out.text();
  for (usize i = 0; i < source.size(); ++i) {
    const bool at_start = i == 0 || source[i - 1] == '\n';
    if (at_start && source[i] == '#' && i + 1 < source.size() && source[i + 1] != ' ' &&
        source[i + 1] != '\n') {
      ++n_key;
      continue;
    }
    text[n++] = source[i];
  }
  CHECK(n_key == kSettingCount);
  Settings again;
  BadLines bad;
  again.read_config(Str(text, n), &bad);
  CHECK(bad.n == 0);
  const Settings standard;
  for (u32 i = 0; i < kSettingCount; ++i) {
    const Setting id = static_cast<Setting>(i);
    TextBuffer<300> expected;
    expected.append(shown(standard, id));
    CHECK(shown(again, id) == expected.text());
  }
}

TEST_CASE("nearest: one slip is found, another word is not", "[chat]") {
  CHECK(NearestWord::distance("models", "models") == 0);
  CHECK(NearestWord::distance("modles", "models") == 1);
  CHECK(NearestWord::distance("Help", "help") == 0);
  CHECK(NearestWord::distance("", "abc") == 3);
  CHECK(NearestWord::distance("kitten", "sitting") == 3);
  CHECK(nearest_setting("tmep") == "temp");
  CHECK(nearest_setting("max_token") == "max_tokens");
  CHECK(nearest_setting("quux").empty());
}
