// The sessions of `lbm serve`: who gets which one, who waits, and whose turn it is to compute.
//
// A slot is one session with what it has evaluated. A request that goes on from there pays for what
// is new only, so it is given the slot of which it keeps more than half, the most first; else the
// one that was not used for longest, which with few conversations is one that nobody goes on with.
// Requests of different slots take turns by steps (a batch of a prompt, or one token): the machine
// does one thing at a time, as fast as it can, and a long answer holds nobody up for longer than a
// step. What an answer is, bit for bit, depends on neither.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "core/infer/sampler.h"
#include "tools/loaded_model.h"

namespace lbm::cli {

struct Slot {
  Session* session = nullptr;
  Sampler* sampler = nullptr;
  Arena scratch;  // work memory of an answer: mark, take, rewind
  u64 last_used = 0;
  bool busy = false;
};

// A client that waits for something.
class Waiting {
 public:
  virtual ~Waiting() = default;
  // Asked often; sends nothing.
  [[nodiscard]] virtual bool is_gone() = 0;
  // Called now and then with nothing locked: what waits to be sent may be sent.
  virtual void keep_alive() = 0;
};

class SlotPool {
 public:
  // `n_slot` sessions, the model's own among them; at most `n_waiting` requests wait. Throws
  // CommandError (kMemory) with what one slot needs.
  SlotPool(LoadedModel& model, u32 n_slot, u32 n_waiting);
  ~SlotPool();
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;

  // A slot, from its making to its end.
  class Lease {
   public:
    // For an answer to `prompt`. Waits until those who came before have theirs. Throws ApiError
    // (429): too many wait already, and this does not go on with a request that was let in.
    Lease(SlotPool& pool, Span<const u32> prompt, Waiting& client, bool goes_on);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // Null: the client went away while it waited.
    [[nodiscard]] Slot* slot() const { return slot_; }

   private:
    SlotPool& pool_;
    Slot* slot_ = nullptr;
  };

  // The right to compute, in the order of asking.
  class Step {
   public:
    explicit Step(SlotPool& pool);
    ~Step();
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    SlotPool& pool_;
  };

  // Throws ApiError (429) where a request of now would be refused: before work is put into it.
  void check_room();
  [[nodiscard]] u32 n_slot() const { return static_cast<u32>(slots_.size()); }
  [[nodiscard]] u32 n_busy();
  [[nodiscard]] u32 n_waiting();
  // Of one slot: its cache, activations and state.
  [[nodiscard]] u64 slot_bytes() const { return slot_bytes_; }

 private:
  struct Memory;  // what the slots stand in

  void add_slot(LoadedModel& model, Session& session);
  [[nodiscard]] bool has_free() const;
  [[nodiscard]] Slot& choose(Span<const u32> prompt);
  [[noreturn]] void refuse() const;

  std::unique_ptr<Memory> memory_;
  std::vector<std::unique_ptr<Slot>> slots_;
  u32 max_waiting_;
  u64 slot_bytes_ = 0;

  std::mutex mutex_;  // over the following, and over last_used and busy of the slots
  std::condition_variable freed_;
  std::deque<u64> queue_;  // numbers of requests that wait
  u64 n_number_ = 0;
  u64 n_use_ = 0;

  std::mutex step_mutex_;
  std::condition_variable stepped_;
  u64 next_step_ = 0;  // under step_mutex_
  u64 step_ = 0;       // under step_mutex_: whose turn it is
};

}  // namespace lbm::cli
