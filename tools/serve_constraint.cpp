// See serve_constraint.h.
#include "tools/serve_constraint.h"

#include "tools/json_schema_grammar.h"
#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

constexpr u64 kPieceMemory = 256 * kMiB;  // address space

[[noreturn]] void refuse(const ConstraintRequest& request, const Error& error) {
  const std::string what = printable(to_str(describe(error, "")));
  if (error.code == ErrorCode::kOutOfMemory) throw ApiError(503, what, "out_of_memory");
  throw ApiError(400, "'" + request.field + "': " + what, "invalid_grammar", request.field);
}

std::string grammar_text(const ConstraintRequest& request) {
  try {
    if (request.kind == ConstraintRequest::Kind::kSchema) return grammar_of_schema(request.schema);
    if (request.kind == ConstraintRequest::Kind::kAnyObject) return grammar_of_any_object();
  } catch (const SchemaError& error) {
    throw ApiError(400, "'" + request.field + "': " + printable(to_str(error.what())),
                   "invalid_schema", request.field);
  }
  return request.grammar;
}

// From the beginning of the answer.
class WholeConstraint final : public Constraint {
 public:
  explicit WholeConstraint(GrammarFilter& filter) : filter_(filter) {}
  TokenFilter& filter() override { return filter_; }

 private:
  GrammarFilter& filter_;
};

// Between a trigger and the end of what the grammar describes.
class TriggeredConstraint final : public Constraint, private TokenFilter {
 public:
  TriggeredConstraint(GrammarFilter& inner, const Tokenizer& tokenizer, const std::string& trigger)
      : inner_(inner),
        tokenizer_(tokenizer),
        trigger_(trigger),
        piece_(tokenizer.max_piece_bytes(), '\0'),
        all_((tokenizer.n_vocab() + 31) / 32, ~u32{0}) {}
  TokenFilter& filter() override { return *this; }

 private:
  void reset() override {
    is_on_ = false;
    tail_.clear();
  }
  Result<bool> allows(u32 token) override { return is_on_ ? inner_.allows(token) : true; }
  Result<Span<const u32>> allowed() override {
    if (is_on_) return inner_.allowed();
    return Span<const u32>(all_.data(), all_.size());
  }
  Status accept(u32 token) override {
    if (is_on_) {
      if (const Status s = inner_.accept(token); !s.ok()) return s;
      if (inner_.can_end()) reset();
      return {};
    }
    // No exception may pass through the core: what is appended fits the memory that is there.
    const Str text = tokenizer_.piece(token, false, {piece_.data(), piece_.size()});
    const usize n_keep = trigger_.size() + piece_.size();
    tail_.reserve(2 * n_keep + piece_.size());
    if (tail_.size() > n_keep) tail_.erase(0, tail_.size() - n_keep);
    tail_.append(text.data(), text.size());
    const usize found = tail_.rfind(trigger_);
    if (found == std::string::npos) return {};
    // A token that goes on behind the trigger with more than white space has begun without us.
    const usize rest = tail_.find_first_not_of(" \t\r\n", found + trigger_.size());
    tail_.clear();
    if (rest != std::string::npos) return {};
    inner_.reset();
    is_on_ = true;
    return {};
  }
  bool can_end() const override { return !is_on_; }
  bool must_end() const override { return false; }

  GrammarFilter& inner_;
  const Tokenizer& tokenizer_;
  const std::string trigger_;
  std::string piece_;
  std::vector<u32> all_;
  std::string tail_;
  bool is_on_ = false;
};

}  // namespace

Constraints::Constraints(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

const SortedPieces& Constraints::pieces() {
  const std::lock_guard lock(mutex_);
  if (pieces_ != nullptr) return *pieces_;
  if (memory_ == nullptr) {
    memory_ = std::make_unique<ReservedMemory>(kPieceMemory);
    arena_.add_range(memory_->span());
  }
  ReservedMemory work(SortedPieces::scratch_bytes(tokenizer_) + kMiB);
  Arena scratch(work.span());
  const Result<SortedPieces*> made = SortedPieces::create(arena_, tokenizer_, scratch);
  if (!made.ok())
    throw ApiError(503, printable(to_str(describe(made.error(), ""))), "out_of_memory");
  pieces_ = made.value();
  return *pieces_;
}

std::unique_ptr<Constraint> Constraints::make(const ConstraintRequest& request,
                                              const std::string& trigger, Arena& arena) {
  if (request.kind == ConstraintRequest::Kind::kNone) return nullptr;
  const std::string text = grammar_text(request);
  ReservedMemory memory(2 * Grammar::kScratchBytes);
  Arena scratch(memory.span());
  const Result<Grammar*> grammar = Grammar::parse(arena, to_str(text), scratch);
  if (!grammar.ok()) refuse(request, grammar.error());
  const Result<GrammarFilter*> filter = GrammarFilter::create(arena, *grammar.value(), pieces());
  if (!filter.ok()) refuse(request, filter.error());
  if (trigger.empty()) return std::make_unique<WholeConstraint>(*filter.value());
  return std::make_unique<TriggeredConstraint>(*filter.value(), tokenizer_, trigger);
}

}  // namespace lbm::cli
