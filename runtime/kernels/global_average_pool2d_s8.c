/* average_pool2d over the whole input, int8: sums one input row a step in `state`. */
#include "src/memory.h"
#include "src/requantize.h"

fedtiny_status fedtiny_global_average_pool2d_s8(const fedtiny_call *call) {
    const fedtiny_global_average_pool2d_s8_params *p = call->params;
    const int8_t *row = call->in[0];
    int32_t *sums = call->state; /* (channels) */
    if (call->step == 0) {
        fedtiny_fill(sums, 0, p->channels * sizeof *sums);
    }
    for (int32_t x = 0; x < p->in_w; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] += *row++;
        }
    }
    if (call->step == p->in_h - 1) {
        int8_t *out = call->out[0];
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t mean = fedtiny_mean(sums[c], (int32_t)p->in_h * p->in_w);
            out[c] = (int8_t)fedtiny_clamp_s32(mean, p->output_min, p->output_max);
        }
    }
    return FEDTINY_OK;
}
