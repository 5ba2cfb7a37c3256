// The REPL's models: finding, choosing, loading. See repl_state.h.
#include "core/base/arith.h"
#include "core/chat/chat_message.h"
#include "core/chat/load_progress.h"
#include "core/chat/model_report.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

FileEntry entry_for_path(Str path, u64 size_bytes) {
  FileEntry file;
  file.path_size = static_cast<u32>(path.size());
  __builtin_memcpy(file.path, path.data(), path.size());
  file.size_bytes = size_bytes;
  return file;
}

// What Sampler::create takes for n_vocab candidates, generously.
u64 sampler_bytes(u32 n_vocab) { return u64{n_vocab} * 24 + 128 * kKiB; }

// The words of the start-up marker.
Str format_text(const FileEntry& file) {
  const Str kind = file_kind(file.name());
  return kind == "gguf" || kind == "bin" ? kind : Str("unknown");
}

bool same_file(const FileEntry& a, const FileEntry& b) {
  return a.volume == b.volume && a.name() == b.name();
}

}  // namespace

// --- Choosing --------------------------------------------------------------------------------

void Repl::choose_first_model() {
  const u64 start_us = host_.clock().now_us();
  catalog_.refresh(host_.volume());
  const Str wanted = settings_.text(Setting::kModel);
  FileEntry file;
  bool was_tried = false;
  if (!wanted.empty()) {
    const Status found = find_file(wanted, file);
    if (found.ok()) {
      select_us_ = host_.clock().now_us() - start_us;
      was_tried = true;
      if (load_first(file)) return;
    } else {
      out_.line("[cfg] WARNING: model override open failed: {} ({})", wanted,
                error_code_name(found.error().code));
      out_.line(
          "[cfg] hint: run /models to inspect available files, or set model=<name>.bin|.gguf");
    }
    out_.line("[cfg] fallback: continuing with auto-detect candidates");
  }
  u32 index = 0;
  select_us_ = host_.clock().now_us() - start_us;
  if (catalog_.size() == 0) return;
  if (catalog_.size() > 1 && !choose_from_menu(index)) return;
  if (was_tried && same_file(catalog_.at(index), file)) return;
  static_cast<void>(load_first(catalog_.at(index)));
}

bool Repl::load_first(const FileEntry& file) {
  if (!load_model(file)) return false;
  out_.line("[obs][startup] model_select_ms={} model_prepare_ms={} format={}", select_us_ / 1000,
            load_us_ / 1000, format_text(file));
  print_model_line();
  return true;
}

void Repl::list_models() {
  for (u32 i = 0; i < catalog_.size(); ++i) {
    const FileEntry& file = catalog_.at(i);
    TextBuffer<FileEntry::kMaxPath + 16> label;
    out_.line("{:3}{} {:9.1} MiB  {:7}  {}", i + 1, is_loaded(file) ? "*" : " ",
              mib(file.size_bytes), file_kind(file.name()), file_label(file, label));
  }
  const ModelCatalog::Totals totals = catalog_.totals();
  out_.line("  summary: total={} bin={} gguf={} bytes={}", catalog_.size(), totals.n_bin,
            totals.n_gguf, totals.bytes);
}

bool Repl::is_loaded(const FileEntry& file) const {
  return engine_->loaded() && same_file(file, loaded_file_);
}

Status Repl::find_file(Str name, FileEntry& out) {
  const Result<u32> index = catalog_.resolve(name);
  if (index.ok()) {
    out = catalog_.at(index.value());
    return {};
  }
  if (index.error().code != ErrorCode::kNotFound || name.size() > FileEntry::kMaxPath)
    return index.error();
  // A path that the list does not have, as it was written.
  const Result<ByteSource*> source = host_.volume().open(0, name);
  if (!source.ok())
    return source.error().code == ErrorCode::kNotFound ? index.error() : source.error();
  out = entry_for_path(name, source.value()->size());
  host_.volume().close(source.value());
  return {};
}

// --- Loading ---------------------------------------------------------------------------------

bool Repl::load_model(const FileEntry& file) {
  TextBuffer<FileEntry::kMaxPath + 16> label_text;
  const Str label = file_label(file, label_text);
  const u64 start_us = host_.clock().now_us();
  const Result<ByteSource*> source = host_.volume().open(file.volume, file.name());
  if (!source.ok()) {
    out_.error(source.error());
    return false;
  }
  const SessionParams session = settings_.session_params();
  EngineOptions options;
  options.n_ctx = session.n_ctx;
  options.n_batch = session.n_batch;
  options.kv = session.kv;
  options.hash_file =
      settings_.flag(Setting::kHashModel) || settings_.flag(Setting::kDigest) || host_.measures();
  static_cast<void>(console_.take_interrupt());
  LoadProgress progress(console_, host_.clock(), "Loading", label);
  show_status("loading");
  Status loaded = engine_->load(*source.value(), label, options, &progress);
  progress.end();
  load_us_ = host_.clock().now_us() - start_us;
  if (!loaded.ok()) diagnose_load(loaded.error(), *source.value(), label, host_.pages(), out_);
  host_.volume().close(source.value());
  if (loaded.ok()) {
    loaded = take_sampler();
    if (loaded.ok()) loaded = take_filter();
    if (!loaded.ok()) {
      out_.error(loaded.error());
      engine_->unload();
    }
  }
  TextBuffer<FileEntry::kMaxPath + 160> event;
  if (!loaded.ok()) {
    event.print("model {} not loaded: {} [{}]", label, loaded.error().what,
                error_code_name(loaded.error().code));
    note_event(event.text());
    show_status({});
    return false;
  }
  loaded_file_ = file;
  has_stats_ = false;
  has_weights_hash_ = false;
  note_event(event.print("model {} loaded", label).text());
  keep_model(label);
  if (options.hash_file) {
    host_.measure("model", engine_->file_hash());
    has_weights_hash_ = hash_weights(weights_hash_).ok();
  }
  show_status({});
  return true;
}

Status Repl::take_filter() {
  const Result<TokenFilter*> filter = host_.answer_filter(engine_->tokenizer());
  filter_ = filter.ok() ? filter.value() : nullptr;
  return filter.ok() ? Status() : Status(filter.error());
}

// The sampler belongs to a vocabulary: a new one for each model, in memory of its own.
Status Repl::take_sampler() {
  if (!sampler_range_.empty()) host_.pages().give_back(sampler_range_);
  sampler_range_ = {};
  sampler_ = nullptr;
  const u32 n_vocab = engine_->model().config.n_vocab;
  Result<Span<u8>> range = host_.pages().take(sampler_bytes(n_vocab), "sampler");
  if (!range.ok()) return range.error();
  sampler_range_ = range.value();
  Arena* arena = new (PlaceAt{sampler_arena_}) Arena(sampler_range_);
  const Result<Sampler*> sampler = Sampler::create(*arena, n_vocab);
  if (!sampler.ok()) return sampler.error();
  sampler_ = sampler.value();
  return {};
}

void Repl::print_model_line() {
  const ModelConfig& config = engine_->model().config;
  const Session& session = engine_->session();
  if (settings_.integer(Setting::kVerbose) > 0) {
    out_.line("GGUF detected: ctx={} dim={} layers={} heads={} kv_heads={}", config.n_ctx_train,
              config.n_embd, config.n_layer, config.n_head, config.n_head_kv);
  }
  out_.line("OK: Model loaded: {} (dim={}, layers={}, heads={}, kv={}, vocab={}, seq={})",
            engine_->name(), config.n_embd, config.n_layer, config.n_head, config.n_head_kv,
            config.n_vocab, session.n_ctx());
  if (host_.logs_for_programs()) print_memory_line();
  if (settings_.flag(Setting::kBootQuiet)) return;
  out_.line("  context {} of {} tokens trained, KV {} {:.1} MiB, weights {:.1} MiB, template {}",
            session.n_ctx(), config.n_ctx_train, kv_type_name(session.kv_type()),
            mib(engine_->kv_bytes()), mib(engine_->weight_bytes()),
            engine_->has_own_template()
                ? Str("its own")
                : built_in_template_name(engine_->chat_template().source()));
  if (engine_->template_is_broken()) {
    out_.line("[template] WARNING: {}", engine_->template_note());
  } else if (!engine_->template_note().empty()) {
    out_.line("  note: {}", engine_->template_note());
  }
  if (!engine_->tokenizer().notice().empty())
    out_.line("[tokenizer] WARNING: {}", engine_->tokenizer().notice());
  if (!(engine_->file_hash() == Sha256Digest()))
    out_.line("  sha256 {}", to_hex(engine_->file_hash()).str());
}

// The memory of the model in the words that guardrails read: their class of RAM comes from `size`.
void Repl::print_memory_line() {
  const Span<const WeightPlacement> placements = engine_->placements();
  const u8* const base = placements.empty() ? nullptr : placements[0].place;
  out_.line(
      "[llmk] Zone B: base=0x{:x} size={} MiB", static_cast<u64>(reinterpret_cast<usize>(base)),
      host_.pages().bytes_free() / kMiB + (engine_->weight_bytes() + engine_->kv_bytes()) / kMiB);
  const i64 asked = settings_.integer(Setting::kContext);
  if (asked != 0) {
    out_.line("[cfg] ctx_len={} -> effective seq_len={} (model={})", asked,
              engine_->session().n_ctx(), engine_->model().config.n_ctx_train);
  }
}

void Repl::print_no_model_help() {
  out_.line("OK: REPL ready (no model). Type /help");
  out_.line("Tip: in no-model REPL use /models and /model_info <path>");
  if (catalog_.size() == 0) {
    out_.line("No model was found. Looked for .gguf files in {}.", host_.model_places());
    out_.line(
        "Copy one there (SmolLM2-135M-Instruct in Q4_1 is a small one to begin with) and start "
        "again, or /models here.");
  } else {
    out_.line(
        "No model is loaded; {} could be chosen from: /models lists them, /model NUMBER loads one.",
        catalog_.size());
  }
}

}  // namespace lbm
