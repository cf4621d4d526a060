/* mean over rows and columns, float: sums one input row a step in `state`. */
#include "src/kernel.h"

fedtiny_status fedtiny_mean_f32(const fedtiny_call *call) {
    const fedtiny_mean_f32_params *p = call->params;
    const float *row = call->in[0];
    float *sums = call->state; /* (channels) */
    if (call->step == 0) {
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] = 0.0f;
        }
    }
    for (int32_t x = 0; x < p->in_w; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] += *row++;
        }
    }
    if (call->step == p->in_h - 1) {
        const float count = (float)((int32_t)p->in_h * p->in_w);
        float *out = call->out[0];
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = sums[c] / count;
        }
    }
    return FEDTINY_OK;
}
