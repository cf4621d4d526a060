/* conv2d, int8, dense: two output pixels times four output channels at once; groups = 1.
 *
 * The inputs of two neighbouring output pixels are copied side by side into scratch, where padding
 * reads as the input's zero point. Weights lie four channels side by side, so that six loads feed
 * eight multiply-accumulates.
 */
#include "src/requantize.h"

enum { PIXELS = 2, CHANNELS = 4 };

typedef fedtiny_conv2d_im2col_s8_params params_t;

/* patch is int8 (kernel_h, kernel_w, in_c, PIXELS); this fills one of its pixels. */
static void gather(const fedtiny_call *call, const params_t *p, int32_t first, int8_t *patch) {
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int8_t *row = call->in[ky * p->dilation_h];
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t column = first + kx * p->dilation_w;
            const int8_t *end = patch + PIXELS * p->in_c;
            if (row == NULL || column < 0 || column >= p->in_w) {
                for (const int8_t zero = p->input_zero_point; patch != end; patch += PIXELS) {
                    *patch = zero;
                }
                continue;
            }
            const int8_t *from = row + column * p->in_c;
            for (; end - patch >= 4 * PIXELS; patch += 4 * PIXELS, from += 4) {
                patch[0 * PIXELS] = from[0];
                patch[1 * PIXELS] = from[1];
                patch[2 * PIXELS] = from[2];
                patch[3 * PIXELS] = from[3];
            }
            for (; patch != end; patch += PIXELS) {
                *patch = *from++;
            }
        }
    }
}

/* acc[channel][pixel] = bias[channel] + sum over taps of weight * input; returns the next weight.
 */
static const int8_t *multiply(const int8_t *patch, const int8_t *w, int32_t taps,
                              const int32_t *bias, int32_t acc[CHANNELS][PIXELS]) {
    int32_t a0 = bias[0], a1 = bias[1], a2 = bias[2], a3 = bias[3];
    int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
    for (const int8_t *end = w + taps * CHANNELS; w != end; w += CHANNELS, patch += PIXELS) {
        const int32_t a = patch[0], b = patch[1];
        a0 += a * w[0];
        b0 += b * w[0];
        a1 += a * w[1];
        b1 += b * w[1];
        a2 += a * w[2];
        b2 += b * w[2];
        a3 += a * w[3];
        b3 += b * w[3];
    }
    acc[0][0] = a0, acc[1][0] = a1, acc[2][0] = a2, acc[3][0] = a3;
    acc[0][1] = b0, acc[1][1] = b1, acc[2][1] = b2, acc[3][1] = b3;
    return w;
}

fedtiny_status fedtiny_conv2d_im2col_s8(const fedtiny_call *call) {
    const params_t *p = call->params;
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const int32_t low = p->output_min, high = p->output_max, zero_point = p->output_zero_point;
    const int32_t taps = p->kernel_h * p->kernel_w * p->in_c;
    int8_t *out = call->out[0], *patch = call->scratch;
    for (int32_t x = 0; x < p->out_w; x += PIXELS, out += PIXELS * p->out_c) {
        const int32_t pixels = x + 1 < p->out_w ? PIXELS : 1;
        const int8_t *w = fedtiny_constant(call, p->weights);
        for (int32_t i = 0; i < PIXELS; i++) {
            gather(call, p, (x + i) * p->stride_w - p->pad_left, patch + i);
        }
        for (int32_t o = 0; o < p->out_c; o += CHANNELS) {
            const int32_t channels = p->out_c - o < CHANNELS ? p->out_c - o : CHANNELS;
            int32_t acc[CHANNELS][PIXELS];
            w = multiply(patch, w, taps, bias + o, acc);
            for (int32_t c = 0; c < channels; c++) {
                fedtiny_store_channel(acc[c], pixels, multipliers[o + c], shifts[o + c], zero_point,
                                      low, high, out + o + c, p->out_c);
            }
        }
    }
    return FEDTINY_OK;
}
