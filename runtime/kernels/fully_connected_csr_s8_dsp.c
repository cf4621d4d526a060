/* fully_connected over nonzeros, int8, any mask: (delta, weight) entries, two a word
 * (src/fully_connected.h). */
#include "src/fully_connected.h"

#if !FEDTINY_FULLY_CONNECTED_DSP
void fedtiny_fully_connected_csr(const fedtiny_fully_connected_sums *call) {
    const uint8_t *entry = call->weights;
    const int32_t *bias = call->bias;
    const uint16_t *count = call->counts;
    for (int8_t *out = call->out; out != call->end; out++) {
        const int8_t *in = call->in;
        int32_t sum = *bias++;
        for (const uint8_t *end = entry + 4 * *count++; entry != end; entry += 2) {
            in += entry[0];
            sum += (int8_t)entry[1] * *in;
        }
        *out = fedtiny_fully_connected_scale(call, sum);
    }
}
#endif

fedtiny_status fedtiny_fully_connected_csr_s8_dsp(const fedtiny_call *call) {
    const fedtiny_fully_connected_csr_s8_dsp_params *p = call->params;
    fedtiny_fully_connected_sums sums;
    sums.in = call->in[0];
    sums.weights = fedtiny_constant(call, p->entries);
    sums.bias = fedtiny_constant(call, p->bias);
    sums.counts = fedtiny_constant(call, p->counts);
    sums.out = call->out[0];
    sums.multiplier = p->multiplier;
    sums.rounding = p->rounding;
    sums.shift = p->shift;
    sums.end = sums.out + p->outputs;
    fedtiny_fully_connected_csr(&sums);
    fedtiny_fully_connected_clamp(&sums, p->output_min, p->output_max);
    return FEDTINY_OK;
}
