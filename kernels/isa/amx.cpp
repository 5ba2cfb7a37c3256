// The amx kernel table: AVX-512 with AMX-INT8. Everything but the table itself is in an unnamed
// namespace, so that nothing compiled here can be linked into code for another instruction set
// (scripts/check_symbols.py).
#include "kernels/isa/tables.h"

#include <immintrin.h>

namespace lbm {
namespace {

#define LBM_TABLE_NAME "amx"
#include "core/tensor/f16.inl.h"
#include "kernels/simd/avx512.inl.h"
#include "kernels/loads.inl.h"
#include "kernels/simd/amx_panel.inl.h"
#include "kernels/sources.inl.h"
#include "kernels/matmul.inl.h"
#include "kernels/simd/amx.inl.h"
#include "kernels/plain.inl.h"
#include "kernels/vector_ops.inl.h"
#include "kernels/activation_ops.inl.h"
#include "kernels/kv_types.inl.h"
#include "kernels/attention.inl.h"
#include "kernels/recurrent.inl.h"
#include "kernels/table.inl.h"

}  // namespace

constinit const KernelTable kTable_amx = make_table();

}  // namespace lbm
