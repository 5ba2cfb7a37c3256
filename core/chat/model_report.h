// What a model file holds, and the one reason why it can not be run: /model_info, and the diagnosis
// of a failed load.
#pragma once

#include "core/base/result.h"
#include "core/chat/console_printer.h"
#include "core/format/model_file.h"
#include "core/platform.h"

namespace lbm {

// Reads the header of `source` into memory taken from `pages` for the while, and prints what it
// says.
void report_model_file(ByteSource& source, Str label, Pages& pages, ConsolePrinter& out);

// One diagnosis of a load that failed: the file, its architecture and types as far as they can be
// read, the reason with its place, and what to do.
void diagnose_load(const Error& error, ByteSource& source, Str label, Pages& pages,
                   ConsolePrinter& out);

// What a person can do about an error of loading or answering; empty when the message says it all.
// `out` is for a text that is put together (what this build can run).
[[nodiscard]] Str way_out(const Error& error, TextWriter& out);

}  // namespace lbm
