// Commands about the conversation and its settings. See repl_state.h.
#include "core/chat/repl_state.h"
#include "core/chat/text_file.h"

namespace lbm {
namespace {

// Cuts the first argument off `args`: a word, or what stands between quotes.
Str take_argument(Str& args) {
  args = args.trimmed();
  if (args.empty() || (args[0] != '"' && args[0] != '\'')) return take_word(args);
  const usize end = args.find(args.first(1), 1);
  if (end == Str::kNone) return take_word(args);
  const Str inside = args.slice(1, end - 1);
  args = args.from(end + 1).trimmed();
  return inside;
}

u64 count_lines(Str text) {
  u64 n = 0;
  for (const char c : text) n += c == '\n' ? 1u : 0u;
  return text.empty() || text[text.size() - 1] == '\n' ? n : n + 1;
}

struct Preset {
  const char* name;
  const char* temperature;
  const char* min_p;
  const char* top_p;
  const char* top_k;
  const char* repeat_penalty;
  const char* no_repeat_ngram;
};
constexpr Preset kPresets[] = {
    {"stable", "0.7", "0.05", "0.9", "40", "1.1", "4"},
    {"creative", "1", "0.05", "0.95", "80", "1.05", "3"},
    {"greedy", "0", "0", "1", "0", "1", "0"},
};
constexpr Str kPresetNames = "stable creative greedy";
constexpr Setting kPresetSettings[] = {Setting::kTemperature,   Setting::kMinP,
                                       Setting::kTopP,          Setting::kTopK,
                                       Setting::kRepeatPenalty, Setting::kNoRepeatNgram};

}  // namespace

void Repl::undo(Str args) {
  u64 n = 1;
  if (!args.empty() && (!parse_u64(args, n) || n == 0)) {
    out_.line("/undo takes a number of turns: /undo 2");
    return;
  }
  const u32 n_turn = conversation_.n_message() / 2;
  const u32 n_done = conversation_.undo(n > n_turn ? n_turn : static_cast<u32>(n));
  if (n_done == 0) {
    out_.line("There is nothing to take back.");
    return;
  }
  out_.line("OK: took back {} question{} with {}; {} left", n_done, n_done == 1 ? "" : "s",
            n_done == 1 ? "its answer" : "their answers", conversation_.n_message() / 2);
  keep_turn();
}

void Repl::regenerate(Str args) {
  if (!engine_->loaded() || conversation_.n_message() == 0) {
    out_.line(engine_->loaded() ? "Nothing was asked yet." : "No model is loaded.");
    return;
  }
  u64 seed = seed_ + 1;
  if (!args.empty() && !parse_u64(args, seed)) {
    out_.line("/regen takes a seed, a whole number: /regen 7");
    return;
  }
  if (args.empty() && settings_.integer(Setting::kSeed) < 0) seed = next_seed();
  out_.print("OK: seed {}", seed);
  out_.line(settings_.real(Setting::kTemperature) <= 0
                ? "; with temp=0 the likeliest token is taken whatever the seed"
                : "");
  answer_again(seed);
}

void Repl::edit() {
  const u32 n_message = conversation_.n_message();
  if (n_message == 0) {
    out_.line("Nothing was asked yet.");
    return;
  }
  editor_.start();
  // What begins with a slash was typed with two.
  const Str question = conversation_.message(n_message - 2).text;
  if (question.starts_with("/")) editor_.insert("/");
  editor_.insert(question);
  if (editor_.was_cut()) {
    out_.line("The last question is longer than {} bytes, so it can not be edited here.",
              editor_.capacity());
    editor_.start();
    return;
  }
  has_draft_ = true;
  conversation_.undo(1);
  keep_turn();
  out_.line("OK: the last question is in the input line, its answer is taken back");
}

// The file goes to the model whole or not at all: what does not fit the context is refused.
void Repl::read_text(Str args) {
  const Str path = take_argument(args);
  if (path.empty()) {
    out_.line(
        "/read FILE [question] sends a text file to the model; quotes around a name with "
        "spaces");
    return;
  }
  if (!engine_->loaded()) {
    out_.line("No model is loaded.");
    return;
  }
  TextFile file(host_.pages());
  if (const Status read = file.read(host_.volume(), path); !read.ok()) {
    out_.error(read.error());
    return;
  }
  if (file.text().trimmed().empty()) {
    out_.line("{} is empty.", path);
    return;
  }
  const u64 n_byte = u64{args.size()} + path.size() + file.text().size() + 64;
  const Result<Span<u8>> range = host_.pages().take(n_byte, "question with a text file");
  if (!range.ok()) {
    out_.error(range.error());
    return;
  }
  TextWriter question({reinterpret_cast<char*>(range.value().data()), range.value().size()});
  if (!args.empty()) question.append(args).append("\n\n");
  question.append("File ").append(path).append(":\n\n").append(file.text());
  out_.line("OK: {}, {} bytes, {} lines", path, file.n_byte(), count_lines(file.text()));
  answer(question.text());
  host_.pages().give_back(range.value());
}

void Repl::preset(Str args) {
  const i64 index = choice_index(kPresetNames, args);
  if (index >= 0) {
    const Preset& preset = kPresets[index];
    const char* const values[] = {preset.temperature,    preset.min_p,
                                  preset.top_p,          preset.top_k,
                                  preset.repeat_penalty, preset.no_repeat_ngram};
    for (u32 i = 0; i < 6; ++i) {
      const Status set = settings_.set(setting_info(kPresetSettings[i]).key, values[i],
                                       Settings::Origin::kCommand);
      LBM_CHECK(set.ok());
    }
    host_.on_settings(settings_);
    out_.print("OK: {}:", preset.name);
  } else if (args.empty()) {
    out_.print("Presets: {}. Now:", kPresetNames);
  } else {
    out_.line("There is no preset {}; one of: {}", args, kPresetNames);
    return;
  }
  for (const Setting id : kPresetSettings) {
    char text[Settings::kShortTextBytes];
    out_.print(" {}={}", setting_info(id).key, settings_.show(id, text));
  }
  out_.line("");
}

// --- Showing -----------------------------------------------------------------------------------

void Repl::show(Str args) {
  const i64 what =
      choice_index("model system template license settings messages parameters info", args);
  const bool needs_model = what == 0 || what == 2 || what == 3 || what == 7;
  if (needs_model && !engine_->loaded()) {
    out_.line("No model is loaded.");
    return;
  }
  switch (what) {
    case 0:
    case 7: model_info({}); return;
    case 1: system_prompt({}); return;
    case 2:
      if (format_template_ != nullptr)
        out_.line("(chat_format={})", settings_.text(Setting::kChatFormat));
      out_.text(chat_template().source());
      out_.line("");
      return;
    case 3: show_license(); return;
    case 4:
    case 6: show_settings({}); return;
    case 5: show_messages(); return;
    default:
      out_.line("/show takes one of: model system template license settings messages");
      return;
  }
}

// What the file says of its licence and origin.
void Repl::show_license() {
  constexpr Str kKeys[] = {"general.name",         "general.license",  "general.license.name",
                           "general.license.link", "general.author",   "general.organization",
                           "general.url",          "general.repo_url", "general.source.url"};
  bool is_said = false;
  for (const Str key : kKeys) {
    const Result<Str> text = engine_->file().get_text(key);
    if (!text.ok() || text.value().empty()) continue;
    out_.line("  {:22}{}", key, text.value());
    is_said = is_said || key == "general.license" || key == "general.license.name";
  }
  if (!is_said) out_.line("The file of the model does not say what its license is.");
}

void Repl::show_messages() {
  const u32 n = conversation_.n_message();
  if (n == 0) out_.line("The conversation is empty.");
  for (u32 i = 0; i < n; ++i) {
    if (i != 0 && i == conversation_.first_shown())
      out_.line("--- what is above is no longer in the prompt ---");
    const Message message = conversation_.message(i);
    out_.print("{}. {}: ", i / 2 + 1, message.role == Role::kUser ? "You" : "AI");
    out_.text(message.text);
    out_.line(message.complete ? "" : " (stopped)");
  }
  if (!conversation_.summary().empty()) {
    out_.print("Summary in place of what is above the line: ");
    out_.text(conversation_.summary());
    out_.line("");
  }
}

void Repl::show_context() {
  if (!engine_->loaded()) {
    out_.line("No model is loaded.");
    return;
  }
  Session& session = engine_->session();
  Arena& scratch = engine_->turn_arena();
  const Arena::Mark mark = scratch.mark();
  conversation_.set_now(host_.now());
  const Result<Span<const u32>> ids =
      conversation_.prompt_ids(engine_->tokenizer(), chat_template(), scratch);
  const u64 n_prompt = ids.ok() ? ids.value().size() : 0;
  scratch.rewind(mark);
  const u32 n_ctx = session.n_ctx();
  out_.line("  model     {}", engine_->name());
  out_.line("  context   {} tokens, {} evaluated, KV {} {:.1} MiB", n_ctx, session.n_past(),
            kv_type_name(session.kv_type()), mib(engine_->kv_bytes()));
  if (ids.ok()) {
    out_.line("  prompt    {} tokens so far ({} %), {} left for question and answer", n_prompt,
              n_prompt * 100 / n_ctx, n_prompt < n_ctx ? n_ctx - n_prompt : 0);
  } else {
    out_.error(ids.error());
  }
  out_.line("  made of   {} bytes of system prompt, {} messages{}", conversation_.system().size(),
            conversation_.n_message() - conversation_.first_shown(),
            conversation_.summary().empty() ? "" : ", a summary");
  if (conversation_.first_shown() != 0)
    out_.line("  left out  the {} oldest messages", conversation_.first_shown());
  out_.line("  overflow  {}", settings_.text(Setting::kOverflow));
  out_.print("  sampling ");
  for (const Setting id : kPresetSettings) {
    char text[Settings::kShortTextBytes];
    out_.print(" {}={}", setting_info(id).key, settings_.show(id, text));
  }
  out_.line(" seed={} max_tokens={}", settings_.integer(Setting::kSeed),
            settings_.integer(Setting::kMaxTokens));
}

// --- Scripts -----------------------------------------------------------------------------------

bool Repl::autorun(Str args) {
  bool only_print = false;
  bool shutdown = settings_.flag(Setting::kAutorunShutdown);
  while (args.starts_with("--")) {
    const Str option = take_word(args);
    if (option == "--print" || option == "--dry") {
      only_print = true;
    } else if (option == "--shutdown" || option == "--no-shutdown") {
      shutdown = option == "--shutdown";
    } else {
      out_.line("/autorun knows --print, --dry, --shutdown and --no-shutdown, not {}", option);
      return true;
    }
  }
  if (n_script_ >= kMaxScripts) {
    out_.line("ERROR: scripts call each other more than {} deep [limit]", kMaxScripts);
    return true;
  }
  // A copy: the script will be typed where these arguments stand.
  TextBuffer<FileEntry::kMaxPath + 16> path;
  const Str given = take_argument(args);
  path.append(given.empty() ? settings_.text(Setting::kAutorunFile) : given);
  TextFile file(host_.pages());
  if (const Status read = file.read(host_.volume(), path.text()); !read.ok()) {
    out_.error(read.error());
    return true;
  }
  out_.line("[autorun] loaded {} ({} bytes)", path.text(), file.text().size());
  if (only_print) {
    out_.text(file.text());
    if (!file.text().ends_with("\n")) out_.line("");
    out_.line("[autorun] not run");
    return true;
  }
  ++n_script_;
  const bool goes_on = run_script(file.text());
  --n_script_;
  if (!goes_on) return false;
  out_.line("[autorun] done");
  if (!shutdown) return true;
  out_.line("[autorun] shutting down");
  exit_ = ReplExit::kShutdown;
  return false;
}

}  // namespace lbm
