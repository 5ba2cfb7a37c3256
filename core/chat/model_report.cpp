// See model_report.h.
#include "core/chat/model_report.h"

#include "core/base/arith.h"
#include "core/model/config.h"
#include "core/model/families.h"
#include "core/model/weights.h"

namespace lbm {
namespace {

// Reads headers into pages of its own; gives them back when it goes.
class HeaderProbe {
 public:
  explicit HeaderProbe(Pages& pages) : pages_(pages) {}
  HeaderProbe(const HeaderProbe&) = delete;
  HeaderProbe& operator=(const HeaderProbe&) = delete;
  ~HeaderProbe() {
    if (!range_.empty()) pages_.give_back(range_);
  }

  // The size of metadata is not known beforehand, and large vocabularies are rare: try small first.
  [[nodiscard]] Result<ModelFile> open(ByteSource& source) {
    for (u64 n_byte = 8 * kMiB;; n_byte *= 8) {
      Result<Span<u8>> range =
          pages_.take(min_u64(n_byte, pages_.largest_free()), "header of a model file");
      if (!range.ok()) return range.error();
      range_ = range.value();
      arena_ = new (PlaceAt{storage_}) Arena(range_);
      OpenOptions options;
      options.without_tokenizer = true;
      Result<ModelFile> file = ModelFile::open(source, *arena_, options);
      const bool is_short = !file.ok() && file.error().code == ErrorCode::kOutOfMemory;
      if (!is_short || n_byte >= kGiB || range_.size() < n_byte) return file;
      pages_.give_back(range_);
      range_ = {};
    }
  }
  // What is left of the memory, for what looks closer.
  [[nodiscard]] Arena& arena() { return *arena_; }

 private:
  Pages& pages_;
  Span<u8> range_;
  Arena* arena_ = nullptr;
  alignas(Arena) u8 storage_[sizeof(Arena)] = {};
};

Str text_or(const ModelFile& file, Str key, Str fallback) {
  const Result<Str> text = file.get_text(key);
  return text.ok() && !text.value().empty() ? text.value() : fallback;
}

// "F32 61, Q4_1 211": the types of the tensors with their number.
Str type_counts(const ModelFile& file, TextWriter& out) {
  u32 counts[kDTypeLimit] = {};
  for (u32 i = 0; i < file.n_tensor(); ++i) ++counts[static_cast<u32>(file.tensor(i).dtype)];
  for (u32 i = 0; i < kDTypeLimit; ++i) {
    if (counts[i] == 0) continue;
    out.print("{}{} {}", out.text().empty() ? "" : ", ", dtype_traits(static_cast<DType>(i)).name,
              counts[i]);
  }
  return out.text().empty() ? Str("no tensors") : out.text();
}

// The first reason why the file can not be run, short of reading weights.
Status check_runnable(const ModelFile& file, Arena& arena) {
  const Result<ModelConfig> config = read_config(file);
  if (!config.ok()) return config.error();
  const Result<WeightPlan> plan = plan_weights(file, config.value(), arena);
  if (!plan.ok()) return plan.error();
  return {};
}

// Keys and tensors that can be missing have no such ends.
bool is_file_name(Str subject) {
  return subject.ends_with(".gguf") || subject.ends_with(".GGUF") || subject.ends_with(".bin");
}

// A number of the architecture's own part of the metadata, or "?".
void print_number(const ModelFile& file, const char* label, Str key, ConsolePrinter& out) {
  TextBuffer<128> full;
  full.print("{}.{}", text_or(file, "general.architecture", "?"), key);
  const Result<u64> number = file.get_u64(full.text(), 0, ~u64{0});
  if (number.ok()) {
    out.print(" {}={}", label, number.value());
  } else {
    out.print(" {}=?", label);
  }
}

}  // namespace

void report_model_file(ByteSource& source, Str label, Pages& pages, ConsolePrinter& out) {
  HeaderProbe probe(pages);
  const Result<ModelFile> opened = probe.open(source);
  if (!opened.ok()) {
    diagnose_load(opened.error(), source, label, pages, out);
    return;
  }
  const ModelFile& file = opened.value();
  out.line("{}", label);
  out.line("  format      {} version {}, {} tensors, {} keys, {} bytes ({:.1} MiB)",
           file_format_name(file.format()), file.version(), file.n_tensor(), file.n_meta(),
           file.file_size(), mib(file.file_size()));
  for (const ModelPart& part : file.parts()) {
    out.line("              {}, {:.1} MiB, {} tensors", part.name, mib(part.n_byte), part.n_tensor);
  }
  out.line("  name        {}", text_or(file, "general.name", "-"));
  out.line("  arch        {}", text_or(file, "general.architecture", "-"));
  out.line("  license     {}", text_or(file, "general.license", "-"));
  TextBuffer<256> types;
  out.line("  types       {}", type_counts(file, types));
  out.print("  shape      ");
  print_number(file, "ctx", "context_length", out);
  print_number(file, "dim", "embedding_length", out);
  print_number(file, "layers", "block_count", out);
  print_number(file, "heads", "attention.head_count", out);
  print_number(file, "kv_heads", "attention.head_count_kv", out);
  out.line("");
  const Result<MetaArray> vocab = file.get_array("tokenizer.ggml.tokens");
  out.line("  tokenizer   {}, pre-tokenizer {}, {} tokens",
           text_or(file, "tokenizer.ggml.model", "none"), text_or(file, "tokenizer.ggml.pre", "-"),
           vocab.ok() ? vocab.value().count : 0);
  out.line("  template    {}",
           file.get_text("tokenizer.chat_template").ok() ? "its own" : "none (ChatML is used)");
  const Status runnable = check_runnable(file, probe.arena());
  if (runnable.ok()) {
    out.line("  runs here   yes");
    return;
  }
  char reason[256];
  out.line("  runs here   no: {}", format_error(runnable.error(), reason));
  TextBuffer<256> words;
  const Str advice = way_out(runnable.error(), words);
  if (!advice.empty()) out.line("              {}", advice);
}

void diagnose_load(const Error& error, ByteSource& source, Str label, Pages& pages,
                   ConsolePrinter& out) {
  char reason[256];
  out.line("ERROR: cannot load {}", label);
  out.line("  reason      {}", format_error(error, reason));
  if (error.code != ErrorCode::kCancelled && error.code != ErrorCode::kIo) {
    HeaderProbe probe(pages);
    const Result<ModelFile> file = probe.open(source);
    if (file.ok()) {
      TextBuffer<256> types;
      out.line("  file        {} bytes, arch {}, types {}", file.value().file_size(),
               text_or(file.value(), "general.architecture", "-"),
               type_counts(file.value(), types));
    } else {
      const bool is_probed = file.error().code != ErrorCode::kOutOfMemory;
      out.line("  file        {} bytes{}", source.size(),
               is_probed ? "; its header can not be read to the end" : "");
    }
  }
  TextBuffer<256> words;
  const Str advice = way_out(error, words);
  if (!advice.empty()) out.line("  what to do  {}", advice);
}

Str way_out(const Error& error, TextWriter& out) {
  switch (error.code) {
    case ErrorCode::kOk: return "";
    case ErrorCode::kBadMagic:
    case ErrorCode::kBadEndian:
    case ErrorCode::kBadVersion:
      return "GGUF (version 2 or 3), .slm and llama2.c models are read, all little-endian; take "
             "the "
             "GGUF form of the model, or make one with lbm convert on another machine";
    case ErrorCode::kMissing:
      // A file that is not beside the model; the message names it.
      if (is_file_name(error.subject_text())) return "copy all files of the model into one folder";
      [[fallthrough]];
    case ErrorCode::kUnsupported:
    case ErrorCode::kBadType:
      return out
          .print(
              "this build runs {} with weights of any type that llama.cpp has; take such a file "
              "of the model",
              supported_architectures())
          .text();
    case ErrorCode::kOutOfMemory:
      return "a smaller context (/set ctx 1024), a smaller model or type, or more memory";
    case ErrorCode::kContextFull:
      return "/reset starts anew; /set ctx N and then /model NAME gives more room and keeps the "
             "text";
    case ErrorCode::kInvalidArgument:
      return "/cfg shows the settings; /set ctx 0 takes the model's own context";
    case ErrorCode::kIo:
      return "the drive failed to read: try another port or drive, or copy the file again";
    case ErrorCode::kNotFound: return "/models lists what is there";
    case ErrorCode::kCancelled: return "";
    case ErrorCode::kReadOnly:
    case ErrorCode::kNotRewindable:
    case ErrorCode::kTemplate:
    case ErrorCode::kBadSyntax: return "";
    default:
      return "the file is damaged or incomplete: copy it again and compare its size and SHA-256";
  }
}

}  // namespace lbm
