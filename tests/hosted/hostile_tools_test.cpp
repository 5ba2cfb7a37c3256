// The hostile files that only the tools read: refused with the code of the index, each as a command
// would read it, from its file.
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>

#include "tests/hosted/counted_heap.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"
#include "tools/clif.h"
#include "tools/manifest.h"
#include "tools/safetensors.h"
#include "tools/scxm.h"
#include "tools/shard_index.h"
#include "tools/tokenizer_json.h"

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::hostile_corpus_is_there;
using lbm::test::HostileFile;

namespace {

constexpr u64 kMostHeap = 64 * kKiB;  // and twice the file

struct Refusal {
  std::string code = "ok";
  u64 offset = Error::kNoOffset;
};

Refusal refusal_of(const Status& status) {
  if (status.ok()) return {};
  const Str name = error_code_name(status.error().code);
  return {{name.data(), name.size()}, status.error().offset};
}

// The code at the end of a message, "... at byte 4 [bad_version]".
Refusal refusal_of(const cli::CommandError& error) {
  const std::string text = error.what();
  Refusal refusal;
  const usize open = text.rfind('[');
  refusal.code = text.substr(open + 1, text.rfind(']') - open - 1);
  const usize at = text.rfind("at byte ");
  if (at != std::string::npos) refusal.offset = std::strtoull(text.c_str() + at + 8, nullptr, 10);
  return refusal;
}

template <class T>
Status status_of(const Result<T>& result) {
  return result.ok() ? Status() : Status(result.error());
}

using Reader = std::function<Refusal(const HostileFile&)>;

Refusal by_exception(const std::function<void()>& read) {
  try {
    read();
  } catch (const cli::CommandError& error) {
    return refusal_of(error);
  }
  return {};
}

std::string text_of(const HostileFile& file) {
  const std::vector<u8> bytes = file.bytes();
  return {bytes.begin(), bytes.end()};
}

// The index that the shards of the corpus belong to.
constexpr const char* kIndexOfShards =
    R"({"format": "CLIF-1-base64-sharded", "baseName": "m", "shardCount": 2, "totalBytes": 5,
        "shards": ["m.0.json", "m.1.json"]})";

const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> all = {
      {"safetensors",
       [](const HostileFile& file) {
         return by_exception([&] { const cli::SafetensorsFile read(file.path()); });
       }},
      {"clif",
       [](const HostileFile& file) {
         lbm::test::MemorySource source(file.bytes());
         return refusal_of(status_of(cli::read_clif(source)));
       }},
      {"scxm",
       [](const HostileFile& file) {
         lbm::test::MemorySource source(file.bytes());
         return refusal_of(status_of(cli::read_scxm(source)));
       }},
      {"manifest",
       [](const HostileFile& file) {
         return by_exception([&] { (void)cli::parse_manifest(text_of(file), file.name); });
       }},
      {"tokenizer_json",
       [](const HostileFile& file) {
         return by_exception([&] { (void)cli::tokenizer_json_as_gguf(file.path()); });
       }},
      {"shards",
       [](const HostileFile& file) {
         return by_exception([&] { (void)cli::parse_shard_index(text_of(file), file.name); });
       }},
      {"shard",
       [](const HostileFile& file) {
         return by_exception([&] {
           const cli::ShardIndex index = cli::parse_shard_index(kIndexOfShards, "m.shards.json");
           (void)cli::decode_base64_shard(text_of(file), index, 0, file.name);
         });
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("hostile files of the tools are refused as the index says", "[hostile][tools]") {
  if (!hostile_corpus_is_there()) return;
  std::map<std::string, u32> n_tried;
  for (const HostileFile& row : hostile_corpus()) {
    const auto reader = readers().find(row.kind());
    if (reader == readers().end()) continue;
    ++n_tried[row.kind()];
    INFO(row.name);
    const lbm::test::HeapUse heap;
    const Refusal refusal = reader->second(row);
    // I2; what is accepted may keep what it holds.
    if (row.stage != "ok") CHECK(heap.peak() <= kMostHeap + 2 * row.n_byte());
    CHECK(refusal.code == row.error);
    if (row.is_recorded) {
      CHECK(refusal.offset == row.offset);
    } else {
      const bool has_place = refusal.offset != Error::kNoOffset;
      std::cout << "offset of " << row.name << ": "
                << (has_place ? std::to_string(refusal.offset) : "none") << '\n';
    }
  }
  CHECK(n_tried.size() == readers().size());
}
