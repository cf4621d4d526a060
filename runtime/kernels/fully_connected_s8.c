/* fully_connected, int8, in integers: two outputs at once share every input. */
#include "src/requantize.h"

fedtiny_status fedtiny_fully_connected_s8(const fedtiny_call *call) {
    const fedtiny_fully_connected_s8_params *p = call->params;
    const int8_t *w = fedtiny_constant(call, p->weights);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const fedtiny_line line =
        fedtiny_line_of(p->multiplier, p->rounding_low, p->rounding_high, p->shift);
    const int32_t low = p->output_min, high = p->output_max;
    int8_t *out = call->out[0];
    for (uint32_t o = 0; o < p->outputs; o += 2) {
        /* An odd last output is computed twice. */
        const uint32_t other = o + 1 < p->outputs ? o + 1 : o;
        const int8_t *w0 = w + o * p->inputs, *w1 = w + other * p->inputs;
        const int8_t *in = call->in[0], *end = in + p->inputs;
        int32_t acc0 = bias[o], acc1 = bias[other];
        for (const int8_t *whole = in + (p->inputs & ~3u); in != whole; in += 4) {
            acc0 += w0[0] * in[0] + w0[1] * in[1] + w0[2] * in[2] + w0[3] * in[3];
            acc1 += w1[0] * in[0] + w1[1] * in[1] + w1[2] * in[2] + w1[3] * in[3];
            w0 += 4;
            w1 += 4;
        }
        while (in != end) {
            const int32_t x = *in++;
            acc0 += *w0++ * x;
            acc1 += *w1++ * x;
        }
        out[o] = (int8_t)fedtiny_clamp_s32(fedtiny_follow(&line, acc0), low, high);
        out[other] = (int8_t)fedtiny_clamp_s32(fedtiny_follow(&line, acc1), low, high);
    }
    return FEDTINY_OK;
}
