// lbm quantize: a model with smaller weights.
//
// Reads any model file, writes GGUF. Every matrix gets the type that the mix gives it
// (quantize_mix.h), rows stream through all cores (requantize.h), and the new file appears under
// its name when it is complete.
#include "core/tensor/quantize.h"

#include <chrono>

#include "core/tensor/dequantize.h"
#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/quantize_mix.h"
#include "tools/requantize.h"
#include "tools/thread_pool.h"

namespace lbm::cli {
namespace {

struct QuantizeFlags {
  std::string input;
  std::string output;
  std::string mix;
  std::string importance;
  std::string output_type;
  std::string embedding_type;
  std::vector<std::string> tensor_types;
  u32 n_thread = 0;
  bool pure = false;
  bool allow_requantize = false;
  bool dry_run = false;
  bool json = false;
};

// ---- options ------------------------------------------------------------------------------------

DType parse_type(const std::string& name, const char* option) {
  DType type = DType::kF32;
  if (find_dtype(to_str(name), type) && can_quantize(type)) return type;
  throw CommandError(ExitCode::kUsage,
                     std::string(option) + " " + name +
                         ": no such type; there are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, "
                         "Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS");
}

std::pair<std::regex, DType> parse_override(const std::string& text) {
  const usize equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    throw CommandError(ExitCode::kUsage,
                       "--tensor-type " + text + ": PATTERN=TYPE is needed, as in ffn_down=Q6_K");
  }
  const DType type = parse_type(text.substr(equals + 1), "--tensor-type");
  try {
    return {std::regex(text.substr(0, equals)), type};
  } catch (const std::regex_error& error) {
    throw CommandError(ExitCode::kUsage, "--tensor-type " + text + ": " + error.what());
  }
}

MixOptions mix_options(const QuantizeFlags& flags) {
  MixOptions options;
  options.mix = find_mix(flags.mix);
  if (options.mix == nullptr) {
    throw CommandError(ExitCode::kUsage,
                       flags.mix + ": no such quantization; there are " + mix_names());
  }
  options.pure = flags.pure;
  options.has_importance = !flags.importance.empty();
  if (!flags.output_type.empty()) options.output = parse_type(flags.output_type, "--output-type");
  if (!flags.embedding_type.empty())
    options.embedding = parse_type(flags.embedding_type, "--embedding-type");
  for (const std::string& text : flags.tensor_types)
    options.overrides.push_back(parse_override(text));
  return options;
}

// ---- the plan -----------------------------------------------------------------------------------

bool is_quantized(DType type) { return dtype_traits(type).block_size > 1; }

struct Plan {
  std::vector<GgufTensor> before;
  std::vector<GgufTensor> after;
  u64 bytes_before = 0;
  u64 bytes_after = 0;
  u64 n_element = 0;
  u32 n_fallback = 0;
  u32 n_requantized = 0;

  [[nodiscard]] f64 bits_per_weight() const {
    return n_element == 0 ? 0 : 8.0 * static_cast<f64>(bytes_after) / static_cast<f64>(n_element);
  }
};

Plan make_plan(const std::vector<GgufTensor>& tensors, const ModelShape& shape,
               const MixOptions& options) {
  Plan plan;
  plan.before = plan.after = tensors;
  const std::vector<TensorType> types = choose_types(tensors, shape, options);
  for (usize i = 0; i < tensors.size(); ++i) {
    plan.after[i].dtype = types[i].type;
    if (types[i].fallback) ++plan.n_fallback;
    if (is_quantized(tensors[i].dtype) && types[i].type != tensors[i].dtype) ++plan.n_requantized;
    plan.bytes_before += tensors[i].n_byte();
    plan.bytes_after += plan.after[i].n_byte();
    plan.n_element += n_row(tensors[i]) * n_column(tensors[i]);
  }
  return plan;
}

void warn_of(const Plan& plan, const QuantizeFlags& flags) {
  if (plan.n_requantized > 0 && !flags.allow_requantize) {
    throw CommandError(
        ExitCode::kUsage,
        flags.input + format(": %u tensors are quantized already, and quantizing twice loses more "
                             "than once; start from F16, BF16 or F32, or add --allow-requantize",
                             plan.n_requantized));
  }
  if (plan.n_requantized > 0) {
    notice(
        format("%u tensors are quantized for the second time: expect a worse model than one "
               "made from F16",
               plan.n_requantized));
  }
  if (plan.n_fallback > 0) {
    notice(
        format("%u tensors have rows that are no whole number of blocks of their type and get "
               "the next larger one with smaller blocks",
               plan.n_fallback));
  }
}

// ---- the work -----------------------------------------------------------------------------------

GgufMetadata metadata_of(const ModelFile& file, const Mix& mix,
                         const ImportanceMatrix& importance) {
  GgufMetadata meta;
  meta.copy_from(file);
  meta.set_u32("general.file_type", mix.file_type);
  meta.set_u32("general.quantization_version", 2);
  if (importance.empty()) return meta;
  meta.set_text("quantize.imatrix.file", importance.file_name());
  if (!importance.text_name().empty())
    meta.set_text("quantize.imatrix.dataset", importance.text_name());
  meta.set_u32("quantize.imatrix.entries_count", static_cast<u32>(importance.size()));
  if (importance.n_chunk() > 0) meta.set_u32("quantize.imatrix.chunks_count", importance.n_chunk());
  return meta;
}

std::string shape_text(const GgufTensor& tensor) {
  std::string text;
  for (const u64 n : tensor.dims) text += (text.empty() ? "" : " x ") + std::to_string(n);
  return text;
}

Json describe_tensor(const GgufTensor& before, const GgufTensor& after) {
  return {{"name", before.name},
          {"shape", before.dims},
          {"from", dtype_traits(before.dtype).name},
          {"to", dtype_traits(after.dtype).name},
          {"bytes_before", before.n_byte()},
          {"bytes_after", after.n_byte()}};
}

class Quantization {
 public:
  explicit Quantization(const QuantizeFlags& flags)
      : flags_(flags),
        options_(mix_options(flags)),
        reader_(flags.input),
        source_(reader_),
        plan_(make_plan(source_.tensors(), model_shape(reader_.file()), options_)) {
    if (plan_.before.empty())
      throw CommandError(ExitCode::kModel, flags.input + ": there are no weights in it [missing]");
    if (!flags.importance.empty()) importance_ = ImportanceMatrix(flags.importance);
  }

  void run() {
    warn_of(plan_, flags_);
    const auto start = std::chrono::steady_clock::now();
    if (!flags_.dry_run) write();
    seconds_ = std::chrono::duration<f64>(std::chrono::steady_clock::now() - start).count();
    if (flags_.json) {
      print_json(report());
    } else {
      write_stdout(as_text());
    }
  }

 private:
  void write() {
    install_interrupt_handler();
    ThreadPool workers(flags_.n_thread == 0 ? count_physical_cores() : flags_.n_thread);
    TensorStream stream(source_, workers, importance_, flags_.input);
    GgufWriter out(flags_.output, metadata_of(reader_.file(), *options_.mix, importance_),
                   plan_.after);
    errors_ = stream.write_all(plan_.after, out);
    out.finish();
  }

  [[nodiscard]] Json report() const {
    Json out;
    out["input"] = flags_.input;
    out["output"] = flags_.output;
    out["type"] = options_.mix->name;
    out["file_type"] = options_.mix->file_type;
    out["dry_run"] = flags_.dry_run;
    out["bytes_before"] = plan_.bytes_before;
    out["bytes_after"] = plan_.bytes_after;
    out["bits_per_weight"] = plan_.bits_per_weight();
    out["n_fallback"] = plan_.n_fallback;
    out["n_requantized"] = plan_.n_requantized;
    out["seconds"] = seconds_;
    out["tensors"] = Json::array();
    for (usize i = 0; i < plan_.after.size(); ++i) {
      Json tensor = describe_tensor(plan_.before[i], plan_.after[i]);
      if (!flags_.dry_run) tensor["relative_error"] = errors_[i];
      out["tensors"].push_back(std::move(tensor));
    }
    return out;
  }

  [[nodiscard]] std::string as_text() const {
    std::string out;
    for (usize i = 0; i < plan_.after.size(); ++i) {
      const GgufTensor& before = plan_.before[i];
      const GgufTensor& after = plan_.after[i];
      out += format("%-32s %-18s %-6s -> %-6s %10s", printable(to_str(before.name)).c_str(),
                    shape_text(before).c_str(), dtype_traits(before.dtype).name,
                    dtype_traits(after.dtype).name, format_bytes(after.n_byte()).c_str());
      if (!flags_.dry_run && before.dtype != after.dtype)
        out += format("  error %.4f %%", 100 * errors_[i]);
      out += "\n";
    }
    return out + format("%s: %s -> %s, %.2f bits per weight%s\n", options_.mix->name,
                        format_bytes(plan_.bytes_before).c_str(),
                        format_bytes(plan_.bytes_after).c_str(), plan_.bits_per_weight(),
                        flags_.dry_run ? " (dry run: nothing was written)" : "");
  }

  const QuantizeFlags& flags_;
  const MixOptions options_;
  ModelReader reader_;
  ModelTensors source_;
  const Plan plan_;
  ImportanceMatrix importance_;
  std::vector<f64> errors_;  // of each tensor written
  f64 seconds_ = 0;
};

ExitCode run(QuantizeFlags& flags) {
  // With --dry-run the output may be left out, so its place holds the type.
  if (flags.dry_run && flags.mix.empty()) std::swap(flags.mix, flags.output);
  if (flags.mix.empty())
    throw CommandError(ExitCode::kUsage,
                       "INPUT OUTPUT TYPE are needed, as in: lbm quantize "
                       "model-F16.gguf model-Q4_K_M.gguf Q4_K_M");
  Quantization(flags).run();
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<QuantizeFlags>();
  app.add_option("INPUT", flags->input, "model with F32, F16 or BF16 weights")->required();
  app.add_option("OUTPUT", flags->output, "GGUF file to write")->required();
  app.add_option("TYPE", flags->mix, mix_names());
  app.add_option("--imatrix", flags->importance, "importance matrix (llama-imatrix, either format)")
      ->type_name("FILE");
  app.add_flag("--pure", flags->pure, "the same type for every matrix, no mix");
  app.add_option("--output-type,--output-tensor-type", flags->output_type,
                 "type of the output matrix, or of a tied embedding")
      ->type_name("TYPE");
  app.add_option("--embedding-type,--token-embedding-type", flags->embedding_type,
                 "type of the token embedding")
      ->type_name("TYPE");
  app.add_option("--tensor-type", flags->tensor_types,
                 "type of the tensors whose name matches a regular expression; again for more")
      ->type_name("PATTERN=TYPE")
      ->allow_extra_args(false);
  app.add_flag("--allow-requantize", flags->allow_requantize,
               "take weights that are quantized already");
  app.add_flag("--dry-run", flags->dry_run, "types and sizes only; OUTPUT may be left out");
  app.add_option("-t,--threads", flags->n_thread, "threads (default: physical cores)")
      ->check(CLI::Range(1u, ThreadPool::kMaxThreads))
      ->type_name("N");
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kQuantizeCommand = {
    "quantize", "a model with smaller weights",
    "  lbm quantize model-F16.gguf model-Q4_K_M.gguf Q4_K_M\n"
    "  lbm quantize model-F16.gguf Q4_K_M --dry-run               types and sizes\n"
    "  lbm quantize model-F16.gguf out.gguf Q4_0 --imatrix model.imatrix\n"
    "  lbm quantize model-F16.gguf out.gguf Q4_K_S --tensor-type ffn_down=Q6_K",
    declare};

}  // namespace lbm::cli
