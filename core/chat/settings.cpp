// What holds the values of the settings. See settings.h; the table is in settings_table.cpp.
#include "core/chat/settings.h"

namespace lbm {
namespace {

constexpr u32 index_of(Setting id) { return static_cast<u32>(id); }

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

void Settings::reset() {
  for (u32 i = 0; i < kSettingCount; ++i) {
    const SettingInfo& info = setting_info(static_cast<Setting>(i));
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
      const bool is_automatic =
          value == "auto" && (info.id == Setting::kThreads || info.id == Setting::kContext);
      if (!is_automatic && !parse_i64(value, number))
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
  if (info == nullptr) {
    const char* const why = why_retired(key.trimmed());
    if (why != nullptr) return fail(ErrorCode::kUnsupported, why).about(key.trimmed());
    return fail(ErrorCode::kNotFound, "no such setting").about(key.trimmed());
  }
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
  params.no_repeat_ngram = static_cast<u32>(integer(Setting::kNoRepeatNgram));
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
