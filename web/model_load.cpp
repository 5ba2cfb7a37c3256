// See model_load.h.
#include "web/model_load.h"

#include "core/format/sniff.h"

namespace lbm::web {
namespace {

constexpr u64 kFirstKept = 64 * kKiB;
constexpr u64 kModuleBytes = u64{4} << 30;

// The bytes of a file that have come. Remembers how far a reader wanted to read.
class HeadSource final : public ByteSource {
 public:
  HeadSource(Span<const u8> have, u64 size) : have_(have), size_(size) {}

  [[nodiscard]] u64 size() const override { return size_; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset > have_.size() || out.size() > have_.size() - offset) {
      lacked_ = offset + out.size();
      return fail(ErrorCode::kTruncated, "bytes of the header have not come yet").at(offset);
    }
    __builtin_memcpy(out.data(), have_.data() + static_cast<usize>(offset), out.size());
    return {};
  }
  // The end of what was asked for and is not here; 0: nothing.
  [[nodiscard]] u64 lacked() const { return lacked_; }

 private:
  Span<const u8> have_;
  u64 size_;
  u64 lacked_ = 0;
};

}  // namespace

Status LoadParams::check() const {
  const auto wrong = [](const char* what) {
    return fail(ErrorCode::kInvalidArgument, "out of range").about(what);
  };
  if (n_byte != sizeof(LoadParams)) {
    return fail(ErrorCode::kInvalidArgument, "load options of another size")
        .with(n_byte, sizeof(LoadParams));
  }
  if (n_batch > Session::kMaxBatch) return wrong("n_batch");
  if (kv >= kKvTypeLimit) return wrong("kv");
  if ((flags & ~kAllFlags) != 0) return wrong("flags");
  if ((flags & kTokenizerOnly) != 0 && (flags & kDescribeOnly) == 0) return wrong("flags");
  for (const u32 word : reserved) {
    if (word != 0) return wrong("reserved");
  }
  return {};
}

EngineOptions ModelLoad::options() const {
  EngineOptions out;
  out.n_ctx = (params_.flags & LoadParams::kTokenizerOnly) != 0 ? 0 : params_.n_ctx;
  out.external = (params_.flags & LoadParams::kDescribeOnly) != 0;
  out.tokenizer_only = (params_.flags & LoadParams::kTokenizerOnly) != 0;
  // Who evaluates elsewhere makes batches of its own.
  if (out.external) out.n_batch = Session::kMaxBatch;
  if (params_.n_batch != 0) out.n_batch = params_.n_batch;
  out.kv = static_cast<KvType>(params_.kv);
  out.hash_file = (params_.flags & LoadParams::kHash) != 0;
  // Not under an answer that is being made.
  out.may_evict = (params_.flags & LoadParams::kReplace) != 0 && !desk_.is_answering();
  return out;
}

Status ModelLoad::begin(u64 n_byte, const LoadParams& params) {
  abort();
  gave_up_model_ = false;
  most_kept_ = n_come_ = size_ = 0;
  if (const Status s = params.check(); !s.ok()) return s;
  if (n_byte == 0) return fail(ErrorCode::kInvalidArgument, "a model file of no bytes");
  if (n_byte > kModuleBytes && (params.flags & LoadParams::kDescribeOnly) == 0) {
    return fail(ErrorCode::kOutOfMemory, "the file is larger than the memory of a module; bytes")
        .with(n_byte, kModuleBytes);
  }
  const KernelTable* tables[8];
  // The last table is the fastest; an engine that has one keeps it, with its model.
  if (engine() == nullptr) {
    if (const Status s = use_table(usable_tables(tables) - 1); !s.ok()) return s;
  }
  params_ = params;
  size_ = n_byte;
  wanted_ = min_u64(n_byte, kSniffBytes);
  knows_kind_ = false;
  phase_ = Phase::kHead;
  return {};
}

void ModelLoad::abort() {
  drop_kept();
  if (phase_ == Phase::kWeights && engine() != nullptr) engine()->abort_load();
  phase_ = Phase::kNone;
}

void ModelLoad::drop_kept() {
  if (!kept_.empty()) memory().give_back(kept_);
  kept_ = {};
  n_kept_ = 0;
}

Status ModelLoad::write(Span<const u8> bytes) {
  if (phase_ == Phase::kNone) return fail(ErrorCode::kInvalidArgument, "no load has begun");
  Status status;
  if (bytes.size() > size_ - n_come_) {
    status = fail(ErrorCode::kLimit, "more bytes than the load began with")
                 .with(n_come_ + bytes.size(), size_);
  }
  n_come_ += bytes.size();
  if (status.ok() && phase_ == Phase::kHead) status = write_head(bytes);
  if (status.ok() && phase_ == Phase::kWhole) status = keep(bytes);
  if (status.ok() && phase_ == Phase::kWeights && !bytes.empty())
    status = engine()->feed_load(bytes);
  if (!status.ok()) abort();
  return status;
}

// Keeps what the header lacks, and looks at it; `bytes` are those left behind the header.
Status ModelLoad::write_head(Span<const u8>& bytes) {
  while (phase_ == Phase::kHead && !bytes.empty()) {
    const usize n = static_cast<usize>(min_u64(bytes.size(), wanted_ - n_kept_));
    if (const Status s = keep(bytes.first(n)); !s.ok()) return s;
    bytes = bytes.from(n);
    while (phase_ == Phase::kHead && n_kept_ == wanted_) {
      if (const Status s = look(); !s.ok()) return s;
    }
  }
  return {};
}

Status ModelLoad::keep(Span<const u8> bytes) {
  if (bytes.size() > kept_.size() - n_kept_) {
    const u64 n_byte = max_u64(n_kept_ + bytes.size(), max_u64(2 * u64{kept_.size()}, kFirstKept));
    if (const Status s = take_kept(n_byte); !s.ok()) return s;
  }
  __builtin_memcpy(kept_.data() + n_kept_, bytes.data(), bytes.size());
  n_kept_ += bytes.size();
  most_kept_ = max_u64(most_kept_, n_kept_);
  return {};
}

// Moves what is kept into n_byte bytes of memory.
Status ModelLoad::take_kept(u64 n_byte) {
  const Result<Span<u8>> room = memory().take(n_byte, "model file");
  if (!room.ok()) return room.error();
  __builtin_memcpy(room.value().data(), kept_.data(), n_kept_);
  const usize n_kept = n_kept_;
  drop_kept();
  kept_ = room.value();
  n_kept_ = n_kept;
  return {};
}

// At what the file is, and then at its header. More bytes are wanted, or the phase changes.
Status ModelLoad::look() {
  if (knows_kind_) return open();
  knows_kind_ = true;
  const Span<const u8> head(kept_.data(), n_kept_);
  const FileKind kind = sniff(head, size_);
  switch (kind) {
    case FileKind::kGguf: return {};
    case FileKind::kSlm:
    case FileKind::kLlama2c:
    case FileKind::kLlama2cLegacy: return keep_whole();
    case FileKind::kJson:
      if ((params_.flags & LoadParams::kTokenizerOnly) != 0) return keep_whole();
      break;
    default: break;
  }
  return refuse_kind(kind, head, size_);
}

Status ModelLoad::open() {
  HeadSource source({kept_.data(), n_kept_}, size_);
  const bool had_model = has_model();
  const Status status = engine()->begin_load(source, "model", options());
  after_engine(had_model);
  if (!status.ok()) {
    if (source.lacked() > n_kept_ && source.lacked() <= size_) {
      // A look goes through the header from its beginning, so that of a long one waits for more.
      wanted_ = min_u64(max_u64(source.lacked(), n_kept_ + n_kept_ / 4), size_);
      return {};
    }
    if (status.error().code != ErrorCode::kOutOfMemory || !keeps_model()) return status;
    Error error = status.error();
    error.what = why_kept();
    return error;
  }
  phase_ = Phase::kWeights;
  const usize n_header = static_cast<usize>(engine()->load_header_bytes());
  const Status fed = engine()->feed_load({kept_.data() + n_header, n_kept_ - n_header});
  drop_kept();
  return fed;
}

Status ModelLoad::keep_whole() {
  phase_ = Phase::kWhole;
  Status status = take_kept(size_);
  if (status.ok() || !has_model()) return status;
  if (keeps_model())
    return fail(ErrorCode::kOutOfMemory, why_kept()).with(size_, memory().largest_free());
  desk_.close();
  engine()->unload();
  gave_up_model_ = true;
  return take_kept(size_);
}

bool ModelLoad::keeps_model() const { return has_model() && !options().may_evict; }

const char* ModelLoad::why_kept() const {
  return (params_.flags & LoadParams::kReplace) == 0
             ? "it does not fit beside the loaded model; load it again, and allow to give that one "
               "up"
             : "it does not fit beside the loaded model, which stays while an answer is made; end "
               "that, and load it again";
}

// The engine may have given up its model for room; its desk goes with it.
void ModelLoad::after_engine(bool had_model) {
  if (!had_model || has_model()) return;
  desk_.forget();
  gave_up_model_ = true;
}

bool ModelLoad::is_ready() const {
  if (phase_ == Phase::kWhole) return n_kept_ == size_;
  if (phase_ != Phase::kWeights || engine() == nullptr || !engine()->is_loading()) return false;
  return engine()->load_missing_bytes() == 0 || (params_.flags & LoadParams::kDescribeOnly) != 0;
}

Status ModelLoad::commit() {
  if (phase_ == Phase::kNone) return fail(ErrorCode::kInvalidArgument, "no load has begun");
  if (!is_ready()) {
    return fail(ErrorCode::kTruncated, "not all bytes of the file have come; came, of")
        .with(n_come_, size_);
  }
  if (desk_.is_open() && desk_.is_answering())
    return fail(ErrorCode::kInvalidArgument, "an answer is being made; cancel it first");
  const bool had_model = has_model();
  Status status;
  if (phase_ == Phase::kWhole) {
    MemorySource source({kept_.data(), n_kept_});
    status = engine()->load(source, "model", options(), nullptr);
  } else {
    status = engine()->finish_load();
  }
  phase_ = Phase::kNone;
  drop_kept();
  if (!status.ok()) {
    after_engine(had_model);
    return status;
  }
  desk_.forget();
  status = desk_.open(*engine());
  if (!status.ok()) engine()->unload();
  gave_up_model_ = !status.ok();
  return status;
}

}  // namespace lbm::web
