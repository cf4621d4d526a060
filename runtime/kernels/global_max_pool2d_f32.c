/* max_pool2d over the whole input, float: keeps the greatest values in `state`. */
#include "src/kernel.h"

fedtiny_status fedtiny_global_max_pool2d_f32(const fedtiny_call *call) {
    const fedtiny_global_max_pool2d_f32_params *p = call->params;
    const float *in = call->in[0];
    float *greatest = call->state; /* (channels) */
    if (call->step == 0) {
        for (int32_t c = 0; c < p->channels; c++) {
            greatest[c] = p->output_min;
        }
    }
    for (int32_t x = 0; x < p->in_w; x++, in += p->channels) {
        for (int32_t c = 0; c < p->channels; c++) {
            greatest[c] = in[c] > greatest[c] ? in[c] : greatest[c];
        }
    }
    if (call->step == p->in_h - 1) {
        float *out = call->out[0];
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = greatest[c] < p->output_max ? greatest[c] : p->output_max;
        }
    }
    return FEDTINY_OK;
}
