/* fully_connected over nonzeros, int8: a bit for each input of an output says whether its weight is
 * there; weights follow each other. */
#include "src/bits.h"
#include "src/requantize.h"

fedtiny_status fedtiny_fully_connected_bitmap_s8(const fedtiny_call *call) {
    const fedtiny_fully_connected_bitmap_s8_params *p = call->params;
    const uint32_t *map = fedtiny_constant(call, p->maps);
    const int8_t *weight = fedtiny_constant(call, p->weights);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const fedtiny_line line =
        fedtiny_line_of(p->multiplier, p->rounding_low, p->rounding_high, p->shift);
    int8_t *out = call->out[0];
    for (uint32_t o = 0; o < p->outputs; o++) {
        const int8_t *in = call->in[0];
        int32_t acc = bias[o];
        for (uint32_t word = 0; word < p->map_words; word++, in += 32) {
            for (uint32_t bits = *map++; bits != 0; bits &= bits - 1) {
                acc += *weight++ * in[fedtiny_lowest_bit(bits)];
            }
        }
        out[o] =
            (int8_t)fedtiny_clamp_s32(fedtiny_follow(&line, acc), p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
