// Engine: a loaded model with everything a chat needs around it. Loads, switches and gives back
// memory.
//
// Order of a load: header and metadata are checked, the configuration is read, the tokenizer is
// built, memory is planned, and only then are weights read. A file that fails any check leaves the
// model that was loaded usable. Where old and new do not fit together in memory, everything except
// the weights of the new one is checked first, then the old one is given up (`evicted`).
//
// load() fetches the file. begin_load(), feed_load() and finish_load() are for hosts to which it
// comes by itself, in order; the model that was loaded stays in use until finish_load().
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/chat/template.h"
#include "core/format/model_file.h"
#include "core/infer/session.h"
#include "core/model/model.h"
#include "core/model/weights.h"
#include "core/platform.h"
#include "core/tokenizer/tokenizer.h"
#include "kernels/kernel_table.h"

namespace lbm {

struct EngineOptions {
  u32 n_ctx = 0;  // 0: min(n_ctx_train, 4096), less where memory is short
  u32 n_batch = 32;
  KvType kv = KvType::kF16;
  bool hash_file = true;            // SHA-256 of the whole file while it is read
  ByteSource* tokenizer = nullptr;  // of a llama2.c model; null: looked for beside it
  bool may_evict = true;  // the loaded model may be given up where both do not fit in memory
  // With `external`: no more of the file is asked for than a tokenizer needs, so that a vocabulary
  // without a model, or of a model that this build does not run, can be tokenized with.
  bool tokenizer_only = false;
  bool external = false;  // no weights: tokens are evaluated elsewhere (Session::is_external())
};

// Told about the progress of a load.
// Bytes of weights that are in place.
using LoadObserver = ProgressObserver;

class Engine {
 public:
  Engine(Pages& pages, Workers& workers, const KernelTable& kernels)
      : pages_(pages), workers_(workers), kernels_(kernels) {}
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Loads the model in `source`, replacing the one that is loaded; `name` is kept for messages.
  // Errors: those of ModelFile::open, read_config, Tokenizer::create and weights.h; kOutOfMemory
  // with needed and free bytes; kCancelled. The previous model stays loaded after any error, unless
  // had_to_evict() says otherwise.
  [[nodiscard]] Status load(ByteSource& source, Str name, const EngineOptions& options,
                            LoadObserver* observer);
  // The same in pieces. `source` needs to have no more of the file than its header, which is read
  // and checked, and memory is taken. What was begun before is forgotten.
  // Errors: as load(); those of `source`, where it lacks bytes of the header. kUnsupported for a
  // file whose weights are not read in its order (.slm, llama2.c, parts): load() reads those.
  [[nodiscard]] Status begin_load(ByteSource& source, Str name, const EngineOptions& options);
  [[nodiscard]] bool is_loading() const { return coming_ != nullptr; }
  // Bytes of the file that the header took, and how many of those behind it have not come. Need
  // is_loading().
  [[nodiscard]] u64 load_header_bytes() const;
  [[nodiscard]] u64 load_missing_bytes() const;
  // The next bytes of the file, in order. An error ends the load.
  // Errors: kInvalidArgument  more than are missing, or no load was begun.   kNumeric.
  [[nodiscard]] Status feed_load(Span<const u8> bytes);
  // Makes it the model. An external one may lack the rest of its file, and has no hash then.
  // Errors: kTruncated  bytes are missing; the load goes on.   kInvalidArgument   kOutOfMemory.
  [[nodiscard]] Status finish_load();
  void abort_load();

  void unload();

  [[nodiscard]] bool loaded() const { return slot_ != nullptr; }
  // True when the last failed load had to give up the previous model for room.
  [[nodiscard]] bool had_to_evict() const { return had_to_evict_; }

  // The following need loaded().
  [[nodiscard]] Str name() const;
  [[nodiscard]] const ModelFile& file() const;
  [[nodiscard]] const Model& model() const;
  [[nodiscard]] const Tokenizer& tokenizer() const;
  [[nodiscard]] Session& session();
  // The model's own template, or a built-in one (chat_message.h) where it has none or one that does
  // not parse (template_note() says so).
  [[nodiscard]] const ChatTemplate& chat_template() const;
  [[nodiscard]] bool has_own_template() const;
  // True when the model brings a template that does not parse; template_note() says why.
  [[nodiscard]] bool template_is_broken() const;
  [[nodiscard]] Str template_note() const;
  // SHA-256 of the file; all zero when hash_file was off.
  [[nodiscard]] const Sha256Digest& file_hash() const;
  // Work memory of a turn: mark, take, rewind.
  [[nodiscard]] Arena& turn_arena();
  [[nodiscard]] u64 weight_bytes() const;
  // Where the weights lie, in the order of the file: what a check of memory reads. Those of an
  // external model lie nowhere.
  [[nodiscard]] Span<const WeightPlacement> placements() const;
  // What they are read as: the tables that the placements point at.
  [[nodiscard]] const Weights& planned_weights() const;
  // KV cache, and the state of recurrent layers.
  [[nodiscard]] u64 kv_bytes() const;

  [[nodiscard]] const KernelTable& kernels() const { return kernels_; }
  [[nodiscard]] Workers& workers() const { return workers_; }

 private:
  struct Slot;  // one loaded model with its memory
  [[nodiscard]] Result<Slot*> prepare(ByteSource& source, Str name, const EngineOptions& options);
  [[nodiscard]] Result<Slot*> prepare_and_take_memory(ByteSource& source, Str name,
                                                      const EngineOptions& options);
  [[nodiscard]] Status read_tables(Slot& slot, ByteSource& source, Str name,
                                   const EngineOptions& options);
  [[nodiscard]] Status read_model(Slot& slot, const EngineOptions& options);
  [[nodiscard]] Status read_template(Slot& slot);
  [[nodiscard]] Status take_memory(Slot& slot, const EngineOptions& options);
  [[nodiscard]] Status take_session_memory(Slot& slot, const EngineOptions& options);
  [[nodiscard]] Status fill(Slot& slot, ByteSource& source, const EngineOptions& options,
                            LoadObserver* observer);
  [[nodiscard]] Status prepare_feed(Slot& slot, const EngineOptions& options);
  [[nodiscard]] Status make_session(Slot& slot);
  void release(Slot* slot);
  [[nodiscard]] Sha256BlockFn hash_blocks() const;

  Pages& pages_;
  Workers& workers_;
  const KernelTable& kernels_;
  Slot* slot_ = nullptr;
  Slot* coming_ = nullptr;  // begun and not finished
  bool had_to_evict_ = false;
};

}  // namespace lbm
