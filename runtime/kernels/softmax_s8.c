#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
/* softmax over the channels of every pixel, int8. The output row may be the input row. */
#include "src/softmax.h"

/* exp of an input's difference to the greatest one in Q0.31; 0 where it does not count. */
static FEDTINY_SEPARATE int32_t exponential(const fedtiny_softmax_s8_params *p,
                                            int32_t difference) {
    if (difference < p->difference_min) {
        return 0;
    }
    return fedtiny_exp_of_negative(
        fedtiny_softmax_multiply((int32_t)((uint32_t)difference << p->shift), p->multiplier));
}

static void softmax(const fedtiny_softmax_s8_params *p, const int8_t *in, int8_t *out) {
    int32_t greatest = in[0], leading_zeros = 0;
    uint32_t sum = 0;
    for (int32_t c = 1; c < p->channels; c++) {
        greatest = in[c] > greatest ? in[c] : greatest;
    }
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t e = exponential(p, in[c] - greatest);
        sum += (uint32_t)fedtiny_softmax_divide(e, FEDTINY_SOFTMAX_SUM_BITS);
    }
    while (!(sum >> 31)) {
        sum <<= 1;
        leading_zeros++;
    }
    const int32_t reciprocal = fedtiny_one_over_one_plus((int32_t)(sum - ((uint32_t)1 << 31)));
    const int32_t shift = FEDTINY_SOFTMAX_SUM_BITS - leading_zeros + 31 - 8;
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t e = exponential(p, in[c] - greatest);
        const int32_t product = fedtiny_softmax_multiply(reciprocal, e);
        const int32_t scaled = shift > 31 ? 0 : fedtiny_softmax_divide(product, shift);
        out[c] = (int8_t)fedtiny_clamp_s32(scaled - 128, -128, 127);
    }
}

fedtiny_status fedtiny_softmax_s8(const fedtiny_call *call) {
    const fedtiny_softmax_s8_params *p = call->params;
    const int8_t *in = call->in[0];
    int8_t *out = call->out[0];
    for (uint32_t x = 0; x < p->pixels; x++) {
        softmax(p, in + x * p->channels, out + x * p->channels);
    }
    return FEDTINY_OK;
}
