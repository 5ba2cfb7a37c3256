// Grammars over tokens: whatever is drawn under one is a text of its language, as told by readers
// that are written by hand for each.
#include "core/chat/grammar_filter.h"

#include "core/base/fmt.h"
#include "core/base/pcg32.h"
#include "core/base/utf8.h"
#include "core/chat/generate.h"
#include "core/infer/sampler.h"
#include "tests/chat/tiny_chat.h"
#include "tests/tokenizer/tiny_vocab.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr Str kJson =
    "root   ::= object\n"
    "value  ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ws (string \":\" ws value (\",\" ws string \":\" ws value)*)? \"}\" ws\n"
    "array  ::= \"[\" ws (value (\",\" ws value)*)? \"]\" ws\n"
    "string ::= \"\\\"\" ([^\"\\\\\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-f]{4}))* "
    "\"\\\"\" ws\n"
    "number ::= \"-\"? ([0-9] | [1-9] [0-9]{1,5}) (\".\" [0-9]+)? ([eE] [-+]? [0-9]+)? ws\n"
    "ws     ::= [ \\t\\n]{0,3}\n";

// ---- readers ------------------------------------------------------------------------------------

// JSON by recursive descent.
class JsonReader {
 public:
  explicit JsonReader(Str text) : text_(text) {}
  bool reads() {
    space();
    return value(0) && at_ == text_.size();
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void space() {
    while (at_ < text_.size() && Str::is_space(text_[at_])) ++at_;
  }
  bool word(Str w) {
    if (!text_.from(at_).starts_with(w)) return false;
    at_ += w.size();
    return true;
  }
  bool digits() {
    const usize start = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ != start;
  }
  bool string() {
    if (!take('"')) return false;
    while (!take('"')) {
      if (at_ == text_.size() || static_cast<u8>(peek()) < 0x20) return false;
      if (take('\\')) {
        if (take('u')) {
          for (u32 i = 0; i < 4; ++i, ++at_) {
            const char c = peek();
            if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
          }
        } else {
          if (Str("\"\\/bfnrt").find({&text_.data()[at_], 1}) == Str::kNone) return false;
          ++at_;
        }
        continue;
      }
      const Utf8Char c = decode_utf8(text_.from(at_));
      if (!c.valid) return false;
      at_ += c.n_byte;
    }
    return true;
  }
  bool list(char close, bool named, u32 depth) {
    ++at_;
    space();
    if (take(close)) return true;
    do {
      space();
      if (named) {
        if (!string()) return false;
        space();
        if (!take(':')) return false;
        space();
      }
      if (!value(depth + 1)) return false;
      space();
    } while (take(','));
    return take(close);
  }
  bool value(u32 depth) {
    bool ok = depth < 100;
    switch (peek()) {
      case '{': ok = ok && list('}', true, depth); break;
      case '[': ok = ok && list(']', false, depth); break;
      case '"': ok = ok && string(); break;
      case 't': ok = ok && word("true"); break;
      case 'f': ok = ok && word("false"); break;
      case 'n': ok = ok && word("null"); break;
      default:
        static_cast<void>(take('-'));
        ok = ok && (take('0') || digits());
        if (take('.')) ok = ok && digits();
        if (peek() == 'e' || peek() == 'E') {
          ++at_;
          if (peek() == '-' || peek() == '+') ++at_;
          ok = ok && digits();
        }
    }
    space();
    return ok;
  }

  Str text_;
  usize at_ = 0;
};

bool reads_json(Str text) { return JsonReader(text).reads(); }

bool reads_brackets(Str text) {
  char open[512];
  usize n = 0;
  for (const char c : text) {
    if (c == '(' || c == '[') {
      open[n++] = c;
    } else if (n == 0 || open[--n] != (c == ')' ? '(' : '[')) {
      return false;
    }
  }
  return n == 0 && !text.empty();
}

// Three to eight ideographs and a full stop.
bool reads_ideographs(Str text) {
  u32 n = 0;
  for (usize at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.from(at));
    if (!c.valid) return false;
    at += c.n_byte;
    if (c.codepoint == 0x3002) return at == text.size() && n >= 3 && n <= 8;
    if (c.codepoint < 0x4E00 || c.codepoint > 0x9FA5) return false;
    ++n;
  }
  return false;
}

// Lines of three fields, the second a number, and an end.
bool reads_table(Str text) {
  while (!text.starts_with("end")) {
    const usize end = text.find("\n");
    if (end == Str::kNone) return false;
    const Str line = text.first(end);
    const usize a = line.find(",");
    const usize b = a == Str::kNone ? Str::kNone : line.find(",", a + 1);
    if (b == Str::kNone || line.find(",", b + 1) != Str::kNone) return false;
    u64 number = 0;
    if (!parse_u64(line.slice(a + 1, b - a - 1), number)) return false;
    text = text.from(end + 1);
  }
  return text == "end";
}

// ---- the machine --------------------------------------------------------------------------------

constexpr GrammarMatcherLimits kTight = {
    .n_set = 96, .n_place = 1024, .n_call = 256, .n_reach = 512};

// Bytes, and pieces that end in the middle of what a grammar (and UTF-8) knows.
const TinyToken kTokens[] = {{"{\""},
                             {"\":"},
                             {"\","},
                             {"\xC4\xA0\""},
                             {"}}"},
                             {"]}"},
                             {"true"},
                             {"tr"},
                             {"ue"},
                             {"null,"},
                             {"[["},
                             {"],["},
                             {"12"},
                             {"3.5"},
                             {"e-"},
                             {"\\\\"},
                             {"\\u00"},
                             {"end"},
                             {",7"},
                             {",12,"},
                             {"abc"},
                             {"abcd"},
                             {"()"},
                             {")("},
                             {"(["},
                             {"])"},
                             {"<|im_end|>", TokenType::kControl},
                             {"<unused>", TokenType::kUnused},
                             {"{\"a", TokenType::kUserDefined},
                             {"<unk>", TokenType::kUnknown}};
constexpr u32 kEndWord = 256 + 17;
constexpr u32 kEnd = 256 + 26;
constexpr u32 kTinyTokens = 256 + sizeof(kTokens) / sizeof(kTokens[0]);

struct Bench {
  Arena arena{Span<u8>(memory(0))};
  Arena scratch{Span<u8>(memory(1))};
  LoadedTiny tokenizer;
  const SortedPieces* pieces = nullptr;

  static TinyVocab vocab() {
    TinyVocab out;
    out.tokens = kTokens;
    out.eos = kEnd;
    return out;
  }
  Bench() : tokenizer(vocab()) {
    REQUIRE(tokenizer.ok());
    const Result<SortedPieces*> made =
        SortedPieces::create(arena, *tokenizer.operator->(), scratch);
    REQUIRE(made.ok());
    CHECK(scratch.bytes_used() == 0);
    pieces = made.value();
  }
  static Span<u8> memory(u32 number) {
    return test_memory().slice(static_cast<usize>(number * 8 * kMiB), 8 * kMiB);
  }
  GrammarFilter& filter(Str text, const GrammarMatcherLimits& limits = kTight) {
    Result<Grammar*> grammar = Grammar::parse(arena, text, scratch);
    REQUIRE(grammar.ok());
    Result<GrammarFilter*> made = GrammarFilter::create(arena, *grammar.value(), *pieces, limits);
    REQUIRE(made.ok());
    return *made.value();
  }
  Sampler& sampler(f32 temperature, u32 top_k, u64 seed) {
    Sampler* made = Sampler::create(arena, kTinyTokens).value();
    SamplerParams params;
    params.temperature = temperature;
    params.top_k = top_k;
    params.top_p = 1;
    params.min_p = 0;
    params.seed = seed;
    made->set_params(params);
    made->reset();
    return *made;
  }
};

struct Drawn {
  char text[4096];
  usize size = 0;
  u32 n_token = 0;
  bool ended = false;

  [[nodiscard]] Str str() const { return {text, size}; }
};

// Random logits, until the answer ends or has been long enough.
void draw(const Bench& bench, GrammarFilter& filter, Sampler& sampler, u64 seed, Str closing,
          Drawn& out) {
  Pcg32 random(seed, 11);
  filter.reset();
  static f32 logits[kTinyTokens];
  for (out.n_token = 0; out.n_token < 300 && !out.ended; ++out.n_token) {
    for (f32& logit : logits) logit = static_cast<f32>(random.next_unit() * 8);
    // The longer it is, the likelier is what closes it.
    const f32 haste = static_cast<f32>(out.n_token) * 0.1f;
    for (const char c : closing) logits[static_cast<u8>(c)] += haste;
    logits[kEndWord] += haste;
    logits[kEnd] += haste;
    const Result<u32> token = sampler.pick(logits, &filter);
    REQUIRE(token.ok());
    const bool could_end = filter.can_end();
    REQUIRE(filter.accept(token.value()).ok());
    if (token.value() == kEnd) {
      CHECK(could_end);
      out.ended = true;
      break;
    }
    const Str piece = bench.pieces->piece(token.value());
    REQUIRE(!piece.empty());
    REQUIRE(out.size + piece.size() <= sizeof(out.text));
    __builtin_memcpy(out.text + out.size, piece.data(), piece.size());
    out.size += piece.size();
    out.ended = filter.must_end();
  }
}

}  // namespace

TEST_CASE("sorted pieces: every text once, in order, with what neighbours share", "[chat]") {
  Bench bench;
  const SortedPieces& pieces = *bench.pieces;
  CHECK(pieces.size() == kTinyTokens - 3);  // the end, what is unused, and the unknown token
  CHECK(pieces.end_tokens().size() == 1);
  CHECK(pieces.is_end(kEnd));
  CHECK(pieces.piece(kEnd).empty());
  CHECK(pieces.piece(256 + 3) == " \"");
  bool seen[kTinyTokens] = {};
  for (u32 rank = 0; rank < pieces.size(); ++rank) {
    const Str piece = pieces.piece(pieces.id(rank));
    CHECK(!seen[pieces.id(rank)]);
    seen[pieces.id(rank)] = true;
    if (rank == 0) {
      CHECK(pieces.n_common(rank) == 0);
      continue;
    }
    const Str before = pieces.piece(pieces.id(rank - 1));
    CHECK(!(piece < before));
    const u32 n = pieces.n_common(rank);
    CHECK(piece.first(n) == before.first(n));
    CHECK((n == piece.size() || n == before.size() || piece[n] != before[n]));
  }
}

TEST_CASE("grammar filter: what is drawn under a grammar is of its language", "[chat]") {
  const struct {
    Str grammar;
    bool (*reads)(Str text);
    Str closing;
    u32 least_ended;  // of 40: the others were cut off
  } cases[] = {
      {kJson, reads_json, "}]\"", 35},
      {"root ::= pair+\npair ::= \"(\" pair* \")\" | \"[\" pair* \"]\"", reads_brackets, "])", 35},
      {"root ::= [\\u4e00-\\u9fa5]{3,8} \"\\u3002\"", reads_ideographs, "", 40},
      {"root ::= line* \"end\"\nline ::= [^,\\ne] [^,\\n]* \",\" [0-9]{1,6} \",\" [^,\\n]* \"\\n\"",
       reads_table, ",\n", 35},
  };
  for (const auto& c : cases) {
    u32 n_ended = 0;
    u32 n_valid = 0;
    for (u64 seed = 0; seed < 40; ++seed) {
      Bench bench;
      GrammarFilter& filter = bench.filter(c.grammar);
      Drawn drawn;
      draw(bench, filter, bench.sampler(seed % 4 == 0 ? 0.0f : 1.0f, seed % 3 == 0 ? 5 : 0, seed),
           seed, c.closing, drawn);
      if (!drawn.ended) continue;
      ++n_ended;
      n_valid += c.reads(drawn.str()) ? 1u : 0u;
    }
    CHECK(n_ended >= c.least_ended);
    CHECK(n_valid == n_ended);
  }
}

TEST_CASE("grammar filter: the set of allowed tokens is that of one question for each", "[chat]") {
  Bench bench;
  GrammarFilter& filter = bench.filter(kJson);
  GrammarFilter& other = bench.filter(kJson, {});  // with room enough never to forget
  Pcg32 random(5, 3);
  for (u32 round = 0; round < 60; ++round) {
    const Result<Span<const u32>> allowed = filter.allowed();
    REQUIRE(allowed.ok());
    u32 bits[(kTinyTokens + 31) / 32];
    __builtin_memcpy(bits, allowed.value().data(), sizeof(bits));
    u32 n_different = 0;
    u32 n_allowed = 0;
    u32 chosen = 0;
    for (u32 id = 0; id < kTinyTokens; ++id) {
      const bool is_allowed = ((bits[id / 32] >> (id % 32)) & 1) != 0;
      if (is_allowed != other.allows(id).value()) ++n_different;
      if (is_allowed != filter.allows(id).value()) ++n_different;
      if (is_allowed && random.next() % ++n_allowed == 0) chosen = id;
    }
    CHECK(n_different == 0);
    REQUIRE(n_allowed != 0);
    if (chosen == kEnd) break;
    REQUIRE(filter.accept(chosen).ok());
    REQUIRE(other.accept(chosen).ok());
    CHECK(filter.can_end() == other.can_end());
    CHECK(filter.must_end() == other.must_end());
  }
}

TEST_CASE("grammar filter: ends only where the grammar does, and refuses what it did not offer",
          "[chat]") {
  Bench bench;
  GrammarFilter& filter = bench.filter("root ::= \"ab\" \"c\"*");
  CHECK(!filter.can_end());
  CHECK(!filter.allows(kEnd).value());
  CHECK(filter.accept(kEnd).error().code == ErrorCode::kBadValue);
  CHECK(filter.accept('b').error().code == ErrorCode::kBadValue);
  CHECK(filter.accept(kTinyTokens + 7).error().code == ErrorCode::kBadValue);
  CHECK(filter.accept(256 + 27).error().code == ErrorCode::kBadValue);  // has no text
  CHECK(filter.allows(256 + 20).value());                               // abc
  CHECK(!filter.allows(256 + 21).value());                              // abcd
  REQUIRE(filter.accept('a').ok());
  REQUIRE(filter.accept('b').ok());
  CHECK(filter.can_end());
  CHECK(!filter.must_end());
  REQUIRE(filter.accept(kEnd).ok());
  CHECK(filter.must_end());
  CHECK(!filter.allows('c').value());
  CHECK(filter.allows(kEnd).value());
  const Span<const u32> allowed = filter.allowed().value();
  u32 n = 0;
  for (const u32 word : allowed) n += static_cast<u32>(__builtin_popcount(word));
  CHECK(n == 1);
  filter.reset();
  CHECK(filter.allows('a').value());
  CHECK(!filter.can_end());
}

TEST_CASE("grammar filter: an ambiguous grammar is an error, not a wait", "[chat]") {
  Bench bench;
  GrammarFilter& filter = bench.filter("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"\"");
  Status status;
  for (u32 i = 0; i < 64 && status.ok(); ++i) status = filter.accept('a');
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kLimit);
  filter.reset();
  CHECK(filter.accept('a').ok());
}

TEST_CASE("grammar filter: memory is known before it is taken", "[chat]") {
  Bench bench;
  Result<Grammar*> grammar = Grammar::parse(bench.arena, kJson, bench.scratch);
  REQUIRE(grammar.ok());
  const u64 needed = GrammarFilter::bytes_needed(kTinyTokens, kTight);
  Arena enough{Span<u8>(Bench::memory(1)).first(static_cast<usize>(needed))};
  CHECK(GrammarFilter::create(enough, *grammar.value(), *bench.pieces, kTight).ok());
  for (u64 bytes = 0; bytes < needed; bytes += 997) {
    Arena arena{Span<u8>(Bench::memory(1)).first(static_cast<usize>(bytes))};
    const Result<GrammarFilter*> made =
        GrammarFilter::create(arena, *grammar.value(), *bench.pieces, kTight);
    if (made.ok()) break;  // the bound is one of alignment, too
    CHECK(made.error().code == ErrorCode::kOutOfMemory);
    CHECK(arena.bytes_used() == 0);
  }
}

TEST_CASE("grammar: an answer of a model obeys, and speculation changes nothing", "[chat]") {
  constexpr u32 kPrompt[] = {257, 'h', 'e', 'l', 'l', 'o', 258};
  for (const u64 seed : {1u, 2u, 3u}) {
    Sha256Digest digest;
    u32 n_token = 0;
    for (const Speculate speculate : {Speculate::kOff, Speculate::kAlways}) {
      Chat chat;
      SamplerParams params;
      params.temperature = 0.9f;
      params.seed = seed;
      chat.sampler->set_params(params);
      Arena arena{chat.pages.take(4 * kMiB, "grammar").value()};
      Arena scratch{chat.pages.take(Grammar::kScratchBytes, "grammar").value()};
      const SortedPieces& pieces =
          *SortedPieces::create(arena, chat.engine.tokenizer(), scratch).value();
      const Grammar& grammar =
          *Grammar::parse(
               arena,
               "root ::= \"[\" item (\", \" item){4,9} \"]\"\nitem ::= \"\\\"\" [a-z ]{3} "
               "\"\\\"\" | \"0\" | [1-9] [0-9]{0,3}",
               scratch)
               .value();
      GrammarFilter& filter = *GrammarFilter::create(arena, grammar, pieces).value();
      GenerateOptions options = at_most(0);
      options.digest = true;
      options.speculate = speculate;
      options.filter = &filter;
      Answer answer;
      const Result<GenerateStats> stats = generate(chat.with(), kPrompt, options, answer);
      REQUIRE(stats.ok());
      CHECK(stats.value().stop == StopReason::kEndOfGeneration);
      CHECK(reads_json(answer.str()));
      CHECK(answer.str()[0] == '[');
      if (speculate == Speculate::kOff) {
        digest = stats.value().digest;
        n_token = stats.value().n_output;
      } else {
        CHECK(stats.value().digest == digest);
        CHECK(stats.value().n_output == n_token);
      }
    }
  }
}
