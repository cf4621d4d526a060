/* fully_connected, float, the plain definition. */
#include "src/kernel.h"

fedtiny_status fedtiny_fully_connected_f32(const fedtiny_call *call) {
    const fedtiny_fully_connected_f32_params *p = call->params;
    const float *w = fedtiny_constant(call, p->weights);
    const float *bias = fedtiny_constant(call, p->bias);
    const float *in = call->in[0];
    float *out = call->out[0];
    for (uint32_t o = 0; o < p->outputs; o++, w += p->inputs) {
        float acc = bias[o];
        for (uint32_t i = 0; i < p->inputs; i++) {
            acc += w[i] * in[i];
        }
        out[o] = fedtiny_clamp_f32(acc, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
