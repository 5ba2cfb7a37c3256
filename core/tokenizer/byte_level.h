// The alphabet of byte-level BPE lives where core/format reaches it too: an .slm file has tokens
// that are bytes, and becomes a vocabulary of this kind.
#pragma once

#include "core/base/byte_level.h"
