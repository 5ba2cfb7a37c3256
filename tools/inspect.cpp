// lbm inspect: what is in a model file, whether it runs here, and if not, the reason.
//
// A file whose container is sound is always reported, also when this build can not run it; a broken
// container is an error with the place of the damage (exit code 3).
#include <algorithm>

#include "core/chat/template.h"
#include "core/infer/session.h"
#include "core/model/model.h"
#include "core/tensor/grid.h"
#include "tools/command.h"
#include "tools/loaded_model.h"
#include "tools/model_reader.h"

namespace lbm::cli {
namespace {

struct InspectFlags {
  std::string path;
  std::string kv = "f16";
  u32 n_ctx = 0;
  bool json = false;
  bool metadata = false;
};

// ---- metadata -----------------------------------------------------------------------------------

// Scalars as they are; of arrays type and length only: vocabularies have a hundred thousand
// entries.
Json describe_value(const MetaValue& value) {
  switch (value.type) {
    case MetaType::kString: return to_string(value.text);
    case MetaType::kBool: return value.integer != 0;
    case MetaType::kF32:
    case MetaType::kF64: return value.number;
    case MetaType::kArray:
      return Json{{"array_of", to_string(meta_type_name(value.array.type))},
                  {"count", value.array.count}};
    default: return value.huge ? Json(static_cast<u64>(value.integer)) : Json(value.integer);
  }
}

Json describe_metadata(const ModelFile& file) {
  Json out = Json::object();
  for (u32 i = 0; i < file.n_meta(); ++i)
    out[to_string(file.meta_key(i))] = describe_value(file.meta_value(i));
  return out;
}

Json text_or_null(const ModelFile& file, Str key) {
  Result<Str> text = file.get_text(key);
  return text.ok() ? Json(to_string(text.value())) : Json(nullptr);
}

// ---- parts of the report ------------------------------------------------------------------------

Json describe_config(const ModelConfig& config) {
  static constexpr const char* kScaling[] = {"none", "linear", "yarn"};
  Json out;
  out["n_ctx_train"] = config.n_ctx_train;
  out["n_vocab"] = config.n_vocab;
  out["n_embd"] = config.n_embd;
  out["n_layer"] = config.n_layer;
  out["n_ff"] = config.n_ff;
  out["n_head"] = config.n_head;
  out["n_head_kv"] = config.n_head_kv;
  out["head_dim"] = config.head_dim;
  out["rms_eps"] = static_cast<f64>(config.norm_eps);
  out["rope"] = {{"base", config.rope.freq_base},
                 {"n_rot", config.rope.n_rot},
                 {"scaling", kScaling[static_cast<u32>(config.rope.scaling)]},
                 {"scale", config.rope.freq_scale}};
  return out;
}

Json token_or_null(const Tokenizer& tokenizer, u32 id) {
  if (id == Tokenizer::kNoToken) return nullptr;
  return Json{{"id", id}, {"text", decode_ids(tokenizer, {id})}};
}

Json describe_tokenizer(const Tokenizer& tokenizer) {
  Json out;
  out["model"] = to_string(tokenizer.model_name());
  out["pre"] = to_string(tokenizer.pretokenizer_name());
  out["n_vocab"] = tokenizer.n_vocab();
  out["bos"] = token_or_null(tokenizer, tokenizer.bos());
  out["eos"] = token_or_null(tokenizer, tokenizer.eos());
  out["add_bos"] = tokenizer.add_bos();
  out["add_eos"] = tokenizer.add_eos();
  return out;
}

// "slow": expanded anew for every token (core/tensor/grid.h), so decoding is bound by the processor.
const char* support_of(DType type) {
  if (!dtype_traits(type).is_weight) return "unsupported";
  return is_grid_type(type) ? "slow" : "fast";
}

// Type by type, the largest first.
Json describe_types(const ModelFile& file) {
  struct Total {
    DType type;
    u64 n_tensor, n_byte, n_element;
  };
  std::vector<Total> totals;
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    auto total = std::find_if(totals.begin(), totals.end(),
                              [&](const Total& t) { return t.type == tensor.dtype; });
    if (total == totals.end()) total = totals.insert(totals.end(), Total{tensor.dtype, 0, 0, 0});
    ++total->n_tensor;
    total->n_byte += tensor.n_byte;
    total->n_element += tensor.n_element();
  }
  std::sort(totals.begin(), totals.end(),
            [](const Total& a, const Total& b) { return a.n_byte > b.n_byte; });
  Json out = Json::array();
  for (const Total& total : totals) {
    const DTypeTraits traits = dtype_traits(total.type);
    out.push_back({{"type", traits.name},
                   {"n_tensor", total.n_tensor},
                   {"n_byte", total.n_byte},
                   {"n_element", total.n_element},
                   {"support", support_of(total.type)}});
  }
  return out;
}

u64 n_parameter(const ModelFile& file) {
  u64 n = 0;
  for (u32 i = 0; i < file.n_tensor(); ++i) n += file.tensor(i).n_element();
  return n;
}

// ---- the report ---------------------------------------------------------------------------------

class Inspection {
 public:
  Inspection(const InspectFlags& flags) : flags_(flags), reader_(flags.path) {}

  [[nodiscard]] Json report() {
    const ModelFile& file = reader_.file();
    out_["file"] = flags_.path;
    out_["size_bytes"] = file.file_size();
    out_["format"] = "GGUF";
    out_["version"] = file.version();
    out_["alignment"] = file.alignment();
    out_["n_tensor"] = file.n_tensor();
    out_["n_metadata"] = file.n_meta();
    out_["n_parameter"] = n_parameter(file);
    for (const char* key : {"architecture", "name", "license"}) {
      out_[key] = text_or_null(file, to_str(std::string("general.") + key));
    }
    Result<ModelConfig> config = read_config(file);
    out_["config"] = config.ok() ? describe_config(config.value()) : problem(config.error());
    Result<const Tokenizer*> tokenizer = reader_.try_tokenizer();
    out_["tokenizer"] =
        tokenizer.ok() ? describe_tokenizer(*tokenizer.value()) : problem(tokenizer.error());
    out_["template"] = describe_template(file);
    out_["types"] = describe_types(file);
    out_["memory"] = nullptr;
    if (file.n_tensor() == 0) {
      problems_.push_back("there are no weights in it: a vocabulary, to tokenize with, not to run");
    } else if (config.ok()) {
      describe_memory(config.value());
    }
    out_["runs"] = problems_.empty();
    out_["problems"] = problems_;
    out_["metadata"] = describe_metadata(file);
    return out_;
  }

 private:
  Json problem(const Error& error) {
    const std::string text = describe(error, "");
    if (std::find(problems_.begin(), problems_.end(), text) == problems_.end())
      problems_.push_back(text);
    return nullptr;
  }

  // A template that does not parse is no reason not to run: ChatML takes its place.
  Json describe_template(const ModelFile& file) {
    Result<Str> source = file.get_text("tokenizer.chat_template");
    Json out = {{"present", source.ok()}};
    if (!source.ok()) return out;
    out["size_bytes"] = source.value().size();
    const Arena::Mark mark = reader_.arena().mark();
    Result<ChatTemplate*> parsed = ChatTemplate::parse(reader_.arena(), source.value());
    out["usable"] = parsed.ok();
    if (!parsed.ok()) out["error"] = describe(parsed.error(), "");
    reader_.arena().rewind(mark);
    return out;
  }

  void describe_memory(const ModelConfig& config) {
    Result<WeightPlan> plan = plan_weights(reader_.file(), config, reader_.arena());
    if (!plan.ok()) {
      problem(plan.error());
      return;
    }
    SessionParams params;
    params.n_ctx = flags_.n_ctx;
    params.n_ctx = Session::effective_n_ctx(config, params);
    params.kv = kv_type_of(flags_.kv);
    const u64 session_bytes = Session::bytes_needed(config, params, count_physical_cores());
    const u64 total = plan.value().n_byte + plan.value().chunk_bytes + session_bytes;
    const u64 available = PosixPages().bytes_free();
    out_["memory"] = {{"weight_bytes", plan.value().n_byte},
                      {"load_bytes", plan.value().chunk_bytes},
                      {"session_bytes", session_bytes},
                      {"n_ctx", params.n_ctx},
                      {"kv", flags_.kv},
                      {"total_bytes", total},
                      {"available_bytes", available}};
    if (total > available) {
      problems_.push_back("needs " + format_bytes(total) + " of memory, " +
                          format_bytes(available) + " are free: a smaller -c needs less");
    }
  }

  InspectFlags flags_;
  ModelReader reader_;
  Json out_;
  std::vector<std::string> problems_;
};

// ---- as text ------------------------------------------------------------------------------------

std::string row(const char* label, const std::string& text) {
  return format("%-14s", label) + printable(to_str(text)) + "\n";
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string token_words(const char* label, const Json& token) {
  if (token.is_null()) return std::string(", no ") + label;
  return std::string(", ") + label + " " + token["id"].dump() + " " + text_of(token["text"]);
}

std::string model_rows(const Json& report) {
  std::string out;
  const Json& config = report["config"];
  if (!config.is_null()) {
    out += row("context", config["n_ctx_train"].dump() + " tokens trained");
    out += row("shape", config["n_layer"].dump() + " layers, n_embd " + config["n_embd"].dump() +
                            ", n_ff " + config["n_ff"].dump() + ", heads " +
                            config["n_head"].dump() + " (kv " + config["n_head_kv"].dump() +
                            "), head_dim " + config["head_dim"].dump());
    out += row("rope", "base " + config["rope"]["base"].dump() + ", " +
                           config["rope"]["n_rot"].dump() + " dims, scaling " +
                           text_of(config["rope"]["scaling"]));
  }
  const Json& tokenizer = report["tokenizer"];
  if (!tokenizer.is_null()) {
    out +=
        row("tokenizer",
            text_of(tokenizer["model"]) + " / " + text_of(tokenizer["pre"]) + ", " +
                tokenizer["n_vocab"].dump() + " pieces" + token_words("BOS", tokenizer["bos"]) +
                token_words("EOS", tokenizer["eos"]) + (tokenizer["add_bos"] ? ", adds BOS" : ""));
  }
  const Json& chat = report["template"];
  std::string words = "none in the file (ChatML is used)";
  if (chat["present"]) {
    words = chat["usable"] ? chat["size_bytes"].dump() + " bytes"
                           : "not usable, ChatML is used instead: " + text_of(chat["error"]);
  }
  return out + row("template", words);
}

std::string type_rows(const Json& types) {
  std::string out;
  for (const Json& type : types) {
    out += row(
        out.empty() ? "types" : "",
        format("%-8s %5llu tensors %10s  %s", text_of(type["type"]).c_str(),
               static_cast<unsigned long long>(type["n_tensor"].get<u64>()),
               format_bytes(type["n_byte"].get<u64>()).c_str(), text_of(type["support"]).c_str()));
  }
  return out;
}

std::string as_text(const Json& report, bool with_metadata) {
  std::string out =
      row("file", text_of(report["file"]) + ", " + format_bytes(report["size_bytes"].get<u64>()));
  out += row("format", "GGUF v" + report["version"].dump() + ", " + report["n_tensor"].dump() +
                           " tensors, " + report["n_metadata"].dump() + " metadata keys");
  if (!report["name"].is_null()) out += row("name", text_of(report["name"]));
  out += row("architecture",
             report["architecture"].is_null() ? "not given" : text_of(report["architecture"]));
  if (!report["license"].is_null()) out += row("license", text_of(report["license"]));
  out += row("parameters", format("%.1f million", report["n_parameter"].get<f64>() / 1e6));
  out += model_rows(report) + type_rows(report["types"]);
  const Json& memory = report["memory"];
  if (!memory.is_null()) {
    out += row("memory", format_bytes(memory["total_bytes"].get<u64>()) + " needed: weights " +
                             format_bytes(memory["weight_bytes"].get<u64>()) + ", session " +
                             format_bytes(memory["session_bytes"].get<u64>()) + " for " +
                             memory["n_ctx"].dump() + " tokens (kv " + text_of(memory["kv"]) +
                             "); " + format_bytes(memory["available_bytes"].get<u64>()) + " free");
  }
  out += row("runs here", report["runs"] ? "yes" : "no");
  for (const Json& problem : report["problems"]) out += row("", text_of(problem));
  if (with_metadata) {
    out += "\n";
    for (const auto& [key, value] : report["metadata"].items()) {
      out += printable(to_str(key)) + " = " +
             printable(to_str(value.dump(-1, ' ', false, Json::error_handler_t::replace))) + "\n";
    }
  }
  return out;
}

ExitCode run(const InspectFlags& flags) {
  const Json report = Inspection(flags).report();
  if (flags.json) {
    print_json(report);
  } else {
    write_stdout(as_text(report, flags.metadata));
  }
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<InspectFlags>();
  app.add_option("FILE,-m,--model", flags->path, "model file (GGUF)")
      ->required()
      ->envname("LBM_MODEL")
      ->type_name("FILE");
  app.add_option("-c,--ctx-size", flags->n_ctx,
                 "plan memory for N tokens (default: min(trained, 4096))")
      ->type_name("N");
  declare_kv(app, flags->kv);
  app.add_flag("--metadata", flags->metadata, "list the metadata too (--json always has it)");
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kInspectCommand = {"inspect", "what is in a model file, and does it run here",
                                 "  lbm inspect model.gguf\n"
                                 "  lbm inspect model.gguf --metadata\n"
                                 "  lbm inspect model.gguf --json | jq .memory",
                                 declare};

}  // namespace lbm::cli
