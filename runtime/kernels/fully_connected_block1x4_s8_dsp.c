/* fully_connected over blocks of four neighbouring inputs, int8 (src/fully_connected.h). */
#include "src/fully_connected.h"

#if !FEDTINY_FULLY_CONNECTED_DSP
void fedtiny_fully_connected_block1x4(const fedtiny_fully_connected_sums *call) {
    const int8_t *weight = call->weights;
    const uint8_t *index = call->indices;
    const int32_t *bias = call->bias;
    const uint16_t *count = call->counts;
    for (int8_t *out = call->out; out != call->end; out++) {
        int32_t sum = *bias++;
        for (const uint8_t *end = index + *count++; index != end; index++, weight += 4) {
            const int8_t *in = call->in + 4 * *index;
            sum += weight[0] * in[0] + weight[1] * in[1] + weight[2] * in[2] + weight[3] * in[3];
        }
        *out = fedtiny_fully_connected_scale(call, sum);
    }
}
#endif

fedtiny_status fedtiny_fully_connected_block1x4_s8_dsp(const fedtiny_call *call) {
    const fedtiny_fully_connected_block1x4_s8_dsp_params *p = call->params;
    fedtiny_fully_connected_sums sums;
    sums.in = call->in[0];
    sums.weights = fedtiny_constant(call, p->weights);
    sums.indices = fedtiny_constant(call, p->indices);
    sums.bias = fedtiny_constant(call, p->bias);
    sums.counts = fedtiny_constant(call, p->counts);
    sums.out = call->out[0];
    sums.multiplier = p->multiplier;
    sums.rounding = p->rounding;
    sums.shift = p->shift;
    sums.end = sums.out + p->outputs;
    fedtiny_fully_connected_block1x4(&sums);
    fedtiny_fully_connected_clamp(&sums, p->output_min, p->output_max);
    return FEDTINY_OK;
}
