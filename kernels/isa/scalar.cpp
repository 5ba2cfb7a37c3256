// The scalar kernel table. Everything but the table itself is in an unnamed namespace, so that
// nothing compiled here can be linked into code for another instruction set
// (scripts/check_symbols.py).
#include "kernels/isa/tables.h"

namespace lbm {
namespace {

#define LBM_TABLE_NAME "scalar"
#include "core/tensor/f16.inl.h"
#include "kernels/simd/scalar.inl.h"
#include "kernels/loads.inl.h"
#include "kernels/sources.inl.h"
#include "kernels/matmul.inl.h"
#include "kernels/plain.inl.h"
#include "kernels/vector_ops.inl.h"
#include "kernels/activation_ops.inl.h"
#include "kernels/kv_types.inl.h"
#include "kernels/attention.inl.h"
#include "kernels/recurrent.inl.h"
#include "kernels/table.inl.h"

}  // namespace

constinit const KernelTable kTable_scalar = make_table();

}  // namespace lbm
