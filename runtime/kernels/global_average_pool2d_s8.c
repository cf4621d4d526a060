/* average_pool2d over the whole input, int8: sums one input row a step in `state`. */
#include "src/memory.h"
#include "src/requantize.h"

/* Adds the pixels of a row to the sums of the channels. */
static void add(const fedtiny_global_average_pool2d_s8_params *p, const int8_t *row,
                int32_t *sums) {
    for (int32_t x = 0; x < p->in_w; x++) {
#if defined(__ARM_FEATURE_MVE)
        int32_t *sum = sums;
        __asm__ volatile("    wlstp.32 lr, %[count], 2f\n"
                         "1:\n"
                         "    vldrb.s32 q0, [%[row]], #4\n"
                         "    vldrw.u32 q1, [%[sum]]\n"
                         "    vadd.i32 q0, q0, q1\n"
                         "    vstrw.32 q0, [%[sum]], #16\n"
                         "    letp lr, 1b\n"
                         "2:\n"
                         : [sum] "+r"(sum), [row] "+l"(row)
                         : [count] "r"((int32_t)p->channels)
                         : "q0", "q1", "lr", "memory");
        row += p->channels - ((p->channels + 3) & ~3); /* back from the end of the last four */
#else
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] += *row++;
        }
#endif
    }
}

fedtiny_status fedtiny_global_average_pool2d_s8(const fedtiny_call *call) {
    const fedtiny_global_average_pool2d_s8_params *p = call->params;
    int32_t *sums = call->state; /* (channels) */
    if (call->step == 0) {
        fedtiny_fill(sums, 0, p->channels * sizeof *sums);
    }
    add(p, call->in[0], sums);
    if (call->step == p->in_h - 1) {
        int8_t *out = call->out[0];
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t mean = fedtiny_mean(sums[c], (int32_t)p->in_h * p->in_w);
            out[c] = (int8_t)fedtiny_clamp_s32(mean, p->output_min, p->output_max);
        }
    }
    return FEDTINY_OK;
}
