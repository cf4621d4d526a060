/* conv2d over nonzeros, int8, without groups: any stride, padding and dilation. A bit for each tap
 * of an output channel says whether its weight is there; weights follow each other. A row is
 * computed in tiles of eight output pixels, as conv2d_csr_taps_s8. */
#include "src/bits.h"
#include "src/requantize.h"
#include "src/taps.h"

/* acc[l] = start + sum over the bits of `words` words; returns the next weight. */
static const int8_t *accumulate(const int8_t *tile, const uint16_t *taps, const uint32_t *map,
                                int32_t words, const int8_t *weights, int32_t start,
                                int32_t acc[FEDTINY_LANES]) {
    FEDTINY_SUMS8(start);
    for (; words > 0; words--, taps += 32) {
        for (uint32_t bits = *map++; bits != 0; bits &= bits - 1) {
            const int8_t *in = tile + taps[fedtiny_lowest_bit(bits)];
            const int32_t weight = *weights++;
            FEDTINY_ADD8(weight, in);
        }
    }
    FEDTINY_GET8(acc);
    return weights;
}

fedtiny_status fedtiny_conv2d_bitmap_s8(const fedtiny_call *call) {
    const fedtiny_conv2d_bitmap_s8_params *p = call->params;
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const int32_t low = p->output_min, high = p->output_max, zero_point = p->output_zero_point;
    const fedtiny_tile shape = {p->in_w,     p->in_c,   p->kernel_h, p->dilation_h,
                                p->stride_w, p->phases, p->columns};
    uint16_t *const table = (uint16_t *)call->scratch + p->tile_words;
    int8_t *out = call->out[0];
    fedtiny_tap_table(&shape, p->kernel_w, p->dilation_w, table);
    for (int32_t x = 0; x < p->out_w; x += FEDTINY_LANES, out += FEDTINY_LANES * p->out_c) {
        const int32_t valid = p->out_w - x < FEDTINY_LANES ? p->out_w - x : FEDTINY_LANES;
        const uint32_t *map = fedtiny_constant(call, p->maps);
        const int8_t *weight = fedtiny_constant(call, p->weights);
        fedtiny_gather_tile(&shape, call->in, x * p->stride_w - p->pad_left, p->input_zero_point,
                            call->scratch);
        for (int32_t o = 0; o < p->out_c; o++) {
            int32_t acc[FEDTINY_LANES];
            weight = accumulate(call->scratch, table, map, p->map_words, weight, bias[o], acc);
            map += p->map_words;
            fedtiny_store_channel(acc, valid, multipliers[o], shifts[o], zero_point, low, high,
                                  out + o, p->out_c);
        }
    }
    return FEDTINY_OK;
}
