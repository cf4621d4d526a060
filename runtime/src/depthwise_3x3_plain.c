/* The row of depthwise_3x3.h in plain C, for cores without src/depthwise_3x3_dsp.S and as its
 * definition. It keeps the columns of a channel as the assembly does. */
#include "depthwise_3x3.h"

#include "multiply_high.h"

#if !FEDTINY_DEPTHWISE_DSP

enum { COLUMN_WORDS = FEDTINY_DEPTHWISE_COLUMN_BYTES / 4 };

static int32_t pair(int32_t low, int32_t high) {
    return (int32_t)((uint32_t)low & 0xFFFF) | (int32_t)((uint32_t)high << 16);
}

static int32_t half(int32_t word, int32_t high) {
    return high ? word >> 16 : (int16_t)word;
}

static void spread(const fedtiny_depthwise_3x3_call *call, int32_t group) {
    int32_t at = group * 4;
    for (int32_t *to = call->inner; to != call->inner_end; to += COLUMN_WORDS, at += call->pixel) {
        int32_t value[3][4];
        for (int32_t i = 0; i < 12; i++) {
            const int8_t *row = call->rows[i / 4];
            value[i / 4][i % 4] = row != NULL ? row[at + i % 4] : (int16_t)call->padding;
        }
        for (int32_t c = 0; c < 4; c++) {
            to[2 * c] = pair(value[0][c], value[1][c]);
            to[2 * c + 1] = pair(value[2][c % 2], value[2][c % 2 + 2]);
        }
    }
}

static int8_t scaled(const fedtiny_depthwise_3x3_call *call, const fedtiny_depthwise_channel *k,
                     int32_t sum) {
    if (call->form == FEDTINY_DEPTHWISE_ROUND) {
        return fedtiny_scale_s8(sum, k->multiplier, k->rounding, call->zero_point, 1);
    }
    const int32_t line = (int32_t)(((int64_t)sum * k->multiplier) >> 32) + k->rounding;
    return (int8_t)fedtiny_clamp_s32(line >> FEDTINY_DEPTHWISE_FRACTION, INT8_MIN, INT8_MAX);
}

void fedtiny_depthwise_3x3(const fedtiny_depthwise_3x3_call *call) {
    const int32_t step = call->step / 4;
    const int32_t outputs = (int32_t)(call->end - call->column) / step + call->odd;
    const fedtiny_depthwise_channel *k = call->channels;
    for (int32_t channel = 0; channel < 4 * call->groups; channel++, k++) {
        if (channel % 4 == 0) {
            spread(call, channel / 4);
        }
        const int32_t *column = call->column + 2 * (channel % 4);
        int8_t *out = call->next_out + channel;
        for (int32_t x = 0; x < outputs; x++, column += step, out += call->pixel) {
            uint32_t sum = (uint32_t)k->bias;
            for (int32_t kx = 0; kx < 3; kx++) {
                const int32_t upper = column[kx * COLUMN_WORDS];
                const int32_t lower = half(column[kx * COLUMN_WORDS + 1], channel % 4 >= 2);
                sum += (uint32_t)(half(upper, 0) * k->weights[2 * kx]);
                sum += (uint32_t)(half(upper, 1) * k->weights[2 * kx + 1]);
                sum += (uint32_t)(lower * k->weights[6 + kx]);
            }
            *out = scaled(call, k, (int32_t)sum);
        }
    }
}

#endif
