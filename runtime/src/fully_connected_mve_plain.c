/* The loops of fully_connected_mve.h in C. */
#include "src/fully_connected_mve.h"

#if !FEDTINY_MVE
enum { LANES = FEDTINY_GATHER_LANES, OUTPUTS = 4 };

static void store(const fedtiny_fully_connected_mve *call, int32_t output, int32_t sum) {
    if (output < call->outputs) {
        const int32_t high = (int32_t)(((int64_t)sum * call->multiplier) >> 31);
        call->out[output] =
            (int8_t)fedtiny_clamp_s32((high + call->rounding) >> -call->left, INT8_MIN, INT8_MAX);
    }
}

void fedtiny_fully_connected_wide(const fedtiny_fully_connected_mve *call) {
    const uint8_t *group = call->stream;
    for (int32_t o = 0; o < call->outputs; o++) {
        const int8_t *in = call->in;
        int32_t sum = call->bias[o];
        for (int32_t left = call->more[o]; left >= 0; left--, group += 2 + 2 * LANES) {
            in += group[0] | group[1] << 8;
            for (int32_t i = 2; i < 2 + LANES; i++) {
                sum += (int8_t)group[LANES + i] * in[group[i]];
            }
        }
        store(call, o, sum);
    }
}

void fedtiny_fully_connected_blocks(const fedtiny_fully_connected_mve *call) {
    const uint8_t *group = call->stream;
    for (int32_t o = 0; o < call->outputs; o++) {
        int32_t sum = call->bias[o];
        for (int32_t left = call->more[o]; left >= 0; left--, group += 8 + LANES) {
            for (int32_t i = 0; i < LANES; i++) {
                const uint8_t *place = group + 2 * (i / 4);
                sum += (int8_t)group[8 + i] * call->in[4 * (place[0] | place[1] << 8) + i % 4];
            }
        }
        store(call, o, sum);
    }
}

void fedtiny_fully_connected_dense_mve(const fedtiny_fully_connected_mve *call) {
    const int8_t *weights = (const int8_t *)call->stream;
    const int32_t groups = call->more[0] + 1;
    for (int32_t o = 0; o < call->outputs; o++) {
        const int8_t *row = weights + (o / OUTPUTS * groups * OUTPUTS + o % OUTPUTS) * LANES;
        int32_t sum = call->bias[o];
        for (int32_t i = 0; i < groups * LANES; i++) {
            sum += row[i / LANES * OUTPUTS * LANES + i % LANES] * call->in[i];
        }
        store(call, o, sum);
    }
}
#endif
