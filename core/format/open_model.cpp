// ModelFile::open: what a file is decides who reads it.
#include "core/base/arith.h"
#include "core/format/gguf.h"
#include "core/format/llama2c.h"
#include "core/format/slm.h"
#include "core/format/sniff.h"
#include "core/format/split.h"
#include "core/format/tokenizer_json.h"

namespace lbm {
namespace {

Result<ModelFile> read_by_kind(ByteSource& source, Arena& arena, const OpenOptions& options) {
  u8 bytes[kSniffBytes] = {};
  const u64 file_size = source.size();
  const Span<u8> head = Span<u8>(bytes).first(static_cast<usize>(min_u64(file_size, kSniffBytes)));
  if (!head.empty()) {
    if (Status s = source.read(0, head); !s.ok()) return s.error();
  }
  const FileKind kind = sniff(head, file_size);
  switch (kind) {
    case FileKind::kGguf: return read_gguf(source, arena);
    case FileKind::kSlm: return SlmReader(source, arena).read();
    case FileKind::kLlama2c:
    case FileKind::kLlama2cLegacy: return Llama2cReader(source, arena, options).read();
    case FileKind::kJson:
      if (options.tokenizer_json) return TokenizerJsonReader(source, arena).read();
      break;
    default: break;
  }
  return refuse_kind(kind, head, file_size);
}

}  // namespace

Result<ModelFile> ModelFile::open(ByteSource& source, Arena& arena, const OpenOptions& options) {
  const Arena::Mark mark = arena.mark();
  Result<ModelFile> file = read_by_kind(source, arena, options);
  if (!file.ok()) arena.rewind(mark);
  return file;
}

}  // namespace lbm
