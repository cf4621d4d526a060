/* conv2d over nonzeros, int8: any stride, padding, dilation and groups.
 *
 * A row is computed in tiles of eight output pixels. The tile's input is gathered into scratch,
 * channel planes first, so that the eight inputs of a nonzero lie side by side and padding costs
 * nothing; every nonzero then is one weight times eight consecutive inputs.
 */
#include "src/requantize.h"
#include "src/tile.h"

enum { LANES = 8 };

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
    const fedtiny_conv2d_csr_s8_params *p = call->params;
    const uint16_t *counts = fedtiny_constant(call, p->counts);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const int32_t low = p->output_min, high = p->output_max, zero_point = p->output_zero_point;
    const fedtiny_tile tile = {p->in_w,     p->in_c,   p->kernel_h, p->dilation_h,
                               p->stride_w, p->phases, p->columns};
    int8_t *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x += LANES, out += LANES * p->out_c) {
        const int32_t valid = p->out_w - x < LANES ? p->out_w - x : LANES;
        const uint8_t *entry = fedtiny_constant(call, p->entries);
        fedtiny_gather_tile(&tile, call->in, x * p->stride_w - p->pad_left, p->input_zero_point,
                            call->scratch);
        for (int32_t o = 0; o < p->out_c; o++) {
            int32_t acc[LANES];
            entry = accumulate(call->scratch, entry, counts[o], bias[o], acc);
            fedtiny_store_channel(acc, valid, multipliers[o], shifts[o], zero_point, low, high,
                                  out + o, p->out_c);
        }
    }
    return FEDTINY_OK;
}
