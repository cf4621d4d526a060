/* fully_connected over nonzeros, float. */
#include "src/kernel.h"

fedtiny_status fedtiny_fully_connected_csr_f32(const fedtiny_call *call) {
    const fedtiny_fully_connected_csr_f32_params *p = call->params;
    const uint16_t *counts = fedtiny_constant(call, p->counts);
    const uint16_t *columns = fedtiny_constant(call, p->columns);
    const float *values = fedtiny_constant(call, p->values);
    const float *bias = fedtiny_constant(call, p->bias);
    const float *in = call->in[0];
    float *out = call->out[0];
    for (uint32_t o = 0; o < p->outputs; o++) {
        float acc = bias[o];
        for (const float *end = values + counts[o]; values != end; values++) {
            acc += *values * in[*columns++];
        }
        out[o] = fedtiny_clamp_f32(acc, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
