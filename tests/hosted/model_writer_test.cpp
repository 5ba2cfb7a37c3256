// The writers of GGUF and .slm against the readers: what was written is what is read, whatever way
// it took.
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "core/base/pcg32.h"
#include "core/tensor/dequantize.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"
#include "tools/gguf_writer.h"
#include "tools/model_reader.h"
#include "tools/slm_writer.h"

using namespace lbm;
using namespace lbm::cli;
using lbm::test::read_bytes;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/lbm-writer-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] usize n_file() const {
    usize n = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path_)) ++n;
    return n;
  }

 private:
  std::string path_;
};

constexpr u32 kEmbd = 32;
constexpr u32 kFf = 64;
constexpr u32 kVocab = 40;
constexpr u32 kLayers = 2;

GgufMetadata llama_metadata() {
  GgufMetadata out;
  out.set_text("general.architecture", "llama");
  out.set_u32("llama.block_count", kLayers);
  out.set_u32("llama.context_length", 64);
  out.set_u32("llama.embedding_length", kEmbd);
  out.set_u32("llama.feed_forward_length", kFf);
  out.set_u32("llama.attention.head_count", 2);
  out.set_u32("llama.attention.head_count_kv", 1);
  out.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  std::vector<std::string> tokens;
  for (u32 i = 0; i < kVocab; ++i) tokens.push_back("t" + std::to_string(i));
  out.set_text("tokenizer.ggml.model", "llama");
  out.set_text_array("tokenizer.ggml.tokens", tokens);
  out.set_f32_array("tokenizer.ggml.scores", std::vector<f32>(kVocab, -1.0f));
  out.set_i32_array("tokenizer.ggml.token_type", std::vector<i32>(kVocab, 1));
  out.set_text("tokenizer.chat_template", "{{ messages }}");
  return out;
}

std::vector<GgufTensor> llama_tensors(DType type) {
  std::vector<GgufTensor> out = {{"token_embd.weight", type, {kEmbd, kVocab}}};
  for (u32 i = 0; i < kLayers; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    out.push_back({blk + "attn_norm.weight", DType::kF32, {kEmbd}});
    out.push_back({blk + "attn_q.weight", type, {kEmbd, kEmbd}});
    out.push_back({blk + "attn_k.weight", type, {kEmbd, kEmbd / 2}});
    out.push_back({blk + "attn_v.weight", type, {kEmbd, kEmbd / 2}});
    out.push_back({blk + "attn_output.weight", type, {kEmbd, kEmbd}});
    out.push_back({blk + "ffn_norm.weight", DType::kF32, {kEmbd}});
    out.push_back({blk + "ffn_gate.weight", type, {kEmbd, kFf}});
    out.push_back({blk + "ffn_up.weight", type, {kEmbd, kFf}});
    out.push_back({blk + "ffn_down.weight", type, {kFf, kEmbd}});
  }
  out.push_back({"output_norm.weight", DType::kF32, {kEmbd}});
  return out;
}

// Random blocks with sensible scales.
std::vector<u8> random_bytes(const GgufTensor& tensor, Pcg32& random) {
  std::vector<u8> out(tensor.n_byte());
  for (u8& byte : out) byte = static_cast<u8>(random.next());
  if (tensor.dtype == DType::kF32) {
    for (usize at = 0; at < out.size(); at += 4) out[at + 3] = 0x3C;  // about 2^-7
    return out;
  }
  const u32 block = dtype_traits(tensor.dtype).block_bytes;
  for (usize at = 0; at < out.size(); at += block) out[at + 1] = 0x2C;  // f16, about 2^-4
  return out;
}

// Writes a random model of `type`; in pieces, since write() takes any.
std::vector<std::string> write_llama(const std::string& path, DType type,
                                     GgufOptions options = {}) {
  const std::vector<GgufTensor> tensors = llama_tensors(type);
  GgufWriter writer(path, llama_metadata(), tensors, options);
  Pcg32 random(7, 1);
  for (const GgufTensor& tensor : tensors) {
    const std::vector<u8> bytes = random_bytes(tensor, random);
    const usize first = bytes.size() / 3;
    writer.write({bytes.data(), first});
    writer.write({bytes.data() + first, bytes.size() - first});
  }
  writer.finish();
  return writer.paths();
}

std::vector<f32> values_of(const ModelReader& reader, const std::string& name) {
  TensorInfo info;
  REQUIRE(reader.file().find_tensor(to_str(name), info));
  std::vector<u8> bytes(info.n_byte);
  REQUIRE(reader.file().data().read(info.file_offset, {bytes.data(), bytes.size()}).ok());
  std::vector<f32> out(info.n_element());
  REQUIRE(dequantize(info.dtype, {bytes.data(), bytes.size()}, {out.data(), out.size()}).ok());
  return out;
}

// The same tensors with the same values, bit for bit.
void check_same_weights(const std::string& a_path, const std::string& b_path) {
  const ModelReader a(a_path);
  const ModelReader b(b_path);
  REQUIRE(a.file().n_tensor() == b.file().n_tensor());
  for (u32 i = 0; i < a.file().n_tensor(); ++i) {
    const std::string name = to_string(a.file().tensor(i).name);
    const std::vector<f32> x = values_of(a, name);
    const std::vector<f32> y = values_of(b, name);
    REQUIRE(x.size() == y.size());
    CHECK(std::memcmp(x.data(), y.data(), x.size() * sizeof(f32)) == 0);
  }
}

}  // namespace

TEST_CASE("gguf writer: every kind of value comes back", "[format][writer]") {
  const Folder folder;
  GgufMetadata meta;
  meta.set_u8("u8", 200);
  meta.set_u32("u32", 1);
  meta.set_i32("i32", -5);
  meta.set_u64("u64", ~u64{0});
  meta.set_f32("f32", 0.5f);
  meta.set_bool("bool", true);
  meta.set_text("text", "");
  meta.set_u32_array("u32s", {1, 2, 3});
  meta.set_i32_array("i32s", {});
  meta.set_f32_array("f32s", {1.5f});
  meta.set_bool_array("bools", {true, false});
  meta.set_text_array("texts", {"a", "", "\xE2\x96\x81"});
  meta.set_u32("u32", 7);  // in place
  CHECK(meta.size() == 12);
  CHECK(meta.erase("bool"));
  CHECK(!meta.contains("bool"));
  GgufWriter(folder / "a.gguf", meta, {}).finish();
  const ModelReader reader(folder / "a.gguf");
  const ModelFile& file = reader.file();
  REQUIRE(file.n_meta() == 11);
  CHECK(file.meta_key(1) == "u32");
  CHECK(file.get_u64("u32", 0, 9).value() == 7);
  CHECK(file.get_u64("u64", 0, ~u64{0}).value() == ~u64{0});
  MetaValue value;
  REQUIRE(file.find("i32", value));
  CHECK(value.integer == -5);
  CHECK(file.get_array("f32s").value().number(0) == 1.5);
  CHECK(file.get_array("i32s").value().count == 0);
  StringCursor texts(file.get_array("texts").value());
  CHECK(texts.next() == "a");
  CHECK(texts.next() == "");
  CHECK(texts.next() == "\xE2\x96\x81");
  // Copied, it is the same file to the byte.
  GgufMetadata copy;
  copy.copy_from(file);
  GgufWriter(folder / "b.gguf", copy, {}).finish();
  CHECK(read_bytes(folder / "a.gguf") == read_bytes(folder / "b.gguf"));
}

TEST_CASE("gguf writer: reader to writer to reader", "[format][writer]") {
  const Folder folder;
  for (const u64 alignment : {u64{1}, u64{32}, u64{256}}) {
    GgufOptions options;
    options.alignment = alignment;
    static_cast<void>(write_llama(folder / "a.gguf", DType::kQ4_0, options));
    const ModelReader reader(folder / "a.gguf");
    const ModelFile& file = reader.file();
    CHECK(file.alignment() == alignment);
    GgufMetadata meta;
    meta.copy_from(file);
    std::vector<GgufTensor> tensors;
    for (u32 i = 0; i < file.n_tensor(); ++i) {
      const TensorInfo info = file.tensor(i);
      tensors.push_back({to_string(info.name), info.dtype, {info.dims, info.dims + info.n_dim}});
    }
    GgufWriter writer(folder / "b.gguf", meta, tensors, options);
    for (u32 i = 0; i < file.n_tensor(); ++i) {
      std::vector<u8> bytes(file.tensor(i).n_byte);
      REQUIRE(file.data().read(file.tensor(i).file_offset, {bytes.data(), bytes.size()}).ok());
      writer.write({bytes.data(), bytes.size()});
    }
    writer.finish();
    CHECK(read_bytes(folder / "a.gguf") == read_bytes(folder / "b.gguf"));
  }
}

TEST_CASE("gguf writer: parts are the model", "[format][writer]") {
  const Folder folder;
  static_cast<void>(write_llama(folder / "whole.gguf", DType::kF32));
  GgufOptions options;
  options.max_split_bytes = 20000;
  const std::vector<std::string> paths = write_llama(folder / "m.gguf", DType::kF32, options);
  REQUIRE(paths.size() > 2);
  CHECK(paths[1] == folder / ("m-00002-of-0000" + std::to_string(paths.size()) + ".gguf"));
  for (const std::string& path : paths) check_same_weights(folder / "whole.gguf", path);
  const ModelReader reader(paths.back());
  CHECK(reader.file().parts().size() == paths.size());
  CHECK(reader.file().get_text("tokenizer.chat_template").ok());
}

TEST_CASE("writers leave nothing half-written", "[format][writer]") {
  const Folder folder;
  {
    const std::vector<GgufTensor> tensors = {{"t", DType::kF32, {8}}};
    GgufWriter writer(folder / "a.gguf", {}, tensors);
    const u8 bytes[40] = {};
    writer.write({bytes, 16});
    CHECK_THROWS_AS(writer.write({bytes, 40}), CommandError);
    CHECK_THROWS_AS(writer.finish(), CommandError);
    CHECK(folder.n_file() == 1);  // a.gguf.partial
  }
  CHECK(folder.n_file() == 0);
  const std::vector<GgufTensor> twice = {{"t", DType::kF32, {8}}, {"t", DType::kF32, {8}}};
  CHECK_THROWS_AS(GgufWriter(folder / "a.gguf", {}, twice), CommandError);
  const std::vector<GgufTensor> ragged = {{"t", DType::kQ4_0, {33}}};
  CHECK_THROWS_AS(GgufWriter(folder / "a.gguf", {}, ragged), CommandError);
  CHECK_THROWS_AS(GgufWriter(folder / "no/such/a.gguf", {}, {}), CommandError);
}

TEST_CASE("slm writer: exact weights come back", "[format][writer]") {
  const Folder folder;
  struct Case {
    DType type;
    DType read_as;  // of matrices
  };
  for (const Case& c : {Case{DType::kF32, DType::kF32}, Case{DType::kQ4_0, DType::kQ4_0},
                        Case{DType::kQ8_0, DType::kF32}, Case{DType::kF16, DType::kF32}}) {
    static_cast<void>(write_llama(folder / "m.gguf", c.type));
    const ModelReader gguf(folder / "m.gguf");
    write_slm(folder / "m.slm", gguf.file(), SlmWeights::kExact);
    check_same_weights(folder / "m.gguf", folder / "m.slm");
    const ModelReader slm(folder / "m.slm");
    TensorInfo info;
    REQUIRE(slm.file().find_tensor("blk.1.ffn_down.weight", info));
    CHECK(info.dtype == c.read_as);
    // The tokenizer and the template are those of the model.
    CHECK(slm.file().get_text("tokenizer.chat_template").value() == "{{ messages }}");
    CHECK(slm.file().get_array("tokenizer.ggml.tokens").value().count == kVocab);
    // And once more, from .slm.
    write_slm(folder / "n.slm", slm.file(), SlmWeights::kExact);
    check_same_weights(folder / "m.slm", folder / "n.slm");
  }
}

TEST_CASE("slm writer: quantized weights are near", "[format][writer]") {
  const Folder folder;
  static_cast<void>(write_llama(folder / "m.gguf", DType::kF32));
  const ModelReader gguf(folder / "m.gguf");
  for (const SlmWeights weights : {SlmWeights::kQ8_0, SlmWeights::kQ4_0}) {
    write_slm(folder / "q.slm", gguf.file(), weights);
    const ModelReader slm(folder / "q.slm");
    const std::vector<f32> x = values_of(gguf, "blk.0.attn_q.weight");
    const std::vector<f32> y = values_of(slm, "blk.0.attn_q.weight");
    f32 largest = 0;
    f32 worst = 0;
    for (usize i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::abs(x[i]));
      worst = std::max(worst, std::abs(x[i] - y[i]));
    }
    CHECK(worst <= largest / (weights == SlmWeights::kQ8_0 ? 253.0f : 13.9f));
  }
}

TEST_CASE("slm writer: what has no place in the format is refused", "[format][writer]") {
  const Folder folder;
  GgufMetadata meta = llama_metadata();
  std::vector<GgufTensor> tensors = llama_tensors(DType::kF32);
  tensors.push_back({"blk.0.attn_q.bias", DType::kF32, {kEmbd}});
  const auto write = [&] {
    GgufWriter writer(folder / "m.gguf", meta, tensors);
    for (const GgufTensor& tensor : tensors) {
      const std::vector<u8> zeros(tensor.n_byte());
      writer.write({zeros.data(), zeros.size()});
    }
    writer.finish();
    const ModelReader reader(folder / "m.gguf");
    write_slm(folder / "m.slm", reader.file(), SlmWeights::kExact);
  };
  CHECK_THROWS_AS(write(), CommandError);
  tensors.pop_back();
  write();
  meta.set_text("general.architecture", "qwen2");
  CHECK_THROWS_AS(write(), CommandError);
}
