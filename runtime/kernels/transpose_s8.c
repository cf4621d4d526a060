/* transpose, int8: one row of the output a step. */
#include "src/strided.h"

fedtiny_status fedtiny_transpose_s8(const fedtiny_call *call) {
    const fedtiny_strided_params *p = call->params;
    fedtiny_gather_s8(p, (const int8_t *)call->in[0] + call->step * p->step_stride, call->out[0]);
    return FEDTINY_OK;
}
