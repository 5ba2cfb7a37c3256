// libFuzzer on the index of a file in pieces, in both of its forms, and on the JSON files of one of
// them. The input is the index and one shard, with a byte 0 between them (which no JSON has).
//
// What is accepted covers every byte once, and comes back when it is written and read again.
#include <string>

#include "tests/fuzz/read_model.h"
#include "tools/shard_index.h"

namespace {

using namespace lbm;

void check_refusal(const cli::CommandError& error) {
  const std::string message = error.what();
  fuzz::must(error.code() == cli::ExitCode::kModel && message.back() == ']');
  fuzz::must_be_printable(message);
}

void check_index(const cli::ShardIndex& index) {
  u64 end = 0;
  for (const cli::Chunk& chunk : index.chunks) {
    fuzz::must(chunk.offset == end && chunk.size <= index.size - end);
    fuzz::must(chunk.path.find('/') == std::string::npos && chunk.path != ".." &&
               !chunk.path.empty());
    end += chunk.size;
  }
  fuzz::must(end == index.size);
  if (!index.has_hashes) return;
  const std::string text = cli::to_json(index).dump();
  fuzz::must(cli::to_json(cli::parse_shard_index(text, "again")).dump() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  if (size > fuzz::kMaxInput) return 0;
  const std::string input(reinterpret_cast<const char*>(data), size);
  const usize cut = std::min(input.find('\0'), input.size());
  try {
    const cli::ShardIndex index = cli::parse_shard_index(input.substr(0, cut), "m.shards.json");
    check_index(index);
    if (!index.is_base64 || cut == input.size()) return 0;
    const std::string shard = input.substr(cut + 1);
    // The one that it says it is decodes; that is at most one.
    usize n_fit = 0;
    for (usize i = 0; i < std::min<usize>(index.chunks.size(), 4); ++i) {
      try {
        fuzz::must(cli::decode_base64_shard(shard, index, i, "shard.json").size() ==
                   index.chunks[i].size);
        ++n_fit;
      } catch (const cli::CommandError& error) {
        check_refusal(error);
      }
    }
    fuzz::must(n_fit <= 1);
  } catch (const cli::CommandError& error) {
    check_refusal(error);
  }
  return 0;
}
