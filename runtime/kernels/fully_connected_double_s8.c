/* fully_connected, int8, the plain definition: one rounding of a double, halves away from zero. */
#include "src/kernel.h"

#include <string.h>

fedtiny_status fedtiny_fully_connected_double_s8(const fedtiny_call *call) {
    const fedtiny_fully_connected_double_s8_params *p = call->params;
    const int8_t *w = fedtiny_constant(call, p->weights);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int8_t *in = call->in[0];
    int8_t *out = call->out[0];
    const uint32_t *words = fedtiny_constant(call, p->scales);
    for (uint32_t o = 0; o < p->outputs; o++, w += p->inputs, words += 2) {
        const uint64_t bits = (uint64_t)words[1] << 32 | words[0];
        double scale;
        memcpy(&scale, &bits, sizeof scale);
        int32_t acc = bias[o];
        for (uint32_t i = 0; i < p->inputs; i++) {
            acc += w[i] * (in[i] - p->input_zero_point);
        }
        /* Beyond +-256 the clamp decides; below, truncation of the fraction is exact. */
        double scaled = (double)acc * scale;
        scaled = scaled < -256.0 ? -256.0 : scaled > 256.0 ? 256.0 : scaled;
        int32_t whole = (int32_t)scaled;
        const double fraction = scaled - (double)whole;
        whole += fraction >= 0.5 ? 1 : fraction <= -0.5 ? -1 : 0;
        whole += p->output_zero_point;
        out[o] = (int8_t)fedtiny_clamp_s32(whole, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
