// What is kept on the stick: sessions, snapshots, the journal. See repl_state.h.
#include "core/chat/repl_state.h"

namespace lbm {

void Repl::open_state() {}
void Repl::keep_turn() {}
void Repl::note_event(Str) {}
void Repl::save(Str) { out_.line("not built yet"); }
void Repl::load(Str) { out_.line("not built yet"); }
void Repl::list_sessions() { out_.line("not built yet"); }
void Repl::resume() { out_.line("not built yet"); }
void Repl::snap_save(Str) { out_.line("not built yet"); }
void Repl::snap_load(Str) { out_.line("not built yet"); }
void Repl::show_log(Str) { out_.line("not built yet"); }

}  // namespace lbm
