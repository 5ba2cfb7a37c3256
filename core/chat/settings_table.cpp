// See settings_table.h.
#include "core/chat/settings_table.h"

#include "core/chat/nearest.h"
#include "core/chat/settings.h"

namespace lbm {
namespace {

constexpr f64 kMaxU32 = 4294967295.0;
constexpr f64 kMaxI64 = 9223372036854775807.0;

// Order of Setting. The keys and aliases of the prior system (reference: docs/chat.md) are accepted
// where they have a meaning.
constexpr SettingInfo kTable[kSettingCount] = {
    {Setting::kModel, "model", "model_file weights", SettingType::kText, SettingWhen::kStart, 0,
     255, "", "",
     "model to load at start: path or name, extension optional; empty: the only one, or a menu"},
    {Setting::kModelPicker, "model_picker", "model_menu", SettingType::kFlag, SettingWhen::kStart,
     0, 1, "1", "", "menu when several models are there and none is named; 0 takes the first"},
    {Setting::kPickerTimeout, "timeout", "picker_timeout", SettingType::kInteger,
     SettingWhen::kStart, 0, 3600, "10", "",
     "seconds the menu waits before it takes the first model; 0 waits for ever"},
    {Setting::kContext, "ctx", "ctx_len context context_len ctx_size n_ctx", SettingType::kInteger,
     SettingWhen::kLoad, 0, 16777216, "0", "",
     "tokens of context; 0: what the model was trained for, at most 4096, less where memory is "
     "short"},
    {Setting::kBatch, "batch", "batch_size n_batch", SettingType::kInteger, SettingWhen::kLoad, 1,
     512, "32", "", "prompt tokens evaluated together; changes speed, never a bit of the result"},
    {Setting::kKv, "kv", "kv_type cache_type", SettingType::kChoice, SettingWhen::kLoad, 0, 0,
     "f16", "f16 f32 q8_0",
     "element type of the KV cache; q8_0 takes half the memory and changes the result a little"},
    {Setting::kIsa, "isa", "", SettingType::kText, SettingWhen::kStart, 1, 31, "auto", "",
     "kernels: auto times them and takes the fastest; else scalar, swar, avx2 ...; all give the "
     "same bits"},
    {Setting::kThreads, "threads", "n_threads", SettingType::kInteger, SettingWhen::kStart, 0, 1024,
     "0", "", "cores to use; 0: as many as pay; never changes a bit of the result"},
    {Setting::kHashModel, "hash_model", "", SettingType::kFlag, SettingWhen::kLoad, 0, 1, "0", "",
     "SHA-256 of the model file while it is read (always done with digest=1)"},
    {Setting::kSpeculate, "speculate", "speculative", SettingType::kChoice, SettingWhen::kAnswer, 0,
     0, "auto", "auto off", "guess tokens ahead where that is faster; never changes the answer"},
    {Setting::kFat83, "fat83_force", "force_fat83 fat83_prefer", SettingType::kFlag,
     SettingWhen::kStart, 0, 1, "0", "",
     "open files by their short (8.3) names: a way around firmware that is bad at long ones"},
    {Setting::kTemperature, "temp", "temperature", SettingType::kReal, SettingWhen::kAnswer, 0, 100,
     "0.8", "", "0 is greedy: always the likeliest token"},
    {Setting::kTopK, "top_k", "", SettingType::kInteger, SettingWhen::kAnswer, 0, kMaxU32, "40", "",
     "only the k likeliest tokens; 0: all"},
    {Setting::kTopP, "top_p", "", SettingType::kReal, SettingWhen::kAnswer, 0, 1, "0.95", "",
     "only the likeliest tokens that together have this probability; 1: all"},
    {Setting::kMinP, "min_p", "", SettingType::kReal, SettingWhen::kAnswer, 0, 1, "0.05", "",
     "only tokens at least this likely, relative to the likeliest; 0: all"},
    {Setting::kRepeatPenalty, "repeat_penalty", "repeat", SettingType::kReal, SettingWhen::kAnswer,
     0.01, 100, "1", "", "divides the logits of recent tokens; 1: off"},
    {Setting::kRepeatLastN, "repeat_last_n", "", SettingType::kInteger, SettingWhen::kAnswer, 0,
     Sampler::kMaxRepeatLastN, "64", "", "how many recent tokens the penalty looks at"},
    {Setting::kNoRepeatNgram, "no_repeat_ngram", "norepeat", SettingType::kInteger,
     SettingWhen::kAnswer, 0, Sampler::kMaxNgram, "0", "",
     "no run of so many tokens comes twice in one answer; 0: off"},
    {Setting::kSeed, "seed", "", SettingType::kInteger, SettingWhen::kAnswer, -1, kMaxI64, "0", "",
     "start of the random stream of each answer; same seed, same text, on every machine; -1: from "
     "the clock"},
    {Setting::kMaxTokens, "max_tokens", "n_predict", SettingType::kInteger, SettingWhen::kAnswer, 0,
     kMaxU32, "512", "", "most tokens of an answer; 0: until the context is full"},
    {Setting::kSystem, "system", "system_prompt", SettingType::kText, SettingWhen::kAnswer, 0,
     Settings::kMaxTextBytes, "", "", "system prompt; \\n in quotes is a new line"},
    {Setting::kChatFormat, "chat_format", "prompt_format", SettingType::kChoice,
     SettingWhen::kAnswer, 0, 0, "auto", "auto chatml qwen qwen2 llama2 alpaca you_ai raw",
     "how a prompt is written: auto takes the model's own template; the others are for models "
     "that bring none or a wrong one (qwen and qwen2 are chatml)"},
    {Setting::kThink, "think", "thinking reasoning", SettingType::kChoice, SettingWhen::kAnswer, 0,
     0, "dim", "dim on hide off",
     "reasoning before an answer: dim shows it; on asks for it too, where the model leaves that to "
     "the user; hide shows only that the model thinks; off asks the model not to"},
    {Setting::kOverflow, "overflow", "", SettingType::kChoice, SettingWhen::kAnswer, 0, 0, "stop",
     "stop drop_oldest summarize",
     "when the context is full: stop refuses the question; drop_oldest leaves the oldest turns "
     "out of the prompt; summarize puts a summary in their place; all of them say so"},
    {Setting::kLoopGuard, "loop_guard", "", SettingType::kInteger, SettingWhen::kAnswer, 0, 1000,
     "6", "",
     "stop an answer that says the same so many times in a row, as small models do; 0: off"},
    {Setting::kStopYou, "stop_you", "", SettingType::kFlag, SettingWhen::kAnswer, 0, 1, "1", "",
     "where no token ends a turn (you_ai, alpaca), the beginning of the next question ends the "
     "answer"},
    {Setting::kStopNl, "stop_nl", "", SettingType::kFlag, SettingWhen::kAnswer, 0, 1, "0", "",
     "the end of its first line ends an answer"},
    {Setting::kStats, "stats", "", SettingType::kFlag, SettingWhen::kAnswer, 0, 1, "1", "",
     "one line of statistics after each answer"},
    {Setting::kDigest, "digest", "", SettingType::kFlag, SettingWhen::kAnswer, 0, 1, "0", "",
     "the run digest after each answer: SHA-256 over tokens and logits, equal on every machine"},
    {Setting::kAutosave, "autosave", "save", SettingType::kFlag, SettingWhen::kAnswer, 0, 1, "1",
     "", "keep the conversation after each turn, for /resume after a power cut"},
    {Setting::kHistory, "history", "", SettingType::kFlag, SettingWhen::kStart, 0, 1, "1", "",
     "keep what was typed, for Up at the next start"},
    {Setting::kLog, "log", "", SettingType::kFlag, SettingWhen::kStart, 0, 1, "1", "",
     "keep a journal of events (starts, models, errors), for /log"},
    {Setting::kSnapAutoload, "snap_autoload", "snap_load_on_boot", SettingType::kFlag,
     SettingWhen::kStart, 0, 1, "0", "", "take back the context snap_file at start"},
    {Setting::kSnapFile, "snap_file", "", SettingType::kText, SettingWhen::kAnswer, 1, 32,
     "llmk-snap", "", "name of the context that /snap_save keeps and /snap_load takes back"},
    {Setting::kScreen, "screen", "", SettingType::kChoice, SettingWhen::kStart, 0, 0, "auto",
     "auto gop text serial",
     "auto draws on the screen itself (gop) where it can; text leaves it to the firmware; serial "
     "shows nothing on it"},
    {Setting::kFontScale, "font_scale", "font", SettingType::kChoice, SettingWhen::kNow, 0, 0,
     "auto", "auto 1 1.5 2 3", "size of the letters; auto: by the resolution"},
    {Setting::kTheme, "theme", "", SettingType::kChoice, SettingWhen::kNow, 0, 0, "dark",
     "dark light contrast", "colours of the screen"},
    {Setting::kKeymap, "keymap", "keyboard", SettingType::kChoice, SettingWhen::kNow, 0, 0, "auto",
     "auto us uk de fr es it pt-br dvorak",
     "layout of the keyboard; auto: as the firmware has it, often US"},
    {Setting::kScrollback, "scrollback", "", SettingType::kInteger, SettingWhen::kStart, 0, 20000,
     "2000", "", "lines that PageUp brings back"},
    {Setting::kVerbose, "verbose", "boot_verbose verbose_boot", SettingType::kInteger,
     SettingWhen::kStart, 0, 2, "0", "", "1: more about machine and model at start"},
    {Setting::kBootQuiet, "boot_quiet", "quiet_boot", SettingType::kFlag, SettingWhen::kStart, 0, 1,
     "0", "", "at start only errors and the lines that scripts read"},
    {Setting::kBootLogo, "boot_logo", "logo_boot", SettingType::kFlag, SettingWhen::kStart, 0, 1,
     "1", "", "the name in large letters at start, where there is room"},
    {Setting::kBootDiag, "boot_diag", "diag", SettingType::kFlag, SettingWhen::kStart, 0, 1, "0",
     "", "show /diag at start"},
    {Setting::kAutorun, "autorun_autostart", "autorun", SettingType::kFlag, SettingWhen::kStart, 0,
     1, "0", "", "run autorun_file before the first prompt"},
    {Setting::kAutorunFile, "autorun_file", "autorun_script", SettingType::kText,
     SettingWhen::kStart, 0, 255, "llmk-autorun.txt", "", "script: one line of input a line"},
    {Setting::kAutorunShutdown, "autorun_shutdown_when_done", "autorun_shutdown",
     SettingType::kFlag, SettingWhen::kStart, 0, 1, "0", "", "shut down when the script has ended"},
};
constexpr bool table_in_order() {
  for (u32 i = 0; i < kSettingCount; ++i) {
    if (static_cast<u32>(kTable[i].id) != i) return false;
    if (kTable[i].type == SettingType::kText && kTable[i].high >= Settings::kShortTextBytes &&
        kTable[i].id != Setting::kSystem) {
      return false;
    }
  }
  return true;
}
static_assert(table_in_order(), "kTable follows enum Setting, and short texts fit their storage");

// Keys of the prior system that a config of old may carry. One that ends in '_' stands for all that
// begin so.
struct RetiredKeys {
  const char* keys;
  const char* why;
};
constexpr RetiredKeys kRetired[] = {
    {"oo_ djibion_ oo organism", "not built yet, so it does nothing"},
    {"splash_ms overlay overlay_", "there is no splash picture and no overlay: nothing to set"},
    {"gguf_q8_blob q8_blob gguf_blob", "weights always stay in memory as the file has them"},
    {"q8_act_quant q8_act_quantize q8_x_quant",
     "how activations are rounded is part of the definition of a result"},
    {"attn", "the fastest kernels are found by trial; isa= names others"},
    {"budget budget_prefill budget_decode strict_budget strict_alloc",
     "no cycle budgets: Esc stops an answer, max_tokens limits it"},
    {"seq_len", "ctx= is the length of the context"},
    {"diopion_", "/preset sets the sampling instead"},
};

char fold(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c + ('a' - 'A'));
  return c == '-' ? '_' : c;
}

bool same_key(Str a, Str b) {
  if (a.size() != b.size()) return false;
  for (usize i = 0; i < a.size(); ++i) {
    if (fold(a[i]) != fold(b[i])) return false;
  }
  return true;
}

}  // namespace

Str take_word(Str& words) {
  words = words.trimmed();
  usize n = 0;
  while (n < words.size() && !Str::is_space(words[n])) ++n;
  const Str word = words.first(n);
  words = words.from(n).trimmed();
  return word;
}

i64 choice_index(Str choices, Str value) {
  i64 index = 0;
  for (Str word = take_word(choices); !word.empty(); word = take_word(choices), ++index) {
    if (same_key(word, value)) return index;
  }
  return -1;
}

const SettingInfo& setting_info(Setting id) { return kTable[static_cast<u32>(id)]; }

const SettingInfo* find_setting(Str key) {
  for (const SettingInfo& info : kTable) {
    if (same_key(info.key, key) || choice_index(info.aliases, key) >= 0) return &info;
  }
  return nullptr;
}

Str nearest_setting(Str key) {
  NearestWord nearest(key);
  for (const SettingInfo& info : kTable) nearest.offer(info.key);
  return nearest.best();
}

const char* why_retired(Str key) {
  for (const RetiredKeys& retired : kRetired) {
    Str keys = retired.keys;
    for (Str word = take_word(keys); !word.empty(); word = take_word(keys)) {
      const bool is_beginning = word.ends_with("_") && key.size() > word.size();
      if (same_key(word, is_beginning ? key.first(word.size()) : key)) return retired.why;
    }
  }
  return nullptr;
}

Str setting_when_text(SettingWhen when) {
  switch (when) {
    case SettingWhen::kStart: return "at the next start";
    case SettingWhen::kLoad: return "when a model is loaded";
    case SettingWhen::kAnswer: return "at the next answer";
    case SettingWhen::kNow: return "at once";
  }
  return "";
}

}  // namespace lbm
