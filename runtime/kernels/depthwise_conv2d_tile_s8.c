/* depthwise_conv2d, int8: any stride, padding and dilation; eight output pixels at once.
 *
 * The input of eight output pixels is gathered into scratch, channel planes first, so that the
 * eight inputs of a tap lie side by side and padding costs nothing.
 */
#include "src/requantize.h"
#include "src/tile.h"

enum { LANES = 8 };

/* acc[l] = start + sum over taps of weight * plane[offset + l]. */
static void accumulate(const int8_t *plane, const uint16_t *offsets, const int8_t *w, int32_t taps,
                       int32_t start, int32_t acc[LANES]) {
    int32_t a0 = start, a1 = start, a2 = start, a3 = start;
    int32_t a4 = start, a5 = start, a6 = start, a7 = start;
    for (const int8_t *end = w + taps; w != end; w++) {
        const int8_t *in = plane + *offsets++;
        a0 += *w * in[0];
        a1 += *w * in[1];
        a2 += *w * in[2];
        a3 += *w * in[3];
        a4 += *w * in[4];
        a5 += *w * in[5];
        a6 += *w * in[6];
        a7 += *w * in[7];
    }
    acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
    acc[4] = a4, acc[5] = a5, acc[6] = a6, acc[7] = a7;
}

fedtiny_status fedtiny_depthwise_conv2d_tile_s8(const fedtiny_call *call) {
    const fedtiny_depthwise_conv2d_tile_s8_params *p = call->params;
    const uint16_t *offsets = fedtiny_constant(call, p->offsets);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const fedtiny_tile tile = {p->in_w,     p->channels, p->kernel_h, p->dilation_h,
                               p->stride_w, p->phases,   p->columns};
    int8_t *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x += LANES, out += LANES * p->channels) {
        const int32_t valid = p->out_w - x < LANES ? p->out_w - x : LANES;
        const int8_t *w = fedtiny_constant(call, p->weights), *plane = call->scratch;
        fedtiny_gather_tile(&tile, call->in, x * p->stride_w - p->pad_left, p->input_zero_point,
                            call->scratch);
        for (int32_t c = 0; c < p->channels; c++) {
            int32_t acc[LANES];
            accumulate(plane, offsets, w, p->taps, bias[c], acc);
            fedtiny_store_channel(acc, valid, multipliers[c], shifts[c], p->output_zero_point,
                                  p->output_min, p->output_max, out + c, p->channels);
            plane += p->phases * p->columns;
            w += p->taps;
        }
    }
    return FEDTINY_OK;
}
