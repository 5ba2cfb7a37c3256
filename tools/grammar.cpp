// lbm grammar: what a grammar or a JSON schema lets pass, without a model. Prints it, checks a text
// against it, or draws texts of its language.
#include <vector>

#include "core/base/pcg32.h"
#include "tools/answer_grammar.h"
#include "tools/command.h"
#include "tools/input.h"

namespace lbm::cli {
namespace {

constexpr u64 kMemory = 64 * kMiB;

struct GrammarCommandFlags {
  GrammarFlags grammar;
  std::string check_path;
  u32 n_sample = 0;
  u64 seed = 0;
  u32 max_bytes = 4096;
};

class Machine {
 public:
  explicit Machine(const std::string& text)
      : memory_(kMemory), work_(kMemory), arena_(memory_.span()) {
    Arena scratch(work_.span());
    const Grammar& grammar =
        *expect(Grammar::parse(arena_, to_str(text), scratch), "", Stage::kUsage);
    matcher_ = expect(GrammarMatcher::create(arena_, grammar, {}), "grammar", Stage::kRun);
  }

  [[nodiscard]] const GrammarMatcher& operator*() const { return *matcher_; }
  [[nodiscard]] u32 start() {
    static_cast<void>(matcher_->collect({}));
    return checked(matcher_->start());
  }
  // The set after `byte`; `set` gets a new number where room has to be made.
  [[nodiscard]] u32 step(u32& set, u8 byte) {
    const u32 next = matcher_->step(set, byte);
    if (next != GrammarMatcher::kFull) return next;
    static_cast<void>(matcher_->collect({&set, 1}));
    return checked(matcher_->step(set, byte));
  }

 private:
  static u32 checked(u32 set) {
    if (set != GrammarMatcher::kFull) return set;
    throw CommandError(ExitCode::kUsage, "the grammar can be read in too many ways [limit]");
  }

  ReservedMemory memory_;
  ReservedMemory work_;
  Arena arena_;
  GrammarMatcher* matcher_ = nullptr;
};

ExitCode check(Machine& machine, const std::string& path) {
  const std::string text = read_file(path);
  u32 set = machine.start();
  for (usize i = 0; i < text.size(); ++i) {
    set = machine.step(set, static_cast<u8>(text[i]));
    if (set != GrammarMatcher::kDead) continue;
    notice(format("the grammar refuses byte %zu of %zu", i, text.size()));
    return ExitCode::kRuntime;
  }
  if ((*machine).can_end(set)) return ExitCode::kOk;
  notice(format("the text ends early: the grammar wants more after byte %zu", text.size()));
  return ExitCode::kRuntime;
}

// A text by chance: an end is as likely as each different way to go on, and the bytes of one way
// are equally likely. False: it grew too long.
bool draw(Machine& machine, Pcg32& random, u32 max_bytes, std::string& out) {
  u32 set = machine.start();
  for (out.clear(); out.size() <= max_bytes;) {
    std::vector<std::pair<u32, std::vector<u8>>> ways;
    for (u32 byte = 0; byte < 256; ++byte) {
      const u32 next = machine.step(set, static_cast<u8>(byte));
      if (next == GrammarMatcher::kDead) continue;
      usize way = 0;
      while (way < ways.size() && ways[way].first != next) ++way;
      if (way == ways.size()) ways.push_back({next, {}});
      ways[way].second.push_back(static_cast<u8>(byte));
    }
    const usize n = ways.size() + ((*machine).can_end(set) ? 1 : 0);
    if (n == 0) return false;
    const usize way = random.next() % n;
    if (way == ways.size()) return true;
    const std::vector<u8>& bytes = ways[way].second;
    const u8 byte = bytes[random.next() % bytes.size()];
    out.push_back(static_cast<char>(byte));
    set = machine.step(set, byte);
  }
  return false;
}

ExitCode sample(Machine& machine, const GrammarCommandFlags& flags) {
  Pcg32 random(flags.seed, 0x6772616d);  // "gram"
  std::string text;
  u32 n_drawn = 0;
  // Each line is a JSON text, since the language may have line feeds.
  for (u32 i = 0; i < flags.n_sample; ++i) {
    if (!draw(machine, random, flags.max_bytes, text)) continue;
    ++n_drawn;
    write_stdout(json_line(Json(text)));
  }
  if (n_drawn < flags.n_sample)
    notice(format("%u of %u texts were cut off at %u bytes and left out (--max-bytes)",
                  flags.n_sample - n_drawn, flags.n_sample, flags.max_bytes));
  return ExitCode::kOk;
}

ExitCode run(const GrammarCommandFlags& flags) {
  if (!flags.grammar.is_set())
    throw CommandError(ExitCode::kUsage, "no grammar: give one with --grammar or --json-schema");
  const std::string text = read_grammar(flags.grammar);
  Machine machine(text);
  if (!flags.check_path.empty()) return check(machine, flags.check_path);
  if (flags.n_sample != 0) return sample(machine, flags);
  write_stdout(text);
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<GrammarCommandFlags>();
  declare_grammar_flags(app, flags->grammar);
  CLI::Option* check =
      app.add_option("--check", flags->check_path, "is this text of the language? exit code 0 or 1")
          ->type_name("FILE");
  app.add_option("--sample", flags->n_sample, "so many texts by chance, each a line of JSON")
      ->excludes(check)
      ->type_name("N");
  app.add_option("-s,--seed", flags->seed, "seed of --sample (default: 0)")->type_name("S");
  app.add_option("--max-bytes", flags->max_bytes, "longest text of --sample (default: 4096)")
      ->type_name("N");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kGrammarCommand = {"grammar", "show, check and try out a grammar or a JSON schema",
                                 "  lbm grammar --json-schema person.json         # as GBNF\n"
                                 "  lbm grammar --grammar list.gbnf --check answer.txt\n"
                                 "  lbm grammar --json-schema person.json --sample 5",
                                 declare};

}  // namespace lbm::cli
