// The report of `lbm inspect` as a person reads it.
#include "tools/inspect_model.h"

namespace lbm::cli {
namespace {

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

// "a, b and c" without the fuss.
std::string joined(const Json& words) {
  std::string out;
  for (const Json& word : words) out += (out.empty() ? "" : ", ") + text_of(word);
  return out;
}

std::string config_rows(const Json& config) {
  std::string out = row("context", config["n_ctx_train"].dump() + " tokens trained");
  out += row("shape", config["n_layer"].dump() + " layers, n_embd " + config["n_embd"].dump() +
                          ", n_ff " + config["n_ff"].dump() + ", heads " + config["n_head"].dump() +
                          " (kv " + config["n_head_kv"].dump() + "), head_dim " +
                          config["head_dim"].dump());
  if (config.contains("n_head_kv_of_layers"))
    out += row("", "kv heads of the layers: " + joined(config["n_head_kv_of_layers"]));
  if (!config["features"].empty()) out += row("", joined(config["features"]));
  return out + row("rope", "base " + config["rope"]["base"].dump() + ", " +
                               config["rope"]["n_rot"].dump() + " dims, scaling " +
                               text_of(config["rope"]["scaling"]));
}

std::string tokenizer_rows(const Json& tokenizer) {
  std::string out =
      row("tokenizer",
          text_of(tokenizer["model"]) + " / " + text_of(tokenizer["pre"]) + ", " +
              tokenizer["n_vocab"].dump() + " pieces" + token_words("BOS", tokenizer["bos"]) +
              token_words("EOS", tokenizer["eos"]) + (tokenizer["add_bos"] ? ", adds BOS" : "") +
              (tokenizer["add_eos"] ? ", adds EOS" : ""));
  std::string ends;
  for (const Json& token : tokenizer["ends"]) {
    ends += (ends.empty() ? "" : ", ") + token["id"].dump() + " " + text_of(token["text"]);
  }
  return out + row("", tokenizer["n_control"].dump() + " control tokens; an answer ends at " +
                           (ends.empty() ? "none" : ends));
}

std::string template_row(const Json& chat) {
  if (!chat["present"]) return row("template", "none in the file; a built-in one is used");
  std::string words = text_of(chat["kind"]) + ", " + chat["size_bytes"].dump() + " bytes";
  if (chat["think_blocks"]) words += ", think blocks";
  if (chat["think_switch"]) words += " (can be asked for)";
  if (!chat["usable"])
    words += "; not usable, a built-in one is used instead: " + text_of(chat["error"]);
  return row("template", words);
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

std::string memory_rows(const Json& memory) {
  const auto bytes = [](const Json& n) { return format_bytes(n.get<u64>()); };
  std::string out =
      row("memory", bytes(memory["total_bytes"]) + " needed, " + bytes(memory["available_bytes"]) +
                        " free: weights " + bytes(memory["weight_bytes"]) + ", loading " +
                        bytes(memory["load_bytes"]) + ", activations " +
                        bytes(memory["activation_bytes"]) +
                        (memory["recurrent_bytes"] == 0
                             ? std::string()
                             : ", recurrent state " + bytes(memory["recurrent_bytes"])) +
                        ", KV cache " + bytes(memory["kv_bytes"]) + " for " +
                        memory["n_ctx"].dump() + " tokens (" + text_of(memory["kv"]) + ")");
  for (const Json& context : memory["contexts"]) {
    const Json& kv = context["kv_bytes"];
    out += row("", format("KV cache of %6u tokens: %10s f16 %10s f32 %10s q8_0",
                          context["n_ctx"].get<u32>(), bytes(kv["f16"]).c_str(),
                          bytes(kv["f32"]).c_str(), bytes(kv["q8_0"]).c_str()));
  }
  return out;
}

std::string list_rows(const Json& report, const InspectFlags& flags) {
  std::string out;
  if (flags.tensors) {
    out += "\n";
    for (const Json& tensor : report["tensors"]) {
      out += format("%-8s %14s  %12llu  ", text_of(tensor["type"]).c_str(),
                    tensor["dims"].dump().c_str(),
                    static_cast<unsigned long long>(tensor["offset"].get<u64>())) +
             printable(to_str(text_of(tensor["name"]))) + "\n";
    }
  }
  if (flags.metadata) {
    out += "\n";
    for (const auto& [key, value] : report["metadata"].items()) {
      out += printable(to_str(key)) + " = " +
             printable(to_str(value.dump(-1, ' ', false, Json::error_handler_t::replace))) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string inspection_text(const Json& report, const InspectFlags& flags) {
  std::string out =
      row("file", text_of(report["file"]) + ", " + format_bytes(report["size_bytes"].get<u64>()));
  out += row("format", text_of(report["format"]) + " v" + report["version"].dump() + ", " +
                           report["n_tensor"].dump() + " tensors, " + report["n_metadata"].dump() +
                           " metadata keys");
  for (const Json& part : report["parts"]) {
    out += row("", text_of(part["file"]) + ", " + format_bytes(part["size_bytes"].get<u64>()) +
                       ", " + part["n_tensor"].dump() + " tensors");
  }
  if (!report["name"].is_null()) out += row("name", text_of(report["name"]));
  out += row("architecture",
             report["architecture"].is_null() ? "not given" : text_of(report["architecture"]));
  if (!report["license"].is_null()) out += row("license", text_of(report["license"]));
  out += row("parameters", format("%.1f million", report["n_parameter"].get<f64>() / 1e6));
  if (!report["config"].is_null()) out += config_rows(report["config"]);
  if (!report["tokenizer"].is_null()) out += tokenizer_rows(report["tokenizer"]);
  out += template_row(report["template"]) + type_rows(report["types"]);
  if (!report["memory"].is_null()) out += memory_rows(report["memory"]);
  out += row("runs here", report["runs"] ? "yes" : "no");
  for (const Json& problem : report["problems"]) out += row("", text_of(problem));
  for (const Json& note : report["notes"]) out += row("note", text_of(note));
  return out + list_rows(report, flags);
}

}  // namespace lbm::cli
