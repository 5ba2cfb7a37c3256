// Looking inside: the machine, the model, and a report to send. See repl_state.h.
#include "core/chat/repl_state.h"

namespace lbm {

void Repl::diagnose(ConsolePrinter& out) { out.line("not built yet"); }
void Repl::report() { out_.line("not built yet"); }
void Repl::verify() { out_.line("not built yet"); }

}  // namespace lbm
