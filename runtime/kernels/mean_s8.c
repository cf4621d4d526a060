/* mean over rows and columns, int8: sums one input row a step in `state`. */
#include "src/memory.h"
#include "src/requantize.h"

fedtiny_status fedtiny_mean_s8(const fedtiny_call *call) {
    const fedtiny_mean_s8_params *p = call->params;
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
            const int32_t mean = fedtiny_multiply(sums[c] + p->offset_in, p->multiplier, p->shift);
            out[c] = (int8_t)fedtiny_clamp_s32(mean + p->offset_out, -128, 127);
        }
    }
    return FEDTINY_OK;
}
