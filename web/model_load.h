// A model file on its way into the module: it comes in order, in chunks of any size.
//
// The header of a GGUF file is kept until it is whole, which is tried when the bytes that the last
// attempt lacked are there, and a quarter more than it had; from then on each chunk goes into the
// weights (Engine::feed_load) and nothing of the file is kept. Other formats do not hold their
// weights in the order in which they are needed, and are small: they are kept whole.
#pragma once

#include "web/chat_desk.h"
#include "web/machine.h"

namespace lbm::web {

// What JavaScript asks of a load: 32 bytes, little-endian, in the order of the members.
struct LoadParams {
  u32 n_byte = sizeof(LoadParams);  // of this record: a later one may be longer
  u32 n_ctx = 0;                    // 0: the default
  u32 n_batch = 0;                  // 0: the default
  u32 kv = 0;                       // a number of KvType
  u32 flags = 0;
  u32 reserved[3] = {};  // 0

  static constexpr u32 kReplace = 1;  // flags: the loaded model may be given up for room
  static constexpr u32 kHash = 2;     // SHA-256 of the file, if all of it comes
  // No weights: tokens are evaluated elsewhere. What follows the header need not come.
  static constexpr u32 kDescribeOnly = 4;
  // With that: a tokenizer and nothing else, of any file that has one.
  static constexpr u32 kTokenizerOnly = 8;
  static constexpr u32 kAllFlags = 15;

  // Errors: kInvalidArgument  a member out of its range, by name.
  [[nodiscard]] Status check() const;
};
static_assert(sizeof(LoadParams) == 32);

class ModelLoad {
 public:
  explicit ModelLoad(ChatDesk& desk) : desk_(desk) {}

  // A file of n_byte bytes will come. Forgets a load that was not committed.
  // Errors: LoadParams::check; kInvalidArgument  no bytes; kOutOfMemory  more than a module has.
  [[nodiscard]] Status begin(u64 n_byte, const LoadParams& params);
  // The next bytes. An error ends the load; the loaded model is as it was, unless gave_up_model().
  // Errors: kInvalidArgument  no load has begun; kLimit  more bytes than it began with; those of
  // Engine::begin_load and Engine::feed_load.
  [[nodiscard]] Status write(Span<const u8> bytes);
  // Makes it the model. Errors: kTruncated, kInvalidArgument (an answer is being made): the load
  // goes on. Those of Engine::load and ChatDesk::open end it.
  [[nodiscard]] Status commit();
  void abort();

  // Whether commit() has all it needs: the file, or what describes it where no more was asked for.
  [[nodiscard]] bool is_ready() const;

  [[nodiscard]] u64 size() const { return size_; }
  [[nodiscard]] u64 n_come() const { return n_come_; }
  // Most bytes of the file that were kept at a time.
  [[nodiscard]] u64 n_kept() const { return most_kept_; }
  // The last load had to give up the loaded model, and did not put another one in its place.
  [[nodiscard]] bool gave_up_model() const { return gave_up_model_; }

 private:
  enum class Phase : u8 { kNone, kHead, kWeights, kWhole };

  [[nodiscard]] Status write_head(Span<const u8>& bytes);
  [[nodiscard]] Status keep(Span<const u8> bytes);
  [[nodiscard]] Status look();
  [[nodiscard]] Status open();
  [[nodiscard]] Status keep_whole();
  [[nodiscard]] Status take_kept(u64 n_byte);
  [[nodiscard]] EngineOptions options() const;
  // Whether there is a model that may not be given up for room now, and what to do about it.
  [[nodiscard]] bool keeps_model() const;
  [[nodiscard]] const char* why_kept() const;
  void drop_kept();
  void after_engine(bool had_model);

  ChatDesk& desk_;
  Phase phase_ = Phase::kNone;
  LoadParams params_;
  u64 size_ = 0;    // of the file
  u64 n_come_ = 0;  // bytes of it
  Span<u8> kept_;   // room for its first bytes
  usize n_kept_ = 0;
  u64 wanted_ = 0;  // bytes without which the header can not be read
  bool knows_kind_ = false;
  u64 most_kept_ = 0;
  bool gave_up_model_ = false;
};

}  // namespace lbm::web
