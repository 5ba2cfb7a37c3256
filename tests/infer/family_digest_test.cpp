// Every family gives the bits that are written down here, in every kernel table and batch, on every
// host that runs this test.
#include "core/base/sha256.h"
#include "kernels/select.h"
#include "tests/infer/family_model.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kTokens = 14;  // more than the window of FamilyModel

alignas(64) u8 session_memory[512 * 1024];

// The first eight bytes of the SHA-256 over the logits of all tokens, in hexadecimal; empty when
// something failed.
struct Digest {
  char text[17] = {};
};
Digest digest_of(const Model& model, const KernelTable& kernels, u32 n_batch) {
  Arena arena{Span<u8>(session_memory)};
  SingleWorker worker;
  SessionParams params;
  params.n_batch = n_batch;
  Digest digest;
  Result<Session*> session = Session::create(arena, model, params, kernels, worker);
  if (!session.ok()) return digest;
  u32 tokens[kTokens];
  for (u32 i = 0; i < kTokens; ++i) tokens[i] = (i * 7 + 3) % FamilyModel::kVocab;
  class Sink final : public Session::LogitsSink {
   public:
    void on_logits(u32, Span<const f32> logits) override {
      hash.update({reinterpret_cast<const u8*>(logits.data()), logits.size() * sizeof(f32)});
    }
    Sha256 hash;
  } sink;
  if (!session.value()->evaluate_all(tokens, sink).ok()) return digest;
  const HexDigest hex = to_hex(sink.hash.finish());
  __builtin_memcpy(digest.text, hex.text, 16);
  return digest;
}

// Digests with matrices of F32, Q8_0 and Q4_1. They were recorded from the code whose logits agree
// with reference implementations (docs/families.md); a change of any means that bits changed.
struct Expectation {
  const char* architecture;
  const char* digests[3];
};
constexpr Expectation kExpectations[] = {
    {"llama", {"f5713e4f90cf9f41", "305b07f6cbf6983f", "791e6b51defbc1fb"}},
    {"qwen2", {"504a2be729c684ba", "220a91de17d21a2a", "fcfec0ccdbafd273"}},
    {"qwen3", {"d8eb1b159a16158f", "a0f1d8d1080302f3", "fb9ed111b70d64de"}},
    {"gemma", {"36d4234d4f2734ef", "8273dc9d02766b9d", "40b7596c267c2ce0"}},
    {"gemma2", {"e434b69d0e8a704e", "3d83a3dd9a162981", "b94360ff1cd9ef09"}},
    {"gemma3", {"31b6b94c7951a23f", "a4de043cb4734486", "f1f94bf348649005"}},
    {"phi2", {"63088c6a4b301002", "90033508ba02382c", "de5fc7b67875477d"}},
    {"phi3", {"504a2be729c684ba", "220a91de17d21a2a", "fcfec0ccdbafd273"}},
    {"smollm3", {"9d57cb5f242d6c12", "c66deb1db451c06c", "52ac54eef9ff27bc"}},
    {"granite", {"6623fd139d048135", "78d508bca0ca4f7d", "d04dcb4b1b9db683"}},
    {"granitemoe", {"87bad17a78e3b5ed", "7a7fcad36b033b93", "7e44ef2de8c0af00"}},
    {"olmo2", {"2dba5b756af06b57", "9b7602b40d02d551", "ed099b8642aff69c"}},
    {"stablelm", {"c7f9a618ba49755f", "672300c0c4bdcbc9", "049bc2bb6c08a175"}},
    {"starcoder2", {"c336f1a18e0d061b", "0f61ede1b081f826", "7aec5bc5ba966285"}},
    {"exaone4", {"d7f7f2ea284281db", "f209948340a789a6", "784c9d0d03271fac"}},
    {"minicpm", {"a809f86c2b173937", "3a2122a9afd5f91d", "7dc3f3d431fdb437"}},
    {"ernie4_5", {"f5713e4f90cf9f41", "305b07f6cbf6983f", "791e6b51defbc1fb"}},
    {"hunyuan-dense", {"ef38c710f9dcb785", "ac1dfbc7336cbb9e", "9779a7f75b393740"}},
    {"seed_oss", {"504a2be729c684ba", "220a91de17d21a2a", "fcfec0ccdbafd273"}},
    {"glm4", {"9f7461efff3b03e3", "b055e8816c4a4846", "0fb0a6175ce9a687"}},
    {"gpt2", {"df5477e65f554b15", "9ec393b0ca37fb20", "a48c254a74be95e3"}},
    {"gptneox", {"1e44609f3a718dc4", "01ebddb4628067a1", "a49afd3be54bf03b"}},
    {"falcon", {"09e9ccbf458f6ef2", "74f922d422055c5b", "9177d0f045271a1d"}},
    {"command-r", {"af251e167665dbf6", "0afd99ced56685e0", "b1f7dfe78bb0da5b"}},
    {"cohere2", {"20f22dc403274bc7", "553ac70fe17b6278", "509233e68a52166b"}},
    {"nemotron", {"66309ac139d5431d", "1894164884b7d1f8", "97217a9fa6289d00"}},
    {"qwen2moe", {"03f7450875c91807", "033b3e890977ed66", "b79c40558e74d45c"}},
    {"qwen3moe", {"55ba324912fa5596", "b29ddd35930f270c", "5ff36de7dba8f93e"}},
    {"olmoe", {"088629859e27b48e", "beb770f66d338075", "d147d285b0d87a71"}},
    {"gpt-oss", {"1921bc436d28a3e6", "2fd55ad702250091", "5bd2772e06400548"}},
};
constexpr DType kTypes[] = {DType::kF32, DType::kQ8_0, DType::kQ4_1};

// In every kernel table, in batches of all, of 5 and of 1.
bool agrees(const Model& model, Str expected) {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  constexpr u32 kBatches[] = {kTokens, 5, 1};
  for (u32 i = 0; i < n_table; ++i) {
    const Digest digest = digest_of(model, *tables[i], kBatches[i % 3]);
    if (Str(digest.text) != expected) return false;
  }
  return true;
}

// Models are large for the stack of bare metal.
alignas(FamilyModel) u8 model_memory[sizeof(FamilyModel)];

}  // namespace

TEST_CASE("every family gives the bits that are written down", "[infer][family]") {
  for (const Expectation& expected : kExpectations) {
    const Family* const family = find_family(expected.architecture);
    REQUIRE(family != nullptr);
    for (u32 i = 0; i < 3; ++i) {
      const FamilyModel& made = *new (PlaceAt{model_memory}) FamilyModel(*family, kTypes[i]);
      REQUIRE(made.status().ok());
      const bool same = agrees(made.model(), expected.digests[i]);
      CHECK(same);
    }
  }
}

TEST_CASE("no family is without a digest", "[infer][family]") {
  for (const Family& family : families()) {
    // Those have a test of their own: tests/infer/recurrent_test.cpp.
    bool found = family.recurrent != LayerKind::kAttention;
    for (const Expectation& expected : kExpectations)
      found = found || Str(expected.architecture) == Str(family.architecture);
    CHECK(found);
  }
}
