// What the commands do. Their names and help are in commands.cpp. See repl_state.h.
#include "core/base/arith.h"
#include "core/chat/chat_message.h"
#include "core/chat/model_report.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

constexpr usize kHelpColumns = 30;  // of the list of commands, left of what they do

// Takes the """ of a block, or one pair of quotes, off a whole value.
Str without_quotes(Str text) {
  constexpr Str kMarks[] = {"\"\"\"", "\"", "'"};
  for (const Str mark : kMarks) {
    if (text.size() >= 2 * mark.size() && text.starts_with(mark) && text.ends_with(mark)) {
      return text.slice(mark.size(), text.size() - 2 * mark.size());
    }
  }
  return text;
}

Str origin_text(Settings::Origin origin) {
  switch (origin) {
    case Settings::Origin::kStandard: return "default";
    case Settings::Origin::kConfig: return "repl.cfg";
    case Settings::Origin::kHost: return "host";
    case Settings::Origin::kCommand: return "/set";
  }
  return "";
}

}  // namespace

bool Repl::run_command(const CommandInfo& command, Str args) {
  switch (command.id) {
    case Command::kHelp: help(args); return true;
    case Command::kModels:
      catalog_.refresh(host_.volume());
      list_models();
      if (catalog_.size() == 0) out_.line("Looked for .gguf files in {}.", host_.model_places());
      return true;
    case Command::kModel: switch_model(args); return true;
    case Command::kModelInfo: model_info(args); return true;
    case Command::kVerify: verify(); return true;
    case Command::kReset:
      conversation_.reset();
      keep_turn();
      out_.line("OK: the conversation is empty");
      return true;
    case Command::kUndo: undo(args); return true;
    case Command::kRegen: regenerate(args); return true;
    case Command::kEdit: edit(); return true;
    case Command::kRead: read_text(args); return true;
    case Command::kSystem: system_prompt(args); return true;
    case Command::kThink: think(args); return true;
    case Command::kSet: set(args); return true;
    case Command::kShow: show(args); return true;
    case Command::kCfg: show_settings(args); return true;
    case Command::kPreset: preset(args); return true;
    case Command::kSave: save(args); return true;
    case Command::kLoad: load(args); return true;
    case Command::kSessions: list_sessions(); return true;
    case Command::kResume: resume(); return true;
    case Command::kSnapSave: snap_save(args); return true;
    case Command::kSnapLoad: snap_load(args); return true;
    case Command::kAutorun: return autorun(args);
    case Command::kCtx: show_context(); return true;
    case Command::kStats: show_stats(args); return true;
    case Command::kBench: bench(); return true;
    case Command::kLog: show_log(args); return true;
    case Command::kDiag: diagnose(out_); return true;
    case Command::kReport: report(); return true;
    case Command::kVersion: show_version(); return true;
    case Command::kReboot: exit_ = ReplExit::kReboot; return false;
    case Command::kShutdown: exit_ = ReplExit::kShutdown; return false;
    case Command::kExit: exit_ = ReplExit::kQuit; return false;
  }
  return true;
}

void Repl::unknown_command(Str name, Str args) {
  // /temp 0.2 for /set temp 0.2
  if (find_setting(name) != nullptr) {
    if (args.empty()) {
      show_settings(name);
    } else {
      set_value(name, args);
    }
    return;
  }
  if (why_retired(name) != nullptr) {
    unknown_setting(name);
    return;
  }
  const Str nearest = nearest_command(name);
  if (nearest.empty()) {
    out_.line("There is no command /{}; /help lists them. (//{} sends it as text.)", name, name);
  } else {
    out_.line("There is no command /{}. Did you mean /{}? (//{} sends it as text.)", name, nearest,
              name);
  }
}

void Repl::help(Str args) {
  if (args.starts_with("/")) args = args.from(1);
  const CommandInfo* one = args.empty() ? nullptr : find_command(args);
  if (one != nullptr) {
    out_.line("/{} {}", one->name, one->usage);
    out_.line("  {}", one->summary);
    if (one->aliases[0] != '\0') out_.line("  also: {}", one->aliases);
    if (one->details[0] != '\0') out_.line("{}", one->details);
    return;
  }
  if (const SettingInfo* setting = args.empty() ? nullptr : find_setting(args)) {
    show_setting(setting->id);
    return;
  }
  // Any other word filters the list.
  u32 n_shown = 0;
  for (u32 i = 0; i < kCommandCount; ++i) {
    const CommandInfo& info = command_info(i);
    if (!args.empty() && !Str(info.name).contains(args) && !Str(info.summary).contains(args))
      continue;
    TextBuffer<128> left;
    left.print("/{} {}", info.name, info.usage);
    if (left.text().size() > kHelpColumns) {
      out_.line("  {}", left.text());
      left.clear();
    }
    out_.line("  {:30} {}", left.text(), info.summary);
    ++n_shown;
  }
  if (n_shown == 0) out_.line("Nothing is known about {}; /help lists all commands.", args);
  if (args.empty())
    out_.line(
        "Anything else is said to the model. Esc or Ctrl-C stops an answer. /help help tells the "
        "keys.");
}

void Repl::switch_model(Str args) {
  if (args.empty()) {
    if (engine_->loaded()) {
      print_model_line();
    } else {
      out_.line("No model is loaded. /models lists the models, /model NUMBER loads one.");
    }
    return;
  }
  catalog_.refresh(host_.volume());
  FileEntry file;
  if (const Status found = find_file(args, file); !found.ok()) {
    out_.error(found.error());
    return;
  }
  switch_to(file);
}

void Repl::switch_to(const FileEntry& file) {
  const bool had_model = engine_->loaded();
  const FileEntry old_file = loaded_file_;
  if (load_model(file)) {
    print_model_line();
    if (conversation_.n_message() > 0) {
      out_.line("The conversation goes on ({} messages); /reset starts anew.",
                conversation_.n_message());
    }
    return;
  }
  if (engine_->loaded()) {
    out_.line("The model that was loaded stays: {}", engine_->name());
  } else if (had_model) {
    // It had to make room for the new one, which then failed.
    out_.line("The model that was loaded had to make room; it is loaded again.");
    if (load_model(old_file)) print_model_line();
  }
}

void Repl::model_info(Str args) {
  FileEntry file = loaded_file_;
  if (args.empty()) {
    if (!engine_->loaded()) {
      out_.line("No model is loaded; /model_info NAME looks into a file, /models lists them.");
      return;
    }
  } else {
    catalog_.refresh(host_.volume());
    if (const Status found = find_file(args, file); !found.ok()) {
      out_.error(found.error());
      return;
    }
  }
  const Result<ByteSource*> source = host_.volume().open(file.volume, file.name());
  if (!source.ok()) {
    out_.error(source.error());
    return;
  }
  TextBuffer<FileEntry::kMaxPath + 16> label;
  report_model_file(*source.value(), file_label(file, label), host_.pages(), out_);
  host_.volume().close(source.value());
}

void Repl::system_prompt(Str args) {
  if (args.empty()) {
    const Str system = conversation_.system();
    out_.text(system.empty() ? Str("There is no system prompt; /system TEXT sets one.") : system);
    out_.line("");
    return;
  }
  set_value("system", args == "off" ? Str("\"\"") : args);
}

void Repl::think(Str args) {
  if (args.empty()) {
    show_setting(Setting::kThink);
    return;
  }
  set_value("think", args);
  const Str now = settings_.text(Setting::kThink);
  if (!engine_->loaded() || now == "dim" || now == "hide") return;
  if (has_think_switch(engine_->chat_template().source())) return;
  out_.line("note: the template of this model has no switch for thinking{}",
            now == "off" ? "; should it think all the same, that is hidden" : "");
}

void Repl::set(Str args) {
  const Str key = take_word(args);
  if (key.empty() || args.empty()) {
    show_settings(key);
  } else {
    set_value(key, args);
  }
}

void Repl::set_value(Str key, Str value) {
  const SettingInfo* info = find_setting(key);
  if (info == nullptr) {
    unknown_setting(key);
    return;
  }
  const Status status = settings_.set(key, without_quotes(value), Settings::Origin::kCommand);
  if (!status.ok()) {
    out_.error(status.error());
    show_setting(info->id);
    return;
  }
  apply(info->id);
  host_.on_settings(settings_);
  char text[Settings::kShortTextBytes];
  if (info->id == Setting::kSystem) {
    out_.line(settings_.text(Setting::kSystem).empty() ? "OK: no system prompt"
                                                       : "OK: system prompt set");
  } else {
    out_.print("OK: {} = {}", info->key, settings_.show(info->id, text));
    out_.line(info->when == SettingWhen::kAnswer ? "" : ", {}", setting_when_text(info->when));
  }
}

void Repl::unknown_setting(Str key) {
  if (const char* const why = why_retired(key); why != nullptr) {
    out_.line("{}: {}.", key, why);
    return;
  }
  const Str nearest = nearest_setting(key);
  out_.print("There is no setting {}", key);
  out_.line(nearest.empty() ? "; /cfg lists them." : ". Did you mean {}?", nearest);
}

// Brings what keeps a copy of a setting up to date.
void Repl::apply(Setting id) {
  switch (id) {
    case Setting::kSystem: {
      const Status set = conversation_.set_system(settings_.text(Setting::kSystem));
      if (!set.ok()) out_.error(set.error());
      break;
    }
    case Setting::kOverflow: {
      const Str overflow = settings_.text(Setting::kOverflow);
      conversation_.set_overflow(overflow == "drop_oldest" ? Overflow::kDropOldest
                                 : overflow == "summarize" ? Overflow::kSummarize
                                                           : Overflow::kStop);
      break;
    }
    case Setting::kStopYou:
    case Setting::kStopNl:
      conversation_.set_stops(settings_.flag(Setting::kStopYou), settings_.flag(Setting::kStopNl));
      break;
    case Setting::kChatFormat: {
      const char* const source = template_of_format(settings_.text(Setting::kChatFormat));
      format_template_ = nullptr;
      if (source == nullptr) break;
      Arena* const arena = new (PlaceAt{format_arena_}) Arena(format_memory_);
      const Result<ChatTemplate*> parsed = ChatTemplate::parse(*arena, source);
      if (parsed.ok()) {
        format_template_ = parsed.value();
      } else {
        out_.error(parsed.error());
      }
      break;
    }
    default: break;
  }
}

void Repl::show_setting(Setting id) {
  const SettingInfo& info = setting_info(id);
  char text[Settings::kShortTextBytes];
  out_.line("{} = {}", info.key, settings_.show(id, text));
  out_.line("  {}", info.help);
  if (info.choices[0] != '\0') out_.line("  one of: {}", info.choices);
  if (info.type == SettingType::kReal) out_.line("  {:.2} to {:.2}", info.low, info.high);
  if (info.type == SettingType::kInteger && info.high < 1e9) {
    out_.line("  {} to {}", static_cast<i64>(info.low), static_cast<i64>(info.high));
  }
  if (info.aliases[0] != '\0') out_.line("  also: {}", info.aliases);
  out_.line("  default {}; now from {}; a change counts {}",
            info.standard[0] == '\0' ? "empty" : info.standard, origin_text(settings_.origin(id)),
            setting_when_text(info.when));
}

void Repl::show_settings(Str key) {
  if (!key.empty()) {
    const SettingInfo* info = find_setting(key);
    if (info != nullptr) {
      show_setting(info->id);
      return;
    }
    unknown_setting(key);
    return;
  }
  for (u32 i = 0; i < kSettingCount; ++i) {
    const SettingInfo& info = setting_info(static_cast<Setting>(i));
    char text[Settings::kShortTextBytes];
    out_.line("  {:27}= {:12} ({}, counts {})", info.key, settings_.show(info.id, text),
              origin_text(settings_.origin(info.id)), setting_when_text(info.when));
  }
  out_.line(
      "/cfg KEY explains one, /set KEY VALUE changes it until power-off; /save settings keeps it, "
      "repl.cfg too.");
}

void Repl::show_stats(Str args) {
  if (!args.empty()) {
    set_value("stats", args);
    return;
  }
  if (!engine_->loaded()) {
    out_.line("No model is loaded.");
    return;
  }
  if (has_stats_) {
    print_stats_line();
    out_.line("  prompt    {} tokens, {} of them evaluated in {:.3} s: {:.1} tokens/s",
              stats_.n_prompt, stats_.n_evaluated, static_cast<f64>(stats_.prefill_us) * 1e-6,
              stats_.prefill_rate());
    out_.line("  answer    {} tokens in {:.3} s: {:.1} tokens/s; ended by {}; seed {}",
              stats_.n_output, static_cast<f64>(stats_.decode_us) * 1e-6, stats_.decode_rate(),
              stop_reason_name(stats_.stop), seed_);
    if (stats_.n_drafted != 0) {
      out_.line("  guessed   {} tokens ahead, {} of them right", stats_.n_drafted,
                stats_.n_accepted);
    }
    if (stats_.has_digest) {
      out_.line("  digest    {} ({:.3} s of hashing, not counted above)",
                to_hex(stats_.digest).str(), static_cast<f64>(stats_.hash_us) * 1e-6);
    }
  } else {
    out_.line("  no answer yet");
  }
  const Session& session = engine_->session();
  out_.line("  context   {} of {} tokens, {} messages", session.n_past(), session.n_ctx(),
            conversation_.n_message());
  out_.line("  memory    weights {:.1} MiB, KV {:.1} MiB, {:.0} MiB free",
            mib(engine_->weight_bytes()), mib(engine_->kv_bytes()),
            mib(host_.pages().bytes_free()));
  out_.line("  load      {:.3} s", static_cast<f64>(load_us_) * 1e-6);
}

void Repl::show_version() {
  out_.line("OK: Version: {}", host_.version());
  out_.line("  host {}, {} kernels, {} core{}, {:.0} MiB free", host_.host_name(),
            engine_->kernels().name, engine_->workers().n_worker(),
            engine_->workers().n_worker() == 1 ? "" : "s", mib(host_.pages().bytes_free()));
}

}  // namespace lbm
