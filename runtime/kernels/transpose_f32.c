/* transpose, float: one row of the output a step. */
#include "src/strided.h"

fedtiny_status fedtiny_transpose_f32(const fedtiny_call *call) {
    const fedtiny_strided_params *p = call->params;
    fedtiny_gather_f32(p, (const float *)call->in[0] + call->step * p->step_stride, call->out[0]);
    return FEDTINY_OK;
}
