// Looking inside: the machine, the model, and a report to send. See repl_state.h.
#include "core/base/arith.h"
#include "core/chat/load_progress.h"
#include "core/chat/model_report.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

constexpr u64 kChunkBytes = kMiB;
constexpr u64 kReportBytes = 256 * kKiB;
constexpr Str kReportName = "lbm-report.txt";

// Takes what is printed into a buffer; what does not fit is cut, and said so.
class ReportText final : public Console {
 public:
  explicit ReportText(Span<char> out) : out_(out) {}

  void write(Str utf8) override {
    const usize n_free = out_.size() - n_;
    is_cut_ = is_cut_ || utf8.size() > n_free;
    const usize n = utf8.size() < n_free ? utf8.size() : n_free;
    __builtin_memcpy(out_.data() + n_, utf8.data(), n);
    n_ += n;
  }
  KeyEvent poll_key() override { return {}; }
  KeyEvent wait_key() override { return {}; }
  [[nodiscard]] u32 n_column() const override { return 120; }
  bool take_interrupt() override { return false; }

  [[nodiscard]] Span<const u8> bytes() const {
    return {reinterpret_cast<const u8*>(out_.data()), n_};
  }
  [[nodiscard]] bool is_cut() const { return is_cut_; }

 private:
  Span<char> out_;
  usize n_ = 0;
  bool is_cut_ = false;
};

Str name_text(Str name) { return name.empty() ? Str("-") : name; }

}  // namespace

void Repl::diagnose(ConsolePrinter& out) {
  out.line("version    {} on {}", host_.version(), host_.host_name());
  const Str now = host_.now();
  out.line("time       {}", name_text(now));
  out.line("kernels    {}, {} core{}", engine_->kernels().name, engine_->workers().n_worker(),
           engine_->workers().n_worker() == 1 ? "" : "s");
  out.line("memory     {:.1} MiB free, {:.1} MiB in one piece", mib(host_.pages().bytes_free()),
           mib(host_.pages().largest_free()));
  out.line("console    {} x {}", console_.n_column(), console_.n_row());
  SlotFiles* const state = host_.state();
  if (state == nullptr) {
    out.line("state      nowhere: sessions and journal are not kept");
  } else {
    const Str why = state->why_read_only();
    out.line("state      {}", why.empty() ? Str("kept") : why);
  }
  if (engine_->loaded()) {
    const ModelConfig& config = engine_->model().config;
    out.line("model      {}: dim {}, layers {}, heads {}/{}, vocab {}", engine_->name(),
             config.n_embd, config.n_layer, config.n_head, config.n_head_kv, config.n_vocab);
    out.line("           weights {:.1} MiB, context {} of {} tokens, KV {} {:.1} MiB, load {:.3} s",
             mib(engine_->weight_bytes()), engine_->session().n_ctx(), config.n_ctx_train,
             kv_type_name(engine_->session().kv_type()), mib(engine_->kv_bytes()),
             static_cast<f64>(load_us_) * 1e-6);
  } else {
    out.line("model      none");
  }
  out.line("config     {}", name_text(host_.config().name));
  host_.describe_machine(out);
}

// Everything that helps to find a fault, and nothing that was said: no question, no answer.
void Repl::report() {
  const Result<Span<u8>> range = host_.pages().take(kReportBytes, "report");
  if (!range.ok()) {
    out_.error(range.error());
    return;
  }
  ReportText text({reinterpret_cast<char*>(range.value().data()), range.value().size()});
  out_.redirect(text);
  out_.line("llm-baremetal report");
  out_.line("\n[machine]");
  diagnose(out_);
  out_.line("\n[settings]");
  for (u32 i = 0; i < kSettingCount; ++i) {
    const SettingInfo& info = setting_info(static_cast<Setting>(i));
    // A system prompt is something that was said.
    if (info.id == Setting::kSystem) {
      out_.line("system: {} bytes", settings_.text(Setting::kSystem).size());
      continue;
    }
    char value[Settings::kShortTextBytes];
    out_.line("{}={}", info.key, settings_.show(info.id, value));
  }
  out_.line("\n[models]");
  list_models();
  out_.line("\n[last answer]");
  show_stats({});
  out_.line("\n[journal]");
  show_log("100");
  if (text.is_cut()) out_.line("(cut)");
  out_.redirect(console_);
  const Result<Str> place = host_.export_file(kReportName, text.bytes());
  if (place.ok()) {
    out_.line("OK: {} bytes written to {}", text.bytes().size(), place.value());
    out_.line(
        "  It tells about the machine, the settings and the model, and nothing that was said.");
  } else {
    out_.error(place.error());
    out_.line("The report could not be written, so here it is:");
    out_.text(Str(text.bytes()));
  }
  host_.pages().give_back(range.value());
}

// --- /verify -----------------------------------------------------------------------------------

// One file, read through once.
Status Repl::hash_file(ByteSource& source, Str label, Span<u8> chunk, Sha256Digest& out) {
  const Sha256BlockFn blocks = engine_->kernels().sha256_blocks;
  Sha256 hash(blocks != nullptr ? blocks : sha256_blocks_portable);
  LoadProgress progress(console_, host_.clock(), "Reading", label);
  const u64 size = source.size();
  Status status;
  for (u64 at = 0; at < size && status.ok();) {
    const Span<u8> part = chunk.first(static_cast<usize>(min_u64(chunk.size(), size - at)));
    status = source.read(at, part);
    if (!status.ok()) break;
    hash.update(part);
    at += part.size();
    if (!progress.on_progress(at, size))
      status = fail(ErrorCode::kCancelled, "stopped by the user").about(label);
  }
  progress.end();
  if (status.ok()) out = hash.finish();
  return status;
}

// The file of the model, with the other parts of a split one.
Status Repl::hash_model_file(Span<u8> chunk) {
  const Result<ByteSource*> opened = host_.volume().open(loaded_file_.volume, loaded_file_.name());
  if (!opened.ok()) return opened.error();
  ByteSource& source = *opened.value();
  const Span<const ModelPart> parts = engine_->file().parts();
  Sha256Digest digest;
  Status status = hash_file(source, engine_->name(), chunk, digest);
  if (status.ok()) {
    out_.line("  file      {}  {}", to_hex(digest).str(), engine_->name());
    const bool was_hashed = !(engine_->file_hash() == Sha256Digest());
    if (parts.size() > 1) {
      out_.line("            of the first part; compare each with what its publisher says");
    } else if (!was_hashed) {
      out_.line(
          "            not hashed when it was loaded (hash_model=1 does that); compare it "
          "with what its publisher says");
    } else if (digest == engine_->file_hash()) {
      out_.line("            OK: as when it was loaded");
    } else {
      out_.line(
          "            ERROR: other than when it was loaded: the drive gives other bytes, or "
          "the file was changed [bad_hash]");
      out_.line("  at load   {}", to_hex(engine_->file_hash()).str());
    }
  }
  for (usize i = 1; i < parts.size() && status.ok(); ++i) {
    const Result<ByteSource*> part = source.open_beside(parts[i].name);
    status =
        part.ok() ? hash_file(*part.value(), parts[i].name, chunk, digest) : Status(part.error());
    if (status.ok()) out_.line("  file      {}  {}", to_hex(digest).str(), parts[i].name);
  }
  host_.volume().close(&source);
  return status;
}

Status Repl::hash_weights(Sha256Digest& out) {
  const Sha256BlockFn blocks = engine_->kernels().sha256_blocks;
  Sha256 hash(blocks != nullptr ? blocks : sha256_blocks_portable);
  LoadProgress progress(console_, host_.clock(), "Checking", "weights in memory");
  u64 n_done = 0;
  Status status;
  for (const WeightPlacement& placement : engine_->placements()) {
    for (u64 at = 0; at < placement.n_byte && status.ok();) {
      const u64 n = min_u64(kChunkBytes, placement.n_byte - at);
      hash.update({placement.place + at, static_cast<usize>(n)});
      at += n;
      n_done += n;
      if (!progress.on_progress(n_done, engine_->weight_bytes()))
        status = fail(ErrorCode::kCancelled, "stopped by the user");
    }
  }
  progress.end();
  if (status.ok()) out = hash.finish();
  return status;
}

void Repl::verify() {
  if (!engine_->loaded()) {
    out_.line("No model is loaded.");
    return;
  }
  const Result<Span<u8>> chunk = host_.pages().take(kChunkBytes, "bytes of a file");
  if (!chunk.ok()) {
    out_.error(chunk.error());
    return;
  }
  static_cast<void>(console_.take_interrupt());
  Status status = hash_model_file(chunk.value());
  host_.pages().give_back(chunk.value());
  Sha256Digest digest;
  if (status.ok()) status = hash_weights(digest);
  if (!status.ok()) {
    if (status.error().code == ErrorCode::kCancelled) {
      out_.line("(stopped)");
    } else {
      out_.error(status.error());
    }
    return;
  }
  // In memory the rows of matrices are sorted into tiles, so this is no digest of the file.
  out_.line("  weights   {}  {:.1} MiB in memory", to_hex(digest).str(),
            mib(engine_->weight_bytes()));
  if (!has_weights_hash_) {
    weights_hash_ = digest;
    has_weights_hash_ = true;
    out_.line("            taken for the first time; another /verify compares with it");
  } else if (digest == weights_hash_) {
    out_.line("            OK: as when they were hashed first");
  } else {
    out_.line("            ERROR: they changed: {} before [bad_hash]", to_hex(weights_hash_).str());
    out_.line(
        "  This machine's memory is not to be trusted; test it (memtest86+), then load the "
        "model again.");
    note_event("weights in memory changed");
  }
}

}  // namespace lbm
