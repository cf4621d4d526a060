/* conv2d over nonzeros, int8: any stride, padding, dilation and groups.
 *
 * A row is computed in tiles of eight output pixels. The tile's input is gathered into scratch,
 * channel planes first, so that the eight inputs of a nonzero lie side by side and padding costs
 * nothing; every nonzero then is one weight times eight consecutive inputs.
 */
#include "src/requantize.h"

#include <string.h>

enum { LANES = 8 };

typedef fedtiny_conv2d_csr_s8_params params_t;

/* Scratch becomes int8 (kernel_h, in_c, phases, columns); the tile starts at input column first. */
static void gather(const fedtiny_call *call, const params_t *p, int32_t first) {
    const size_t plane = (size_t)p->phases * p->columns; /* from channel to channel */
    int8_t *tile = call->scratch;
    memset(tile, p->input_zero_point, p->kernel_h * p->in_c * plane);
    for (int32_t ky = 0; ky < p->kernel_h; ky++, tile += p->in_c * plane) {
        const int8_t *row = call->in[ky * p->dilation_h];
        if (row == NULL) {
            continue;
        }
        for (int32_t phase = 0; phase < p->phases; phase++) {
            for (int32_t q = 0; q < p->columns; q++) {
                const int32_t column = first + q * p->stride_w + phase;
                if (column < 0 || column >= p->in_w) {
                    continue;
                }
                const int8_t *from = row + column * p->in_c;
                int8_t *to = tile + phase * p->columns + q;
                int32_t c = p->in_c;
                for (; c >= 4; c -= 4, from += 4, to += 4 * plane) {
                    to[0] = from[0];
                    to[plane] = from[1];
                    to[2 * plane] = from[2];
                    to[3 * plane] = from[3];
                }
                for (; c > 0; c--, to += plane) {
                    *to = *from++;
                }
            }
        }
    }
}

/* acc[l] = start + sum over entries of weight * tile[position + l]; returns the next entry. */
static const uint8_t *accumulate(const int8_t *tile, const uint8_t *entry, uint32_t count,
                                 int32_t start, int32_t acc[LANES]) {
    int32_t a0 = start, a1 = start, a2 = start, a3 = start;
    int32_t a4 = start, a5 = start, a6 = start, a7 = start;
    for (const uint8_t *end = entry + 2 * count; entry != end; entry += 2) {
        const int32_t w = (int8_t)entry[1];
        tile += entry[0];
        a0 += w * tile[0];
        a1 += w * tile[1];
        a2 += w * tile[2];
        a3 += w * tile[3];
        a4 += w * tile[4];
        a5 += w * tile[5];
        a6 += w * tile[6];
        a7 += w * tile[7];
    }
    acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
    acc[4] = a4, acc[5] = a5, acc[6] = a6, acc[7] = a7;
    return entry;
}

fedtiny_status fedtiny_conv2d_csr_s8(const fedtiny_call *call) {
    const params_t *p = call->params;
    const uint16_t *counts = fedtiny_constant(call, p->counts);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const int32_t low = p->output_min, high = p->output_max, zero_point = p->output_zero_point;
    int8_t *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x += LANES, out += LANES * p->out_c) {
        const int32_t valid = p->out_w - x < LANES ? p->out_w - x : LANES;
        const uint8_t *entry = fedtiny_constant(call, p->entries);
        gather(call, p, x * p->stride_w - p->pad_left);
        for (int32_t o = 0; o < p->out_c; o++) {
            int32_t acc[LANES];
            entry = accumulate(call->scratch, entry, counts[o], bias[o], acc);
            fedtiny_store_channel(acc, valid, multipliers[o], shifts[o], zero_point, low, high,
                                  out + o, p->out_c);
        }
    }
    return FEDTINY_OK;
}
