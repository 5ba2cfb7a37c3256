#include "core/format/sniff.h"

#include "core/base/byte_reader.h"
#include "core/base/fmt.h"

namespace lbm {
namespace {

struct Start {
  Str bytes;
  FileKind kind;
};
// In this order: the first that fits.
constexpr Start kStarts[] = {
    {"GGUF", FileKind::kGguf},
    {"FUGG", FileKind::kGguf},  // byte-swapped, which its reader says
    {"SLM1", FileKind::kSlm},
    {"1MLS", FileKind::kSlm},
    {"24ka", FileKind::kLlama2c},  // the u32 0x616B3432, little-endian
    {"PK\x03\x04", FileKind::kZip},
    {"PK\x05\x06", FileKind::kZip},
    {"\x1f\x8b", FileKind::kGzip},
    {"lmgg", FileKind::kOldGgml},
    {"fmgg", FileKind::kOldGgml},
    {"tjgg", FileKind::kOldGgml},
    {"algg", FileKind::kLoraAdapter},
    {"FILC", FileKind::kClif},  // the u32 "CLIF", little-endian
    {"SCXM", FileKind::kScxm},
    {"<!", FileKind::kWebPage},
    {"<h", FileKind::kWebPage},
    {"vers", FileKind::kLfsPointer},
};

// A length and JSON of that length.
bool is_safetensors(Span<const u8> head, u64 file_size) {
  ByteReader in(head);
  const u64 n_json = in.read_u64();
  return in.read_u8() == '{' && in.ok() && n_json >= 2 && n_json <= file_size - 8;
}

bool is_pickle(Span<const u8> head) {
  return head.size() >= 3 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5;
}

bool is_json(Span<const u8> head) {
  const Str text = Str(head).trimmed();
  return !text.empty() && (text[0] == '{' || text[0] == '[');
}

// max_token_length, then the record of "<unk>": score, length, text.
bool is_tokenizer_bin(Span<const u8> head) {
  ByteReader in(head);
  const u32 longest = in.read_u32();
  in.skip(4);
  return in.read_u32() == 5 && in.read_text(5) == "<unk>" && longest >= 5 && longest < 65536;
}

// dim, hidden, layers, heads, KV heads, vocabulary (negative: untied), context. A file is taken for
// one when at least six of the seven are possible, so that one bad number is reported as such. Of a
// file that ends inside them, all that are there, and two at least.
bool is_llama2c_legacy(Span<const u8> head) {
  constexpr i32 kMost[] = {1 << 20, 1 << 20, 1 << 10, 1 << 10, 1 << 10, 1 << 20, 1 << 20};
  constexpr u32 kFields = 7;
  const u32 n_there = static_cast<u32>(head.size() / 4 < kFields ? head.size() / 4 : kFields);
  ByteReader in(head);
  u32 n_possible = 0;
  for (u32 i = 0; i < n_there; ++i) {
    const i32 value = in.read_i32();
    const bool is_vocabulary = i == 5;
    const bool fits = value >= 1 && value <= kMost[i];
    if (fits || (is_vocabulary && value < 0 && value >= -kMost[i])) ++n_possible;
  }
  if (n_there < kFields) return n_there >= 2 && n_possible == n_there;
  return n_possible + 1 >= kFields;
}

struct KindWords {
  Str name;
  const char* refusal;
};

KindWords words_of(FileKind kind) {
  switch (kind) {
    case FileKind::kGguf: return {"GGUF", ""};
    case FileKind::kSlm: return {"SLM1", ""};
    case FileKind::kLlama2c:
    case FileKind::kLlama2cLegacy: return {"llama2.c", ""};
    case FileKind::kTokenizerBin:
      return {"llama2.c tokenizer",
              "the tokenizer of a llama2.c model, not a model; it belongs beside one"};
    case FileKind::kSafetensors:
      return {"safetensors",
              "a safetensors file: convert the folder that it came in, lbm convert DIR MODEL.gguf"};
    case FileKind::kZip:
      return {"zip archive",
              "a zip archive or PyTorch checkpoint: take the safetensors form of the model, then "
              "lbm convert DIR MODEL.gguf"};
    case FileKind::kPickle:
      return {"pickle",
              "a Python pickle (PyTorch checkpoint), which is a program and is not run: take the "
              "safetensors form of the model, then lbm convert DIR MODEL.gguf"};
    case FileKind::kGzip: return {"gzip archive", "a gzip archive: unpack it first"};
    case FileKind::kOldGgml:
      return {"old ggml",
              "a ggml file from before GGUF, which says too little about itself: take the GGUF "
              "form of the model"};
    case FileKind::kLoraAdapter:
      return {"old LoRA adapter", "a LoRA adapter in an old ggml format, not a model"};
    case FileKind::kClif:
      return {"CLIF-1",
              "a CLIF-1 file, which has no tensor shapes: lbm inspect explains it, lbm convert "
              "imports it with a configuration"};
    case FileKind::kScxm:
      return {"SCXM",
              "an SCXM file, which has no tensor shapes: lbm inspect explains it, lbm convert "
              "imports it with a configuration"};
    case FileKind::kJson:
      return {"JSON", "a JSON file (tokenizer, configuration or index), not a model"};
    case FileKind::kWebPage:
      return {"web page", "not a model but a web page: the download went wrong, get it again"};
    case FileKind::kLfsPointer:
      return {"Git LFS pointer", "not a model but a Git LFS pointer: get the file it points to"};
    case FileKind::kTooShort: return {"nothing", "the file is too short to be a model; bytes"};
    case FileKind::kUnknown: break;
  }
  return {"unknown", "no model format that this build reads: GGUF, .slm or llama2.c .bin"};
}

}  // namespace

FileKind sniff(Span<const u8> head, u64 file_size) {
  if (head.size() < 4) return FileKind::kTooShort;
  for (const Start& start : kStarts) {
    if (Str(head).starts_with(start.bytes)) return start.kind;
  }
  if (is_safetensors(head, file_size)) return FileKind::kSafetensors;
  if (is_pickle(head)) return FileKind::kPickle;
  if (is_json(head)) return FileKind::kJson;
  if (is_tokenizer_bin(head)) return FileKind::kTokenizerBin;
  if (is_llama2c_legacy(head)) return FileKind::kLlama2cLegacy;
  return FileKind::kUnknown;
}

Str file_kind_name(FileKind kind) { return words_of(kind).name; }

Error refuse_kind(FileKind kind, Span<const u8> head, u64 file_size) {
  const char* what = words_of(kind).refusal;
  if (kind == FileKind::kTooShort) {
    return fail(ErrorCode::kTruncated, what).with(file_size).at(0);
  }
  Error error = fail(ErrorCode::kBadMagic, what).at(0);
  if (kind != FileKind::kUnknown) return error;
  constexpr usize kShown = 16;
  constexpr char kDigits[] = "0123456789abcdef";
  TextBuffer<Error::kSubjectCapacity> subject;
  subject.print("first bytes");
  for (usize i = 0; i < head.size() && i < kShown; ++i)
    subject.print(" {}{}", kDigits[head[i] >> 4], kDigits[head[i] & 15]);
  return error.about(subject.text());
}

}  // namespace lbm
