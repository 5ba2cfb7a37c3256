// The three ways in which files hold experts: a tensor of each matrix of all experts, gate and up
// in one tensor, and a tensor for each matrix of each expert. The same weights give the same bits.
#include <unistd.h>

#include <filesystem>

#include "tests/hosted/golden.h"
#include "tests/hosted/reference_logits.h"
#include "tests/test.h"
#include "tools/gguf_writer.h"

using namespace lbm;
using namespace lbm::test;
using lbm::cli::GgufMetadata;
using lbm::cli::GgufTensor;
using lbm::cli::GgufWriter;

namespace {

using Bytes = std::vector<u8>;

struct Source {
  GgufTensor info;
  Bytes bytes;
};

// The model at `path` with its tensors changed by `change`, as another file would hold it.
template <class Change>
Bytes rewritten(const std::string& path, const Change& change) {
  MemorySource source(read_bytes(path));
  Bytes memory(4 << 20);
  Arena arena({memory.data(), memory.size()});
  Result<ModelFile> file = ModelFile::open(source, arena);
  REQUIRE(file.ok());
  std::vector<Source> tensors;
  for (u32 i = 0; i < file.value().n_tensor(); ++i) {
    const TensorInfo info = file.value().tensor(i);
    Bytes bytes(static_cast<usize>(info.n_byte));
    REQUIRE(source.read(info.file_offset, {bytes.data(), bytes.size()}).ok());
    const std::string name(info.name.data(), info.name.size());
    tensors.push_back({{name, info.dtype, {info.dims, info.dims + info.n_dim}}, std::move(bytes)});
  }
  const std::vector<Source> changed = change(std::move(tensors));
  GgufMetadata metadata;
  metadata.copy_from(file.value());
  std::vector<GgufTensor> table;
  for (const Source& tensor : changed) table.push_back(tensor.info);
  const std::string name = std::filesystem::temp_directory_path() /
                           ("lbm-experts-" + std::to_string(::getpid()) + ".gguf");
  GgufWriter writer(name, metadata, table);
  for (const Source& tensor : changed) writer.write({tensor.bytes.data(), tensor.bytes.size()});
  writer.finish();
  const Bytes result = read_bytes(name);
  std::filesystem::remove(name);
  return result;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}
std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

// ffn_gate_up_exps: for each expert the rows of its gate, then those of its up.
std::vector<Source> fused(std::vector<Source> tensors) {
  std::vector<Source> out;
  for (const Source& tensor : tensors) {
    if (ends_with(tensor.info.name, "ffn_up_exps.weight")) continue;
    if (!ends_with(tensor.info.name, "ffn_gate_exps.weight")) {
      out.push_back(tensor);
      continue;
    }
    const std::string up_name = replaced(tensor.info.name, "gate", "up");
    const auto up = std::find_if(tensors.cbegin(), tensors.cend(),
                                 [&](const Source& t) { return t.info.name == up_name; });
    Source both = tensor;
    both.info.name = replaced(tensor.info.name, "gate", "gate_up");
    both.info.dims[1] *= 2;
    both.bytes.clear();
    const usize n_expert = static_cast<usize>(tensor.info.dims[2]);
    const usize one = tensor.bytes.size() / n_expert;
    for (usize i = 0; i < n_expert; ++i) {
      for (const Bytes* part : {&tensor.bytes, &up->bytes})
        both.bytes.insert(both.bytes.end(), part->data() + i * one, part->data() + (i + 1) * one);
    }
    out.push_back(both);
  }
  return out;
}

std::vector<Source> apart(std::vector<Source> tensors) {
  std::vector<Source> out;
  for (const Source& tensor : tensors) {
    if (!ends_with(tensor.info.name, "_exps.weight")) {
      out.push_back(tensor);
      continue;
    }
    const usize n_expert = static_cast<usize>(tensor.info.dims[2]);
    const usize one = tensor.bytes.size() / n_expert;
    for (usize i = 0; i < n_expert; ++i) {
      Source expert = tensor;
      expert.info.name = replaced(tensor.info.name, "_exps.", "." + std::to_string(i) + ".");
      expert.info.dims.pop_back();
      expert.bytes.assign(tensor.bytes.data() + i * one, tensor.bytes.data() + (i + 1) * one);
      out.push_back(expert);
    }
  }
  return out;
}

std::vector<f32> logits_of(const Bytes& bytes) {
  LoadedModel loaded(bytes);
  INFO((loaded.status().ok() ? std::string("ok") : formatted(loaded.status())));
  REQUIRE(loaded.status().ok());
  std::vector<u32> tokens;
  for (u32 i = 0; i < 9; ++i) tokens.push_back(i * 7 + 3);
  return logits_of(loaded, tokens, reference_params(), *kernel_tables().back());
}

}  // namespace

TEST_CASE("experts in one tensor, fused with the gate, or in a tensor each give the same bits",
          "[golden][infer][experts]") {
  for (const char* name : {"models/llama-moe.gguf", "quantized/qwen3moe-Q4_K_M.gguf"}) {
    const std::string path = golden_path(name);
    if (path.empty()) {
      WARN("skipped: no golden models");
      return;
    }
    const std::vector<f32> expected = logits_of(read_bytes(path));
    CHECK(logits_of(rewritten(path, fused)) == expected);
    CHECK(logits_of(rewritten(path, apart)) == expected);
  }
}

TEST_CASE("experts that are missing, too many or of another shape are refused by name",
          "[golden][model][experts]") {
  const std::string path = golden_path("models/llama-moe.gguf");
  if (path.empty()) return;
  const auto without = [](const char* end) {
    return [end](std::vector<Source> tensors) {
      std::erase_if(tensors, [&](const Source& t) { return ends_with(t.info.name, end); });
      return tensors;
    };
  };
  const auto reshaped = [](u64 n_row, u64 n_expert) {
    return [=](std::vector<Source> tensors) {
      for (Source& t : tensors) {
        if (ends_with(t.info.name, "1.ffn_up_exps.weight")) t.info.dims = {64, n_row, n_expert};
      }
      return tensors;
    };
  };
  const struct {
    Bytes bytes;
    ErrorCode code;
    const char* subject;
  } cases[] = {
      {rewritten(path, without("1.ffn_down_exps.weight")), ErrorCode::kMissing,
       "blk.1.ffn_down_exps.weight"},
      {rewritten(path, without("0.ffn_gate_inp.weight")), ErrorCode::kMissing,
       "blk.0.ffn_gate_inp.weight"},
      {rewritten(path, reshaped(128, 2)), ErrorCode::kBadShape, "blk.1.ffn_up_exps.weight"},
      {rewritten(path, reshaped(32, 8)), ErrorCode::kBadShape, "blk.1.ffn_up_exps.weight"}};
  for (const auto& c : cases) {
    const LoadedModel loaded(c.bytes);
    REQUIRE(!loaded.status().ok());
    CHECK(loaded.status().error().code == c.code);
    const std::string message = formatted(loaded.status());
    INFO(message);
    CHECK(message.find(c.subject) != std::string::npos);
  }
}
