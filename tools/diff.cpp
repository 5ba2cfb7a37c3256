// lbm diff: where do two ways to compute the same thing part?
//
// The same tokens are evaluated twice, with two instruction sets, thread counts or batch sizes.
// Every named operation of the forward pass reports its result; each row of it (one position) is
// hashed. Since all ways must give the same bits (docs/numerics.md), the first operation whose
// hashes differ is where the fault is: what comes later only inherits it. "First" goes by layer and
// operation, not by position, since a position depends on others only through earlier layers.
#include <algorithm>
#include <map>

#include "core/base/sha256.h"
#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/loaded_model.h"

namespace lbm::cli {
namespace {

struct DiffFlags {
  ModelFlags model;
  std::string tokens;
  std::vector<std::string> isas;
  std::vector<u32> n_threads;
  std::vector<u32> n_batches;
  bool trace = false;
  bool json = false;
};

// One operation of the forward pass, as it was met: `repeat` counts equal names within a layer and
// position.
struct Operation {
  u32 layer = TraceSink::kNoLayer;
  std::string name;
  u32 repeat = 0;

  friend bool operator<(const Operation& a, const Operation& b) {
    return std::tie(a.layer, a.name, a.repeat) < std::tie(b.layer, b.name, b.repeat);
  }
};

std::string to_text(const Operation& operation) {
  std::string text = operation.layer == TraceSink::kNoLayer
                         ? operation.name
                         : format("layer %u, ", operation.layer) + operation.name;
  return operation.repeat == 0 ? text : text + format(" #%u", operation.repeat + 1);
}

// Keeps the hash of every row of every operation.
class HashTrace final : public TraceSink {
 public:
  void on_operation(u32 layer, Str name, u32 pos, Span<const f32> values) override {
    Operation operation{layer, to_string(name), 0};
    while (rows_.contains({operation, pos})) ++operation.repeat;
    if (order_.emplace(operation, operations_.size()).second) operations_.push_back(operation);
    rows_.emplace(std::pair(operation, pos), hash(values));
  }

  // In the order in which they first ran.
  [[nodiscard]] const std::vector<Operation>& operations() const { return operations_; }
  // Empty where the operation did not run for the position.
  [[nodiscard]] std::string row(const Operation& operation, u32 pos) const {
    const auto found = rows_.find({operation, pos});
    return found == rows_.end() ? std::string() : found->second;
  }

 private:
  static std::string hash(Span<const f32> values) {
    Sha256 sha;
    sha.update({reinterpret_cast<const u8*>(values.data()), values.size_bytes()});
    return to_string(to_hex(sha.finish()).str().first(16));
  }

  std::map<std::pair<Operation, u32>, std::string> rows_;
  std::map<Operation, usize> order_;
  std::vector<Operation> operations_;
};

// One side of the comparison.
struct Side {
  ModelFlags flags;
  std::string label;
  std::string digest;
  HashTrace trace;
};

void evaluate(Side& side, const std::vector<u32>& tokens) {
  LoadedModel model(side.flags, {.hash_file = false, .n_ctx_is_trained = true});
  side.label = format("isa %s, %u threads, batch %u", model.kernels().name, model.n_thread(),
                      model.session().n_batch());
  LogitsDigest digest(model.kernels());
  model.session().set_trace(&side.trace);
  model.evaluate_all({tokens.data(), tokens.size()}, digest);
  model.session().set_trace(nullptr);
  side.digest = digest.finish_hex();
}

struct Difference {
  bool found = false;
  Operation operation;
  std::vector<u32> positions;
};

// The first operation, in the order of side a, with a row that differs. An operation that only one
// side has differs too.
Difference first_difference(const HashTrace& a, const HashTrace& b, u32 n_token) {
  std::vector<Operation> operations = a.operations();
  for (const Operation& extra : b.operations()) {
    const auto same = [&](const Operation& known) { return !(known < extra) && !(extra < known); };
    if (std::none_of(operations.begin(), operations.end(), same)) operations.push_back(extra);
  }
  for (const Operation& operation : operations) {
    Difference difference{true, operation, {}};
    for (u32 pos = 0; pos < n_token; ++pos) {
      if (a.row(operation, pos) != b.row(operation, pos)) difference.positions.push_back(pos);
    }
    if (!difference.positions.empty()) return difference;
  }
  return {};
}

std::string positions_text(const std::vector<u32>& positions, usize n_token) {
  std::string text =
      format("%zu of %zu positions, first %u", positions.size(), n_token, positions.front());
  return positions.size() == 1 ? format("position %u", positions.front()) : text;
}

void print_trace(const Side& a, const Side& b, u32 n_token) {
  for (const Operation& operation : a.trace.operations()) {
    for (u32 pos = 0; pos < n_token; ++pos) {
      const std::string hash_a = a.trace.row(operation, pos);
      const std::string hash_b = b.trace.row(operation, pos);
      if (hash_a.empty() && hash_b.empty()) continue;
      write_stdout(format("%c pos %u %s %s %s\n", hash_a == hash_b ? ' ' : '!', pos,
                          hash_a.empty() ? "-" : hash_a.c_str(),
                          hash_b.empty() ? "-" : hash_b.c_str(), to_text(operation).c_str()));
    }
  }
}

// Item `which` of a list that holds none, one for both sides, or one for each.
template <class T>
T pick(const std::vector<T>& values, usize which, const T& standard) {
  if (values.empty()) return standard;
  return values[std::min(which, values.size() - 1)];
}

ExitCode run(const DiffFlags& flags) {
  const std::vector<u32> tokens = parse_tokens(flags.tokens);
  const u32 n_token = static_cast<u32>(tokens.size());
  Side sides[2];
  for (usize i = 0; i < 2; ++i) {
    sides[i].flags = flags.model;
    sides[i].flags.isa = pick(flags.isas, i, flags.model.isa);
    sides[i].flags.n_thread = pick(flags.n_threads, i, flags.model.n_thread);
    sides[i].flags.n_batch = pick(flags.n_batches, i, flags.model.n_batch);
    evaluate(sides[i], tokens);
  }
  const auto& [a, b] = sides;
  if (flags.trace) print_trace(a, b, n_token);
  const Difference difference = first_difference(a.trace, b.trace, n_token);
  const bool equal = !difference.found && a.digest == b.digest;
  Json out;
  out["equal"] = equal;
  out["a"] = {{"label", a.label}, {"digest", a.digest}};
  out["b"] = {{"label", b.label}, {"digest", b.digest}};
  out["n_operation"] = a.trace.operations().size();
  out["n_token"] = n_token;
  if (difference.found) {
    const u32 layer = difference.operation.layer;
    out["layer"] = layer == TraceSink::kNoLayer ? Json(nullptr) : Json(layer);
    out["operation"] = difference.operation.name;
    out["positions"] = difference.positions;
  }
  if (flags.json) {
    print_json(out);
  } else {
    std::string verdict =
        equal ? format("equal: %zu operations, %u tokens", a.trace.operations().size(), n_token)
              : std::string("different: the logits, though every operation agrees");
    if (difference.found) {
      verdict = "different: " + to_text(difference.operation) + " (" +
                positions_text(difference.positions, n_token) + ")";
    }
    write_stdout(verdict + "\n  a  " + a.digest + "  " + a.label + "\n  b  " + b.digest + "  " +
                 b.label + "\n");
  }
  return equal ? ExitCode::kOk : ExitCode::kRuntime;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<DiffFlags>();
  declare_model_path(app, flags->model.path);
  app.add_option("--tokens", flags->tokens, "token ids: 1,2,3 ('-': from stdin)")
      ->required()
      ->type_name("IDS");
  app.add_option("--isa", flags->isas, "kernels of side a, and given again, of side b")
      ->take_all()
      ->expected(1)
      ->type_name("NAME");
  app.add_option("-t,--threads", flags->n_threads, "threads, once for both or twice")
      ->take_all()
      ->expected(1)
      ->type_name("N");
  app.add_option("-b,--batch,--batch-size", flags->n_batches,
                 "tokens at once, once for both or twice")
      ->take_all()
      ->expected(1)
      ->check(CLI::Range(1, 512))
      ->type_name("N");
  app.add_option("-c,--ctx-size", flags->model.n_ctx,
                 std::string("tokens of context (default: ") + kTrainedContextDefault + ")")
      ->type_name("N");
  declare_kv(app, flags->model.kv);
  app.add_flag("--trace", flags->trace,
               "list the hashes of every operation, '!' where they differ");
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] {
    for (const usize n : {flags->isas.size(), flags->n_threads.size(), flags->n_batches.size()}) {
      if (n > 2)
        throw CommandError(ExitCode::kUsage,
                           "there are two sides: --isa, -t and -b may be given twice at most");
    }
    return run(*flags);
  };
}

}  // namespace

const Command kDiffCommand = {"diff",
                              "the first layer and operation where two ways to compute differ",
                              "  lbm diff -m model.gguf --tokens 1,2,3 --isa scalar --isa avx2\n"
                              "  lbm diff -m model.gguf --tokens 1,2,3 -t 1 -t 4 -b 1 -b 32\n\n"
                              "Exit code 0: every operation gave the same bits; 1: they differ.",
                              declare};

}  // namespace lbm::cli
