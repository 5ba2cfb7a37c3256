// See serve_slots.h.
#include "tools/serve_slots.h"

#include <algorithm>
#include <chrono>

#include "tools/interrupt.h"
#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

// Address space for the work of one answer; pages become real as they are used.
constexpr u64 kTurnMemory = 1 * kGiB;
constexpr auto kPoll = std::chrono::milliseconds(100);

usize n_common(Span<const u32> a, Span<const u32> b) {
  usize n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  return n;
}

}  // namespace

struct SlotPool::Memory {
  PosixPages pages;
  std::vector<Span<u8>> taken;
  std::vector<std::unique_ptr<Arena>> sessions;
  std::vector<std::unique_ptr<ReservedMemory>> scratch;

  ~Memory() {
    for (const Span<u8> range : taken) pages.give_back(range);
  }
};

SlotPool::SlotPool(LoadedModel& model, u32 n_slot, u32 n_waiting)
    : memory_(std::make_unique<Memory>()), max_waiting_(n_waiting) {
  const Session& first = model.session();
  const SessionParams params = {first.n_ctx(), first.n_batch(), first.kv_type()};
  slot_bytes_ = Session::bytes_needed(model.config(), params, model.engine().workers().n_worker());
  add_slot(model, model.session());
  while (slots_.size() < n_slot) {
    const Result<Span<u8>> range = memory_->pages.take(slot_bytes_, "a slot");
    if (!range.ok()) {
      throw CommandError(
          ExitCode::kMemory,
          format("no room for slot %zu of %u, each of which needs ", slots_.size() + 1, n_slot) +
              format_bytes(slot_bytes_) + ": ask for fewer (--slots) or a shorter context (-c)");
    }
    memory_->taken.push_back(range.value());
    memory_->sessions.push_back(std::make_unique<Arena>(range.value()));
    add_slot(model, *expect(Session::create(*memory_->sessions.back(), model.engine().model(),
                                            params, model.kernels(), model.engine().workers()),
                            "slot", Stage::kRun));
  }
}

SlotPool::~SlotPool() = default;

void SlotPool::add_slot(LoadedModel& model, Session& session) {
  memory_->scratch.push_back(std::make_unique<ReservedMemory>(kTurnMemory));
  auto slot = std::make_unique<Slot>();
  slot->session = &session;
  slot->scratch.add_range(memory_->scratch.back()->span());
  slot->sampler =
      expect(Sampler::create(slot->scratch, model.config().n_vocab), "sampler", Stage::kRun);
  slots_.push_back(std::move(slot));
}

// ---- who gets a slot ----------------------------------------------------------------------------

bool SlotPool::has_free() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const auto& slot) { return !slot->busy; });
}

Slot& SlotPool::choose(Span<const u32> prompt) {
  Slot* best = nullptr;
  usize n_best = 0;
  Slot* oldest = nullptr;
  for (const auto& slot : slots_) {
    if (slot->busy) continue;
    const Span<const u32> have = slot->session->tokens();
    const usize n = n_common(have, prompt);
    if (2 * n > have.size() && n > n_best) {
      best = slot.get();
      n_best = n;
    }
    if (oldest == nullptr || slot->last_used < oldest->last_used) oldest = slot.get();
  }
  return best != nullptr ? *best : *oldest;
}

void SlotPool::refuse() const {
  throw ApiError(429, std::to_string(max_waiting_) + " requests wait already; try again later",
                 "queue_full");
}

void SlotPool::check_room() {
  const std::lock_guard lock(mutex_);
  if (!has_free() && queue_.size() >= max_waiting_) refuse();
}

SlotPool::Lease::Lease(SlotPool& pool, Span<const u32> prompt, Waiting& client, bool goes_on)
    : pool_(pool) {
  std::unique_lock lock(pool_.mutex_);
  const bool must_wait = !pool_.has_free() || !pool_.queue_.empty();
  if (must_wait && !goes_on && pool_.queue_.size() >= pool_.max_waiting_) pool_.refuse();
  const u64 number = pool_.n_number_++;
  pool_.queue_.push_back(number);
  bool is_gone = false;
  while (!is_gone && (pool_.queue_.front() != number || !pool_.has_free())) {
    pool_.freed_.wait_for(lock, kPoll);
    lock.unlock();
    client.keep_alive();
    is_gone = client.is_gone() || interrupt_pending();
    lock.lock();
  }
  pool_.queue_.erase(std::find(pool_.queue_.begin(), pool_.queue_.end(), number));
  if (!is_gone) {
    slot_ = &pool_.choose(prompt);
    slot_->busy = true;
    slot_->last_used = ++pool_.n_use_;
  }
  pool_.freed_.notify_all();
}

SlotPool::Lease::~Lease() {
  const std::lock_guard lock(pool_.mutex_);
  if (slot_ != nullptr) slot_->busy = false;
  pool_.freed_.notify_all();
}

u32 SlotPool::n_busy() {
  const std::lock_guard lock(mutex_);
  return static_cast<u32>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->busy; }));
}

u32 SlotPool::n_waiting() {
  const std::lock_guard lock(mutex_);
  return static_cast<u32>(queue_.size());
}

// ---- whose turn it is ---------------------------------------------------------------------------

SlotPool::Step::Step(SlotPool& pool) : pool_(pool) {
  std::unique_lock lock(pool_.step_mutex_);
  const u64 number = pool_.next_step_++;
  pool_.stepped_.wait(lock, [&] { return pool_.step_ == number; });
}

SlotPool::Step::~Step() {
  const std::lock_guard lock(pool_.step_mutex_);
  ++pool_.step_;
  pool_.stepped_.notify_all();
}

}  // namespace lbm::cli
