/* fully_connected, int8, dense: four outputs share every input (src/fully_connected.h). */
#include "src/fully_connected.h"

#if !FEDTINY_FULLY_CONNECTED_DSP
#include <string.h>

void fedtiny_fully_connected_dense(const fedtiny_fully_connected_sums *call) {
    const int8_t *weight = call->weights;
    int8_t *out = call->out;
    while (out != call->end) {
        int32_t sums[4];
        memcpy(sums, weight, sizeof sums);
        weight += sizeof sums;
        for (int32_t first = 0; first < call->inputs; first += 4) {
            /* The last block reads the last four inputs; weights of those read before are 0. */
            const int8_t *in = call->in + (first + 4 > call->inputs ? call->inputs - 4 : first);
            for (int i = 0; i < 4; i++, weight += 4) {
                sums[i] +=
                    weight[0] * in[0] + weight[1] * in[1] + weight[2] * in[2] + weight[3] * in[3];
            }
        }
        for (int i = 0; i < 4 && out != call->end; i++) {
            *out++ = fedtiny_fully_connected_scale(call, sums[i]);
        }
    }
}
#endif

fedtiny_status fedtiny_fully_connected_s8_dsp(const fedtiny_call *call) {
    const fedtiny_fully_connected_s8_dsp_params *p = call->params;
    fedtiny_fully_connected_sums sums;
    sums.in = call->in[0];
    sums.weights = fedtiny_constant(call, p->weights);
    sums.out = call->out[0];
    sums.multiplier = p->multiplier;
    sums.rounding = p->rounding;
    sums.shift = p->shift;
    sums.end = sums.out + p->outputs;
    sums.inputs = (int32_t)p->inputs;
    fedtiny_fully_connected_dense(&sums);
    fedtiny_fully_connected_clamp(&sums, p->output_min, p->output_max);
    return FEDTINY_OK;
}
