// The lattices of the IQ types: 8 (IQ1, IQ2) or 4 (IQ3) elements in the bytes of a word, the first
// element lowest. Magnitudes only, the signs are stored apart; IQ1 has -1, 0 and 1.
#pragma once

#include "core/base/types.h"

namespace lbm {

template <class Word, u32 kPoints>
struct GridTable {
  Word points[kPoints];
};

extern const GridTable<u64, 256> kIq2XxsGrid;
extern const GridTable<u64, 512> kIq2XsGrid;
extern const GridTable<u64, 1024> kIq2SGrid;
extern const GridTable<u32, 256> kIq3XxsGrid;
extern const GridTable<u32, 512> kIq3SGrid;
extern const GridTable<u64, 2048> kIq1Grid;

}  // namespace lbm
