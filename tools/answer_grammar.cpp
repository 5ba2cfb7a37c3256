#include "tools/answer_grammar.h"

#include "tools/input.h"
#include "tools/json_schema_grammar.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

// Address space; pages become real as they are used.
constexpr u64 kMemory = 256 * kMiB;

}  // namespace

void declare_grammar_flags(CLI::App& app, GrammarFlags& flags) {
  CLI::Option* grammar = app.add_option("--grammar", flags.grammar_path,
                                        "answer by this grammar only (GBNF); '-': stdin")
                             ->type_name("FILE");
  app.add_option("--json-schema", flags.schema_path,
                 "answer with JSON that this schema accepts; '-': stdin")
      ->excludes(grammar)
      ->type_name("FILE");
}

std::string read_grammar(const GrammarFlags& flags) {
  if (!flags.grammar_path.empty()) return read_file(flags.grammar_path);
  const Json schema =
      parse_strict_json(read_file(flags.schema_path), flags.schema_path, ExitCode::kUsage);
  try {
    return grammar_of_schema(schema);
  } catch (const SchemaError& error) {
    throw CommandError(ExitCode::kUsage, flags.schema_path + ": " + error.what());
  }
}

std::string checked_grammar(const GrammarFlags& flags) {
  std::string text = read_grammar(flags);
  ReservedMemory memory(kMemory);
  ReservedMemory work(kMemory);
  Arena arena(memory.span());
  Arena scratch(work.span());
  static_cast<void>(expect(Grammar::parse(arena, to_str(text), scratch), "", Stage::kUsage));
  return text;
}

AnswerGrammar::AnswerGrammar(const std::string& text, const Tokenizer& tokenizer)
    : memory_(kMemory), work_(kMemory), arena_(memory_.span()) {
  Arena scratch(work_.span());
  const Grammar& grammar =
      *expect(Grammar::parse(arena_, to_str(text), scratch), "", Stage::kUsage);
  const SortedPieces& pieces =
      *expect(SortedPieces::create(arena_, tokenizer, scratch), "grammar", Stage::kRun);
  filter_ = expect(GrammarFilter::create(arena_, grammar, pieces), "grammar", Stage::kUsage);
}

}  // namespace lbm::cli
