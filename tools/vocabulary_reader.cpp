#include "tools/vocabulary_reader.h"

#include <cstring>
#include <filesystem>

#include "core/format/llama2c.h"
#include "tools/tokenizer_json.h"

namespace lbm::cli {
namespace {

// As for a model's metadata; only what is used is taken from the system.
constexpr u64 kVocabularyMemory = 4 * kGiB;

class TextSource final : public ByteSource {
 public:
  explicit TextSource(const std::string& bytes) : bytes_(bytes) {}

  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return fail(ErrorCode::kTruncated, "the source ends early").at(bytes_.size());
    }
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

 private:
  const std::string& bytes_;
};

// The tokens in the tokenizer.bin at `path`; 0 where the file is none. There is nothing to know it
// by but that its records end where it ends.
u32 count_bin_tokens(const std::string& path) {
  std::error_code error;
  const u64 n_byte = std::filesystem::file_size(path, error);
  if (error || n_byte > kMaxMetadataBytes) return 0;
  const std::unique_ptr<FileSource> source = open_model_source(path);
  std::vector<u8> bytes(static_cast<usize>(n_byte));
  if (!source->read(0, {bytes.data(), bytes.size()}).ok()) return 0;
  ByteReader in({bytes.data(), bytes.size()});
  const u32 longest = in.read_u32();
  u32 n_token = 0;
  while (in.ok() && in.remaining() != 0) {
    static_cast<void>(in.read_f32());
    const u32 n_text = in.read_u32();
    if (n_text > longest) return 0;
    in.skip(n_text);
    ++n_token;
  }
  return in.ok() ? n_token : 0;
}

}  // namespace

class VocabularyReader::JsonVocabulary {
 public:
  explicit JsonVocabulary(const std::string& path)
      : bytes_(tokenizer_json_as_gguf(path)), source_(bytes_), memory_(kVocabularyMemory) {
    arena_.add_range(memory_.span());
    file_ =
        std::make_unique<ModelFile>(expect(ModelFile::open(source_, arena_), path, Stage::kModel));
    tokenizer_ = expect(Tokenizer::create(arena_, *file_), path, Stage::kModel);
  }

  [[nodiscard]] const Tokenizer* tokenizer() const { return tokenizer_; }

 private:
  std::string bytes_;
  TextSource source_;
  ReservedMemory memory_;
  Arena arena_;
  std::unique_ptr<ModelFile> file_;
  const Tokenizer* tokenizer_ = nullptr;
};

class VocabularyReader::BinVocabulary {
 public:
  BinVocabulary(const std::string& path, u32 n_token)
      : source_(open_model_source(path)), memory_(kVocabularyMemory) {
    arena_.add_range(memory_.span());
    Llama2cTokenizer records;
    const Status status = records.read(*source_, n_token, arena_);
    if (!status.ok()) throw_error(status.error(), path, Stage::kModel);
    HeaderBuilder header(arena_);
    records.put(header);
    file_ = std::make_unique<ModelFile>(
        expect(header.finish({.format = FileFormat::kLlama2c, .data = source_.get()}), path,
               Stage::kModel));
    tokenizer_ = expect(Tokenizer::create(arena_, *file_), path, Stage::kModel);
  }

  [[nodiscard]] const Tokenizer* tokenizer() const { return tokenizer_; }

 private:
  std::unique_ptr<FileSource> source_;
  ReservedMemory memory_;
  Arena arena_;
  std::unique_ptr<ModelFile> file_;
  const Tokenizer* tokenizer_ = nullptr;
};

VocabularyReader::VocabularyReader(const std::string& path) {
  if (is_tokenizer_json(path)) {
    json_ = std::make_unique<JsonVocabulary>(path);
    tokenizer_ = json_->tokenizer();
  } else if (const u32 n_token = count_bin_tokens(path); n_token != 0) {
    bin_ = std::make_unique<BinVocabulary>(path, n_token);
    tokenizer_ = bin_->tokenizer();
  } else {
    model_ = std::make_unique<ModelReader>(path);
    tokenizer_ = &model_->tokenizer();
  }
  if (!tokenizer_->notice().empty()) notice(path + ": " + to_string(tokenizer_->notice()));
}

VocabularyReader::~VocabularyReader() = default;

Span<const u32> TextCoder::encode(const std::string& text, EncodeOptions options) {
  const u64 needed = tokenizer_.scratch_bytes(text.size());
  if (memory_ == nullptr || memory_->span().size() < needed) {
    memory_ = std::make_unique<ReservedMemory>(2 * needed + kMiB);
  }
  Arena scratch(memory_->span());
  if (ids_.size() < text.size() + 3) ids_.resize(text.size() + 3);
  const auto encode_into_ids = [&] {
    return tokenizer_.encode(to_str(text), options, {ids_.data(), ids_.size()}, scratch);
  };
  const Result<u32> n = encode_into_ids();
  if (n.ok()) return {ids_.data(), n.value()};
  if (n.error().code != ErrorCode::kLimit || n.error().value <= ids_.size()) {
    throw_error(n.error(), "", Stage::kRun);
  }
  ids_.resize(n.error().value);  // how many there are
  return {ids_.data(), expect(encode_into_ids(), "", Stage::kRun)};
}

std::string TextCoder::decode(const std::vector<u32>& ids) const {
  return decode_ids(tokenizer_, ids);
}

std::string TextCoder::piece(u32 id) {
  piece_.resize(tokenizer_.max_piece_bytes());
  return to_string(tokenizer_.piece(id, true, {piece_.data(), piece_.size()}));
}

}  // namespace lbm::cli
