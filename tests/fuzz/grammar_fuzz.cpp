// libFuzzer: a grammar made of the input, and a JSON schema made of it.
//
// The input up to the first 0xFF is GBNF, what follows is a text. What must hold: parsing gives all
// memory back where it fails; a grammar that is accepted is run over the text and over what it
// allows by itself, within its memory; what it lets pass as a whole is valid UTF-8; and forgetting
// in the middle changes no answer. An input that begins with '{' is read as a schema, too: what
// becomes a grammar is one that parses, or begins with itself, or is too large.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/utf8.h"
#include "core/infer/grammar_matcher.h"
#include "tools/json_schema_grammar.h"

namespace lbm {
namespace {

constexpr GrammarMatcherLimits kLimits = {
    .n_set = 256, .n_place = 4096, .n_call = 512, .n_reach = 2048};

void require(bool holds) {
  if (!holds) std::abort();
}

// One step with room made where it is missing; kFull where that did not help.
u32 step(GrammarMatcher& matcher, u32& set, u8 byte) {
  const u32 next = matcher.step(set, byte);
  if (next != GrammarMatcher::kFull) return next;
  static_cast<void>(matcher.collect({&set, 1}));
  return matcher.step(set, byte);
}

// Whether each byte of `text` is taken, and whether it may end there; all false from a kFull on.
std::vector<bool> trace(GrammarMatcher& matcher, Str text, bool forgets, bool& is_full) {
  std::vector<bool> out;
  static_cast<void>(matcher.collect({}));
  u32 set = matcher.start();
  for (const char c : text) {
    if (set == GrammarMatcher::kFull) break;
    if (forgets) static_cast<void>(matcher.collect({&set, 1}));
    set = step(matcher, set, static_cast<u8>(c));
    if (set == GrammarMatcher::kFull) break;
    out.push_back(set != GrammarMatcher::kDead);
    out.push_back(matcher.can_end(set));
  }
  is_full = set == GrammarMatcher::kFull;
  return out;
}

// The first byte that is allowed, over and over, beginning the search at what the text says.
void walk(GrammarMatcher& matcher, Str text) {
  std::string said;
  static_cast<void>(matcher.collect({}));
  u32 set = matcher.start();
  for (usize i = 0; i < 64 && set != GrammarMatcher::kFull; ++i) {
    if (matcher.can_end(set)) require(is_valid_utf8({said.data(), said.size()}));
    if (!matcher.can_go_on(set)) return;
    const u32 first = i < text.size() ? static_cast<u8>(text[i]) : 0;
    u32 next = GrammarMatcher::kDead;
    u32 k = 0;
    for (; k < 256 && next == GrammarMatcher::kDead; ++k)
      next = step(matcher, set, static_cast<u8>(first + k));
    require(next != GrammarMatcher::kDead);  // it said that it can go on
    said.push_back(static_cast<char>(first + k - 1));
    set = next;
  }
}

void run(Str source, Str text, bool is_of_schema) {
  static std::vector<u8> memory(8 << 20);
  static std::vector<u8> work(Grammar::kScratchBytes);
  Arena arena{Span<u8>(memory.data(), memory.size())};
  Arena scratch{Span<u8>(work.data(), work.size())};
  const Result<Grammar*> grammar = Grammar::parse(arena, source, scratch);
  require(scratch.bytes_used() == 0);
  if (!grammar.ok()) {
    require(arena.bytes_used() == 0);
    const ErrorCode code = grammar.error().code;
    require(!is_of_schema || code == ErrorCode::kUnsupported || code == ErrorCode::kLimit);
    return;
  }
  GrammarMatcher& matcher = *GrammarMatcher::create(arena, *grammar.value(), kLimits).value();
  bool is_full[2] = {};
  const Str some = text.first(text.size() < 256 ? text.size() : 256);
  const std::vector<bool> plain = trace(matcher, some, false, is_full[0]);
  const std::vector<bool> forgetting = trace(matcher, some, true, is_full[1]);
  if (!is_full[0] && !is_full[1]) require(plain == forgetting);
  walk(matcher, some);
}

void run_schema(const std::string& text) {
  const cli::Json schema = cli::Json::parse(text, nullptr, false);
  if (schema.is_discarded()) return;
  std::string grammar;
  try {
    grammar = cli::grammar_of_schema(schema);
  } catch (const cli::SchemaError&) {
    return;
  }
  run(cli::to_str(grammar), "{\"a\": 1}", true);
}

}  // namespace
}  // namespace lbm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const size_t split = input.find('\xFF');
  const std::string source = input.substr(0, split);
  const std::string text = split == std::string::npos ? std::string() : input.substr(split + 1);
  lbm::run({source.data(), source.size()}, {text.data(), text.size()}, false);
  // Deep JSON is the business of the strict reader, which comes before this one.
  if (!source.empty() && source[0] == '{' && source.size() < 4096) lbm::run_schema(source);
  return 0;
}
