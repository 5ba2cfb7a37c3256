// The evaluated context of a session in the record SNAPSHOT, and back: a long conversation or text
// need not be read by the model again after a restart (core/state/kv_snapshot.h).
#pragma once

#include "core/chat/engine.h"
#include "core/state/kv_snapshot.h"
#include "core/state/state_store.h"

namespace lbm {

// What is kept, or taken back. All of it outlives the call.
struct ContextToKeep {
  Engine& engine;   // loaded
  Str model_label;  // of the file, with its size the identity of a model that was not hashed
  u64 model_bytes = 0;
};

// Keeps the state of the session under `name`, with `text`, the conversation it belongs to.
// `buffer` is work memory that does not hold `text`. The first time the place for it is made, which
// on a stick takes a while: `progress` (may be null) is told. Returns the bytes that were written.
// Errors: kInvalidArgument  nothing was evaluated.   kBadName.   those of StateStore.
[[nodiscard]] Result<u64> save_context(StateStore& store, const ContextToKeep& from, Str name,
                                       Str text, Span<u8> buffer, ProgressObserver* progress);

// Puts what was kept in the place of what the session evaluated, which is forgotten once the state
// begins to come; after an error before that, the session is as it was. Returns the text that was
// kept with it, in `buffer`.
// Errors: kNotFound  nothing was kept, or not under `name` (empty: any).   those of parse() and
// match_snapshot(); kBadHash  the tokens are not those of the state.   kLimit  the text or the
// tokens do not fit `buffer`.   kIo.
[[nodiscard]] Result<Str> load_context(StateStore& store, const ContextToKeep& into, Str name,
                                       Span<u8> buffer);

}  // namespace lbm
