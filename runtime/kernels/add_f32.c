/* add, float, the plain definition. The output row may be either input row. */
#include "src/kernel.h"

fedtiny_status fedtiny_add_f32(const fedtiny_call *call) {
    const fedtiny_add_f32_params *p = call->params;
    const float *a = call->in[0], *b = call->in[1];
    float *out = call->out[0];
    for (uint32_t i = 0; i < p->elements; i++) {
        out[i] = fedtiny_clamp_f32(a[i] + b[i], p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
