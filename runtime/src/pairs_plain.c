/* The loops of the two-pixel scheme (see pairs.h) in plain C, for cores without src/pairs_dsp.S
 * and as its definition. */
#include "pairs.h"

#include "multiply_high.h"

#include <string.h>

#if !FEDTINY_PAIRS_DSP

static int32_t low_lane(int64_t sum) {
    return (int32_t)((uint32_t)sum << 8) >> 8;
}

static int32_t high_lane(int64_t sum) {
    return (int32_t)((sum - low_lane(sum)) >> 24);
}

static void run_tile(const fedtiny_pairs_tile_call *call, int words) {
    const uint8_t *stream = call->stream;
    int8_t *out = call->out;
    int32_t *sums = call->out;
    const int is_signed = call->form == FEDTINY_PAIRS_SIGNED;
    for (;;) {
        int64_t sum[FEDTINY_PAIRS_TILE];
        const uint8_t kind = fedtiny_pairs_entry(stream);
        if (kind == FEDTINY_PAIRS_END) {
            return;
        }
        uint32_t start_low;
        int16_t start_high;
        memcpy(&start_low, stream, sizeof start_low);
        memcpy(&start_high, stream + sizeof start_low, sizeof start_high);
        const int64_t start = start_high * (1ll << 32) + start_low;
        const int32_t entries = fedtiny_pairs_entries(stream, call->dense);
        const int32_t bytes = fedtiny_pairs_weights_bytes(stream, call->dense);
        const int32_t taps = kind >= FEDTINY_PAIRS_DENSE2   ? 2
                             : kind >= FEDTINY_PAIRS_DENSE1 ? 1
                                                            : 3;
        stream += FEDTINY_PAIRS_HEADER;
        const int32_t group = call->group / (int32_t)sizeof(int32_t);
        for (int i = 0; i < words; i++) {
            sum[i] = start;
        }
        const int32_t *word = call->window;
        for (int32_t entry = 0; entry < entries; entry++) {
            const uint8_t *at;
            if (kind >= FEDTINY_PAIRS_NIBBLE) {
                at = stream + entry / 2 * 3;
                word += (entry % 2 ? *at >> 4 : *at & 15) * group;
                at += 1 + entry % 2;
            } else if (kind >= FEDTINY_PAIRS_DENSE3) {
                at = stream + entry;
                word = call->window + entry / taps * group + entry % taps;
            } else if (kind >= FEDTINY_PAIRS_WIDE) {
                at = stream + entry * 3 + 2;
                word += at[-2] + (at[-1] << 8);
            } else {
                at = stream + entry * 2 + 1;
                word += at[-1];
            }
            const int64_t weight = (int8_t)*at;
            for (int i = 0; i < words; i++) {
                sum[i] += weight * word[i];
            }
        }
        stream += bytes;
        if (call->form == FEDTINY_PAIRS_PLAIN) {
            for (int i = 0; i < words; i++) {
                sums[2 * i] = low_lane(sum[i]);
                sums[2 * i + 1] = high_lane(sum[i]);
            }
            sums += 2 * FEDTINY_PAIRS_TILE;
            stream += 12;
            continue;
        }
        int32_t factor;
        const int32_t divisor = *stream < 32 ? (int32_t)(1u << *stream) : 0;
        memcpy(&factor, stream + 1, sizeof factor);
        stream += 1 + sizeof factor;
        for (int i = 0; i < words; i++) {
            int8_t *pixel = out + i * call->stride;
            pixel[0] =
                fedtiny_scale_s8(low_lane(sum[i]), factor, divisor, call->zero_point, is_signed);
            pixel[call->distance + 1] =
                fedtiny_scale_s8(high_lane(sum[i]), factor, divisor, call->zero_point, is_signed);
        }
        out++;
    }
}

void fedtiny_pairs_tile(const fedtiny_pairs_tile_call *call) {
    run_tile(call, FEDTINY_PAIRS_TILE);
}

void fedtiny_pairs_tile3(const fedtiny_pairs_tile_call *call) {
    run_tile(call, 3);
}

void fedtiny_pairs_pack(const fedtiny_pairs_pack_call *call) {
    const int8_t *a = call->a, *b = call->b;
    for (int32_t column = 0; column < call->columns; column++) {
        int32_t *to = call->to + column;
        for (int32_t channel = 0; channel < call->channels; channel++) {
            *to = (int32_t)((uint32_t)(*a++ + 128) | (uint32_t)(uint8_t)*b++ << 24);
            to += call->plane / (int32_t)sizeof *to;
        }
        a += call->skip_a;
        b += call->skip_b;
    }
}

#endif
