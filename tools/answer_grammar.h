// The flags by which a user says what an answer may consist of: --grammar and --json-schema.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "core/chat/grammar_filter.h"
#include "tools/output.h"
#include "tools/platform_posix.h"

namespace lbm::cli {

struct GrammarFlags {
  std::string grammar_path;
  std::string schema_path;

  [[nodiscard]] bool is_set() const { return !grammar_path.empty() || !schema_path.empty(); }
  [[nodiscard]] bool reads_stdin() const { return grammar_path == "-" || schema_path == "-"; }
};

void declare_grammar_flags(CLI::App& app, GrammarFlags& flags);

// The GBNF that `flags` name, of which one is set. Throws CommandError (kUsage) where a schema is
// none or has what a grammar can not express.
[[nodiscard]] std::string read_grammar(const GrammarFlags& flags);

// The same, and throws CommandError (kUsage), with line and column, where it is no grammar.
[[nodiscard]] std::string checked_grammar(const GrammarFlags& flags);

// A grammar ready for one model, with its memory.
class AnswerGrammar {
 public:
  // Throws CommandError (kUsage), with line and column of what is wrong in `text`.
  AnswerGrammar(const std::string& text, const Tokenizer& tokenizer);

  [[nodiscard]] TokenFilter& filter() { return *filter_; }

 private:
  ReservedMemory memory_;
  ReservedMemory work_;
  Arena arena_;
  GrammarFilter* filter_ = nullptr;
};

}  // namespace lbm::cli
