// Tab: commands, settings and models by their beginnings. See repl_state.h.
#include "core/base/arith.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

enum class Wanted : u8 { kNothing, kCommand, kSetting, kModel, kWord };

// What the candidates with a given beginning have in common.
class Matches {
 public:
  explicit Matches(Str typed) : typed_(typed) {}

  void offer(Str word) {
    if (!word.starts_with(typed_)) return;
    if (n_ == 0) common_ = word;
    usize n = 0;
    while (n < common_.size() && n < word.size() && common_[n] == word[n]) ++n;
    common_ = common_.first(n);
    ++n_;
  }
  [[nodiscard]] u32 count() const { return n_; }
  [[nodiscard]] Str common() const { return common_; }

 private:
  Str typed_;
  Str common_;
  u32 n_ = 0;
};

// What may stand at the cursor; `words` are those of kWord.
struct Candidates {
  Wanted wanted = Wanted::kNothing;
  Str words;
};

template <class Visit>
void for_each_candidate(const Candidates& candidates, const ModelCatalog& catalog, Visit visit) {
  switch (candidates.wanted) {
    case Wanted::kNothing: break;
    case Wanted::kWord: {
      Str words = candidates.words;
      for (Str word = take_word(words); !word.empty(); word = take_word(words)) visit(word);
      break;
    }
    case Wanted::kCommand:
      for (u32 i = 0; i < kCommandCount; ++i) visit(Str(command_info(i).name));
      break;
    case Wanted::kSetting:
      for (u32 i = 0; i < kSettingCount; ++i) visit(Str(setting_info(static_cast<Setting>(i)).key));
      break;
    case Wanted::kModel:
      for (u32 i = 0; i < catalog.size(); ++i) visit(catalog.at(i).name());
      break;
  }
}

Candidates first_argument(const CommandInfo& command) {
  switch (command.id) {
    case Command::kHelp: return {Wanted::kCommand, {}};
    case Command::kSet:
    case Command::kCfg: return {Wanted::kSetting, {}};
    case Command::kModel:
    case Command::kModelInfo: return {Wanted::kModel, {}};
    case Command::kShow: return {Wanted::kWord, "model system template license settings messages"};
    case Command::kPreset: return {Wanted::kWord, "stable creative greedy"};
    case Command::kThink: return {Wanted::kWord, setting_info(Setting::kThink).choices};
    default: return {};
  }
}

// For what was typed of an argument, `typed`, at the end of `input`.
Candidates candidates_for(const InputLine& input, Str typed) {
  const CommandInfo* const command = find_command(input.name);
  Str before = input.text.first(input.text.size() - typed.size());
  if (before.trimmed().empty()) {
    if (command != nullptr) return first_argument(*command);
    const SettingInfo* const setting = find_setting(input.name);  // the short form of /set
    return setting == nullptr ? Candidates() : Candidates{Wanted::kWord, setting->choices};
  }
  if (command == nullptr || command->id != Command::kSet) return {};
  const SettingInfo* const setting = find_setting(take_word(before));
  if (setting == nullptr || !before.empty()) return {};
  return {Wanted::kWord, setting->choices};
}

}  // namespace

void Repl::complete() {
  const Str before = editor_.text().first(editor_.cursor());
  if (!before.starts_with("/")) {
    editor_.insert("    ");  // a tab of pasted text
    painter_.update(editor_);
    return;
  }
  usize start = before.size();
  while (start > 1 && !Str::is_space(before[start - 1])) --start;
  const Str typed = before.from(start);
  Candidates wanted = {Wanted::kCommand, {}};
  if (start > 1) wanted = candidates_for(parse_input(before), typed);
  Matches matches(typed);
  for_each_candidate(wanted, catalog_, [&](Str word) { matches.offer(word); });
  if (matches.count() == 0) return;
  if (matches.common().size() > typed.size() || matches.count() == 1) {
    editor_.replace_before_cursor(start, matches.common());
    if (matches.count() == 1) editor_.insert(" ");
    painter_.update(editor_);
    return;
  }
  console_.write("\n");
  for_each_candidate(wanted, catalog_, [&](Str word) {
    if (word.starts_with(typed)) out_.print("{}  ", word);
  });
  painter_.redraw(editor_);
}

}  // namespace lbm
