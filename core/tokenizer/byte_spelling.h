// The spelling of byte tokens lives where core/format reaches it too: a tokenizer.json does not say
// which of its tokens are bytes.
#pragma once

#include "core/base/byte_spelling.h"
