/* fully_connected over nonzeros, int8. */
#include "src/requantize.h"

fedtiny_status fedtiny_fully_connected_csr_s8(const fedtiny_call *call) {
    const fedtiny_fully_connected_csr_s8_params *p = call->params;
    const uint16_t *counts = fedtiny_constant(call, p->counts);
    const uint8_t *entry = fedtiny_constant(call, p->entries);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const fedtiny_line line =
        fedtiny_line_of(p->multiplier, p->rounding_low, p->rounding_high, p->shift);
    int8_t *out = call->out[0];
    for (uint32_t o = 0; o < p->outputs; o++) {
        const int8_t *in = call->in[0];
        int32_t acc = bias[o];
        for (const uint8_t *end = entry + 2 * counts[o]; entry != end; entry += 2) {
            in += entry[0];
            acc += (int8_t)entry[1] * *in;
        }
        out[o] =
            (int8_t)fedtiny_clamp_s32(fedtiny_follow(&line, acc), p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
