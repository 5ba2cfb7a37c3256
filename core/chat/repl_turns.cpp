// Commands about the conversation and its settings. See repl_state.h.
#include "core/chat/repl_state.h"

namespace lbm {

void Repl::undo(Str) { out_.line("not built yet"); }
void Repl::regenerate(Str) { out_.line("not built yet"); }
void Repl::edit() { out_.line("not built yet"); }
void Repl::read_text(Str) { out_.line("not built yet"); }
void Repl::preset(Str) { out_.line("not built yet"); }
void Repl::show(Str) { out_.line("not built yet"); }
void Repl::show_context() { out_.line("not built yet"); }
bool Repl::autorun(Str) {
  out_.line("not built yet");
  return true;
}

}  // namespace lbm
