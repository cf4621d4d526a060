/* conv2d over nonzeros, float: any stride, padding, dilation and groups.
 *
 * A row is computed in tiles of eight output pixels. The tile's input is gathered into scratch,
 * channel planes first, so that the eight inputs of a nonzero lie side by side and padding costs
 * nothing. Nonzeros keep the order of dense weights, so the sums round as those of conv2d_f32.
 */
#include "src/kernel.h"

enum { LANES = 8 };

typedef fedtiny_conv2d_csr_f32_params params_t;

/* Scratch becomes float (kernel_h, in_c, phases, columns); the tile starts at input column first.
 */
static void gather(const fedtiny_call *call, const params_t *p, int32_t first) {
    const size_t plane = (size_t)p->phases * p->columns; /* from channel to channel */
    float *tile = call->scratch;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, tile += p->in_c * plane) {
        const float *row = call->in[ky * p->dilation_h];
        for (int32_t phase = 0; phase < p->phases; phase++) {
            for (int32_t q = 0; q < p->columns; q++) {
                const int32_t column = first + q * p->stride_w + phase;
                float *to = tile + phase * p->columns + q;
                if (row == NULL || column < 0 || column >= p->in_w) {
                    for (int32_t c = 0; c < p->in_c; c++, to += plane) {
                        *to = 0.0f;
                    }
                    continue;
                }
                const float *from = row + column * p->in_c;
                for (int32_t c = 0; c < p->in_c; c++, to += plane) {
                    *to = from[c];
                }
            }
        }
    }
}

/* acc[l] = start + sum over nonzeros of value * tile[offset + l]. */
static void accumulate(const float *tile, const uint16_t *offsets, const float *values,
                       uint32_t count, float start, float acc[LANES]) {
    float a0 = start, a1 = start, a2 = start, a3 = start;
    float a4 = start, a5 = start, a6 = start, a7 = start;
    for (const float *end = values + count; values != end; values++) {
        const float w = *values;
        const float *in = tile + *offsets++;
        a0 += w * in[0];
        a1 += w * in[1];
        a2 += w * in[2];
        a3 += w * in[3];
        a4 += w * in[4];
        a5 += w * in[5];
        a6 += w * in[6];
        a7 += w * in[7];
    }
    acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
    acc[4] = a4, acc[5] = a5, acc[6] = a6, acc[7] = a7;
}

fedtiny_status fedtiny_conv2d_csr_f32(const fedtiny_call *call) {
    const params_t *p = call->params;
    const uint16_t *counts = fedtiny_constant(call, p->counts);
    const float *bias = fedtiny_constant(call, p->bias);
    const float low = p->output_min, high = p->output_max;
    float *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x += LANES, out += LANES * p->out_c) {
        const int32_t valid = p->out_w - x < LANES ? p->out_w - x : LANES;
        const uint16_t *offsets = fedtiny_constant(call, p->offsets);
        const float *values = fedtiny_constant(call, p->values);
        gather(call, p, x * p->stride_w - p->pad_left);
        for (int32_t o = 0; o < p->out_c; o++) {
            float acc[LANES];
            accumulate(call->scratch, offsets, values, counts[o], bias[o], acc);
            offsets += counts[o];
            values += counts[o];
            float *pixel = out + o;
            for (int32_t l = 0; l < valid; l++, pixel += p->out_c) {
                *pixel = fedtiny_clamp_f32(acc[l], low, high);
            }
        }
    }
    return FEDTINY_OK;
}
