#include "tools/hf_directory.h"

#include <filesystem>
#include <set>

#include "tools/input.h"

namespace lbm::cli {
namespace {

constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr const char* kSingleFile = "model.safetensors";
constexpr int kMaxDepth = 64;  // of JSON; config and tokenizer files stay below 20

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw CommandError(ExitCode::kModel, path + ": " + what);
}

Json parse_json(const std::string& path, const std::string& text) {
  bool too_deep = false;
  const auto watch_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) too_deep = true;
    return !too_deep;
  };
  Json value = Json::parse(text, watch_depth, /*allow_exceptions=*/false);
  if (too_deep) refuse(path, format("nested deeper than %d levels [limit]", kMaxDepth));
  if (value.is_discarded()) refuse(path, "is not JSON [bad_syntax]");
  return value;
}

// A name of an index that leads out of the folder is an attack, not a shard.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

}  // namespace

HfDirectory::HfDirectory(const std::string& path) : path_(path) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  name_ = std::filesystem::weakly_canonical(path_).filename().string();
  if (!has("config.json"))
    refuse(path_, "no config.json: this is no Hugging Face model directory [missing]");
  config_ = read_json("config.json");
  if (!config_.is_object()) refuse(path_of("config.json"), "is no object [bad_syntax]");
  if (const Json text = first_of(config_, {"text_config"}); text.is_object()) config_.update(text);
  open_weights();
}

Json HfDirectory::read_json(const std::string& file) const {
  return has(file) ? parse_json(path_of(file), read(file)) : Json();
}

bool HfDirectory::has(const std::string& file) const {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path_of(file), ignored);
}

std::string HfDirectory::read(const std::string& file) const { return read_file(path_of(file)); }

void HfDirectory::open_weights() {
  if (!has(kIndexFile)) {
    if (!has(kSingleFile)) {
      refuse(path_, std::string("neither ") + kSingleFile + " nor " + kIndexFile +
                        ": weights in other formats (.bin, .pth) are not read [missing]");
    }
    add_file(kSingleFile);
    return;
  }
  const Json map = first_of(read_json(kIndexFile), {"weight_map"});
  if (!map.is_object()) refuse(path_of(kIndexFile), "has no weight_map [missing]");
  std::set<std::string> files;
  for (const auto& [tensor, file] : map.items()) {
    if (!file.is_string() || !is_plain_file_name(file.get<std::string>())) {
      refuse(path_of(kIndexFile),
             printable(to_str(tensor)) + ": no name of a file of this folder [bad_name]");
    }
    files.insert(file.get<std::string>());
  }
  for (const std::string& file : files) {
    if (!has(file)) refuse(path_of(file), "is named by the index and missing [missing]");
    add_file(file);
  }
  check_index(map);
}

void HfDirectory::add_file(const std::string& file) {
  files_.push_back(std::make_unique<SafetensorsFile>(path_of(file)));
  for (const StoredTensor& tensor : files_.back()->tensors()) {
    if (!file_of_.emplace(tensor.name, files_.back().get()).second) {
      refuse(path_of(file),
             printable(to_str(tensor.name)) + ": is in another file too [duplicate]");
    }
    tensors_.push_back({files_.back().get(), &tensor});
  }
}

void HfDirectory::check_index(const Json& map) const {
  for (const auto& [tensor, file] : map.items()) {
    const std::string path = path_of(file.get<std::string>());
    const auto at = file_of_.find(tensor);
    if (at == file_of_.end() || at->second->path() != path)
      refuse(path, printable(to_str(tensor)) + ": the index says that it is here [missing]");
  }
}

Json first_of(const Json& config, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto at = config.find(name);
    if (at != config.end() && !at->is_null()) return *at;
  }
  return nullptr;
}

}  // namespace lbm::cli
