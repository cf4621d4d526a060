/* fully_connected, int8, weights with scales of their own for every output, in integers. */
#include "src/requantize.h"

fedtiny_status fedtiny_fully_connected_channels_s8(const fedtiny_call *call) {
    const fedtiny_fully_connected_channels_s8_params *p = call->params;
    const int8_t *w = fedtiny_constant(call, p->weights);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *numbers = fedtiny_constant(call, p->lines);
    int8_t *out = call->out[0];
    for (uint32_t o = 0; o < p->outputs; o++, numbers += 4) {
        const fedtiny_line line =
            fedtiny_line_of(numbers[0], (uint32_t)numbers[1], numbers[2], (uint8_t)numbers[3]);
        const int8_t *in = call->in[0], *end = in + p->inputs;
        int32_t acc = bias[o];
        for (const int8_t *whole = in + (p->inputs & ~3u); in != whole; in += 4, w += 4) {
            acc += w[0] * in[0] + w[1] * in[1] + w[2] * in[2] + w[3] * in[3];
        }
        while (in != end) {
            acc += *w++ * *in++;
        }
        out[o] =
            (int8_t)fedtiny_clamp_s32(fedtiny_follow(&line, acc), p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
