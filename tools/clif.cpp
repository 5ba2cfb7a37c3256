// See clif.h.
#include "tools/clif.h"

#include <algorithm>
#include <vector>

#include "core/base/byte_reader.h"

namespace lbm::cli {
namespace {

constexpr u32 kMagic = 0x434C4946;  // "CLIF" as a number, so "FILC" as bytes
constexpr u32 kVersion = 1;
constexpr u32 kInt4 = 4;
constexpr u32 kMaxEmbd = 1u << 20;
constexpr u32 kMaxLayer = 1u << 16;
constexpr u32 kMaxVocab = 1u << 24;
constexpr u64 kReadBytes = kMiB;

u32 u32_at(const u8* bytes, u32 offset) {
  return static_cast<u32>(bytes[offset]) | static_cast<u32>(bytes[offset + 1]) << 8 |
         static_cast<u32>(bytes[offset + 2]) << 16 | static_cast<u32>(bytes[offset + 3]) << 24;
}

bool all_zero(const u8* bytes, u32 n) {
  return std::all_of(bytes, bytes + n, [](u8 byte) { return byte == 0; });
}

Sha256Digest hash_payload(ByteSource& source) {
  Sha256 hash;
  std::vector<u8> bytes(kReadBytes);
  for (u64 at = ClifHeader::kBytes; at < source.size(); at += kReadBytes) {
    const Span<u8> part(bytes.data(), static_cast<usize>(std::min(kReadBytes, source.size() - at)));
    if (!source.read(at, part).ok()) break;
    hash.update(part);
  }
  return hash.finish();
}

}  // namespace

bool is_clif(ByteSource& source) {
  u8 magic[4];
  return source.size() >= sizeof(magic) && source.read(0, magic).ok() && u32_at(magic, 0) == kMagic;
}

Result<ClifHeader> read_clif(ByteSource& source) {
  if (source.size() < ClifHeader::kBytes) {
    return fail(ErrorCode::kTruncated, "a CLIF-1 header has 64 bytes")
        .with(source.size(), ClifHeader::kBytes)
        .at(source.size());
  }
  u8 bytes[ClifHeader::kBytes];
  const Status read = source.read(0, bytes);
  if (!read.ok()) return read.error();
  if (u32_at(bytes, 0) != kMagic) return fail(ErrorCode::kBadMagic, "is no CLIF-1 file").at(0);
  if (u32_at(bytes, 4) != kVersion) {
    return fail(ErrorCode::kBadVersion, "this version of CLIF is not known")
        .with(u32_at(bytes, 4), kVersion)
        .at(4);
  }
  ClifHeader header;
  struct Dimension {
    const char* name;
    u32 offset;
    u32 limit;
    u32* out;
  };
  const Dimension dimensions[] = {{"hiddenDim", 8, kMaxEmbd, &header.n_embd},
                                  {"numLayers", 12, kMaxLayer, &header.n_layer},
                                  {"vocabSize", 16, kMaxVocab, &header.n_vocab}};
  for (const Dimension& dimension : dimensions) {
    *dimension.out = u32_at(bytes, dimension.offset);
    if (*dimension.out == 0 || *dimension.out > dimension.limit) {
      return fail(ErrorCode::kBadValue, "is 0 or beyond reason")
          .about(dimension.name)
          .with(*dimension.out, dimension.limit)
          .at(dimension.offset);
    }
  }
  header.quant_scheme = u32_at(bytes, 20);
  if (header.quant_scheme != kInt4) {
    return fail(ErrorCode::kUnsupported, "only scheme 4, int4, is defined")
        .about("quantScheme")
        .with(header.quant_scheme, kInt4)
        .at(20);
  }
  std::copy_n(bytes + 24, sizeof(header.checksum), header.checksum);
  header.has_checksum = !all_zero(bytes + 24, 32);
  if (!all_zero(bytes + 56, 8))
    return fail(ErrorCode::kBadValue, "reserved bytes are not 0").about("reserved").at(56);
  header.payload_bytes = source.size() - ClifHeader::kBytes;
  return header;
}

Json describe_clif(ByteSource& source, const ClifHeader& header) {
  Json out;
  out["format"] = "CLIF-1";
  out["size_bytes"] = source.size();
  out["n_embd"] = header.n_embd;
  out["n_layer"] = header.n_layer;
  out["n_vocab"] = header.n_vocab;
  out["quantization"] = "int4, blocks of 128";
  out["payload_bytes"] = header.payload_bytes;
  const Sha256Digest payload = hash_payload(source);
  out["payload_sha256"] = to_string(to_hex(payload).str());
  // The algorithm has no name; 32 bytes suggest one.
  Sha256Digest stored;
  std::copy_n(header.checksum, sizeof(header.checksum), stored.bytes);
  out["checksum"] = !header.has_checksum ? "none"
                    : stored == payload  ? "is the SHA-256 of the payload"
                                         : "of an algorithm that is not defined; not checked";
  Json problems = Json::array();
  if (header.payload_bytes < header.min_payload_bytes()) {
    problems.push_back("the payload of " + std::to_string(header.payload_bytes) +
                       " bytes is smaller than its embedding alone (" +
                       std::to_string(header.min_payload_bytes()) + "): a placeholder");
  }
  problems.push_back(describe(clif_import_refusal(), ""));
  out["runs"] = false;
  out["problems"] = std::move(problems);
  return out;
}

Error clif_import_refusal() {
  return fail(
             ErrorCode::kUnsupported,
             "CLIF-1 names no tensors, shapes, heads or tokenizer: its payload has no meaning that "
             "could be converted")
      .at(ClifHeader::kBytes);
}

}  // namespace lbm::cli
