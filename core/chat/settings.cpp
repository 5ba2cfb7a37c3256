// The table of settings, and the parser of repl.cfg. See settings.h.
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
    {Setting::kSeed, "seed", "", SettingType::kInteger, SettingWhen::kAnswer, -1, kMaxI64, "0", "",
     "start of the random stream of each answer; same seed, same text, on every machine; -1: from "
     "the clock"},
    {Setting::kMaxTokens, "max_tokens", "n_predict", SettingType::kInteger, SettingWhen::kAnswer, 0,
     kMaxU32, "512", "", "most tokens of an answer; 0: until the context is full"},
    {Setting::kSystem, "system", "system_prompt", SettingType::kText, SettingWhen::kAnswer, 0,
     Settings::kMaxTextBytes, "", "", "system prompt; \\n in quotes is a new line"},
    {Setting::kThink, "think", "thinking reasoning", SettingType::kChoice, SettingWhen::kAnswer, 0,
     0, "dim", "dim on hide off",
     "reasoning before an answer: dim shows it; on asks for it too, where the model leaves that to "
     "the user; hide shows only that the model thinks; off asks the model not to"},
    {Setting::kStats, "stats", "", SettingType::kFlag, SettingWhen::kAnswer, 0, 1, "1", "",
     "one line of statistics after each answer"},
    {Setting::kDigest, "digest", "", SettingType::kFlag, SettingWhen::kAnswer, 0, 1, "0", "",
     "the run digest after each answer: SHA-256 over tokens and logits, equal on every machine"},
    {Setting::kVerbose, "verbose", "boot_verbose verbose_boot", SettingType::kInteger,
     SettingWhen::kStart, 0, 2, "0", "", "1: more about machine and model at start"},
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

constexpr u32 index_of(Setting id) { return static_cast<u32>(id); }

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

// Cuts the first word off `words`; an empty result means there was none.
Str take_word(Str& words) {
  words = words.trimmed();
  usize n = 0;
  while (n < words.size() && !Str::is_space(words[n])) ++n;
  const Str word = words.first(n);
  words = words.from(n);
  return word;
}

// Position of `value` among the words of `choices`, or -1.
i64 choice_index(Str choices, Str value) {
  i64 index = 0;
  for (Str word = take_word(choices); !word.empty(); word = take_word(choices), ++index) {
    if (same_key(word, value)) return index;
  }
  return -1;
}

bool parse_flag(Str value, bool& out) {
  if (choice_index("1 true on yes", value) >= 0) {
    out = true;
    return true;
  }
  if (choice_index("0 false off no", value) >= 0) {
    out = false;
    return true;
  }
  return false;
}

}  // namespace

const SettingInfo& setting_info(Setting id) { return kTable[index_of(id)]; }

const SettingInfo* find_setting(Str key) {
  for (const SettingInfo& info : kTable) {
    if (same_key(info.key, key)) return &info;
    Str aliases = info.aliases;
    for (Str word = take_word(aliases); !word.empty(); word = take_word(aliases)) {
      if (same_key(word, key)) return &info;
    }
  }
  return nullptr;
}

Str setting_when_text(SettingWhen when) {
  switch (when) {
    case SettingWhen::kStart: return "at the next start";
    case SettingWhen::kLoad: return "when a model is loaded";
    case SettingWhen::kAnswer: return "at the next answer";
  }
  return "";
}

void Settings::reset() {
  for (const SettingInfo& info : kTable) {
    integers_[index_of(info.id)] = 0;
    reals_[index_of(info.id)] = 0;
    sizes_[index_of(info.id)] = 0;
    LBM_CHECK(assign(info, info.standard, Origin::kStandard).ok());
  }
}

Span<char> Settings::storage(Setting id) {
  if (id == Setting::kSystem) return system_;
  return texts_[index_of(id)];
}

Status Settings::assign(const SettingInfo& info, Str value, Origin origin) {
  const u32 i = index_of(info.id);
  switch (info.type) {
    case SettingType::kFlag: {
      bool flag = false;
      if (!parse_flag(value, flag))
        return fail(ErrorCode::kBadValue, "is 1 or 0 (on, off, yes, no)").about(info.key);
      integers_[i] = flag ? 1 : 0;
      break;
    }
    case SettingType::kInteger: {
      i64 number = 0;
      if (!parse_i64(value, number))
        return fail(ErrorCode::kBadValue, "needs a whole number").about(info.key);
      if (static_cast<f64>(number) < info.low || static_cast<f64>(number) > info.high) {
        return fail(ErrorCode::kBadValue, "number out of range").about(info.key);
      }
      integers_[i] = number;
      break;
    }
    case SettingType::kReal: {
      f64 number = 0;
      if (!parse_f64(value, number))
        return fail(ErrorCode::kBadValue, "needs a number").about(info.key);
      // Written so that NaN fails too.
      if (!(number >= info.low && number <= info.high)) {
        return fail(ErrorCode::kBadValue, "number out of range").about(info.key);
      }
      reals_[i] = number;
      break;
    }
    case SettingType::kChoice: {
      const i64 index = choice_index(info.choices, value);
      if (index < 0) return fail(ErrorCode::kBadValue, "is not one of the choices").about(info.key);
      integers_[i] = index;
      break;
    }
    case SettingType::kText: {
      const f64 size = static_cast<f64>(value.size());
      if (size > info.high) {
        return fail(ErrorCode::kLimit, "text too long")
            .about(info.key)
            .with(value.size(), static_cast<u64>(info.high));
      }
      if (size < info.low) return fail(ErrorCode::kBadValue, "needs a value").about(info.key);
      const Span<char> out = storage(info.id);
      __builtin_memmove(out.data(), value.data(), value.size());
      sizes_[i] = static_cast<u16>(value.size());
      break;
    }
  }
  origins_[i] = origin;
  return {};
}

Status Settings::set(Str key, Str value, Origin origin) {
  const SettingInfo* info = find_setting(key.trimmed());
  if (info == nullptr) return fail(ErrorCode::kNotFound, "no such setting").about(key.trimmed());
  // A text keeps its spaces: who gives one as a whole means it so. Of everything else they are
  // trimmed.
  return assign(*info, info->type == SettingType::kText ? value : value.trimmed(), origin);
}

bool Settings::flag(Setting id) const {
  LBM_CHECK(setting_info(id).type == SettingType::kFlag);
  return integers_[index_of(id)] != 0;
}

i64 Settings::integer(Setting id) const {
  LBM_CHECK(setting_info(id).type == SettingType::kInteger);
  return integers_[index_of(id)];
}

f64 Settings::real(Setting id) const {
  LBM_CHECK(setting_info(id).type == SettingType::kReal);
  return reals_[index_of(id)];
}

Str Settings::text(Setting id) const {
  const SettingInfo& info = setting_info(id);
  if (info.type == SettingType::kChoice) {
    Str choices = info.choices;
    for (i64 i = 0; i < integers_[index_of(id)]; ++i) static_cast<void>(take_word(choices));
    return take_word(choices);
  }
  LBM_CHECK(info.type == SettingType::kText);
  return {id == Setting::kSystem ? system_ : texts_[index_of(id)], sizes_[index_of(id)]};
}

Str Settings::show(Setting id, Span<char> out) const {
  TextWriter line(out);
  switch (setting_info(id).type) {
    case SettingType::kFlag: line.append(flag(id) ? "1" : "0"); break;
    case SettingType::kInteger: line.print("{}", integer(id)); break;
    case SettingType::kReal: {
      // Four decimals without the zeros at the end.
      line.print("{:.4}", real(id));
      Str text = line.text();
      while (text.ends_with("0")) text = text.first(text.size() - 1);
      if (text.ends_with(".")) text = text.first(text.size() - 1);
      return text;
    }
    case SettingType::kText:
    case SettingType::kChoice: line.append(text(id)); break;
  }
  return line.text();
}

SamplerParams Settings::sampler_params() const {
  SamplerParams params;
  params.temperature = static_cast<f32>(real(Setting::kTemperature));
  params.top_k = static_cast<u32>(integer(Setting::kTopK));
  params.top_p = static_cast<f32>(real(Setting::kTopP));
  params.min_p = static_cast<f32>(real(Setting::kMinP));
  params.repeat_penalty = static_cast<f32>(real(Setting::kRepeatPenalty));
  params.repeat_last_n = static_cast<u32>(integer(Setting::kRepeatLastN));
  const i64 seed = integer(Setting::kSeed);
  params.seed = seed < 0 ? 0 : static_cast<u64>(seed);
  return params;
}

SessionParams Settings::session_params() const {
  SessionParams params;
  params.n_ctx = static_cast<u32>(integer(Setting::kContext));
  params.n_batch = static_cast<u32>(integer(Setting::kBatch));
  static_cast<void>(parse_kv_type(text(Setting::kKv), params.kv));  // one of the choices
  return params;
}

}  // namespace lbm
