/* The loops of dense_dsp.h in C. */
#include "src/dense_dsp.h"
#include "src/multiply_high.h"

#if !FEDTINY_DENSE_ASSEMBLY
static int32_t pair_of(int32_t low, int32_t high) {
    return (int32_t)(((uint32_t)low & 0xFFFF) | (uint32_t)high << 16);
}

static void tile(const fedtiny_dense_call *call, int32_t pixels) {
    const int8_t *weights = call->weights;
    for (int32_t c = 0; c < call->count; c++, weights += 4 * call->fours) {
        const fedtiny_dense_channel *channel = call->channels + c;
        for (int32_t x = 0; x < pixels; x++) {
            int32_t sum = channel->bias;
            for (int32_t i = 0; i < 4 * call->fours; i++) {
                const int32_t word = call->patch[((i / 4) * 2 + i % 2) * pixels + x];
                sum += weights[i] * (i % 4 < 2 ? (int16_t)(word & 0xFFFF) : word >> 16);
            }
            call->out[c + x * call->stride] =
                fedtiny_scale_s8(sum, channel->factor, channel->divisor, call->zero_point, 1);
        }
    }
}

void fedtiny_dense_tile2(const fedtiny_dense_call *call) {
    tile(call, 2);
}

void fedtiny_dense_tile3(const fedtiny_dense_call *call) {
    tile(call, 3);
}

void fedtiny_dense_tile4(const fedtiny_dense_call *call) {
    tile(call, 4);
}

void fedtiny_dense_tile5(const fedtiny_dense_call *call) {
    tile(call, 5);
}

void fedtiny_dense_expand(int32_t *to, const int8_t *from, int32_t fours, int32_t pixels) {
    for (int32_t i = 0; i < fours; i++, from += 4, to += 2 * pixels) {
        to[0] = pair_of(from[0], from[2]);
        to[pixels] = pair_of(from[1], from[3]);
    }
}
#endif
