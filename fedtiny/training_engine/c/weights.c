/* Weights in the order in which kernels read them, and gradients of dense ones. */
#include "layers.h"

#include <stddef.h>

#define STRIP 12288 /* bytes of the gradient's rows that stay in the first cache */

static void pack(const convolution *c, gather *g) {
    for (int32_t i = 0; i < g->weights_count; i++)
        g->weights[i] = g->source[i] < 0 ? 0.0f : c->weight[g->source[i]];
}

/* Lay the weights out for both passes. */
void pack_weights(convolution *c) {
    if (c->tiled) {
        const int inputs = c->tap_count / 9, outputs = c->forward.outputs;
        winograd_pack(c->tiled->forward, c->weight, inputs, outputs, 0);
        if (c->input_gradient)
            winograd_pack(c->tiled->turned, c->weight, inputs, outputs, 1);
        return;
    }
    pack(c, &c->forward);
    for (int32_t p = 0; p < c->phases; p++)
        pack(c, c->backward + p);
}

/* Four output channels times three taps over some rows. */
INLINE void product_tile(float *sums, const float *const *gradient, const float *const *input,
                         int rows, int width, long gradient_row, long gradient_step, long input_row,
                         long input_step) {
    vec acc[GROUP][TAPS];
    UNROLL
    for (int o = 0; o < GROUP; o++)
        UNROLL
    for (int j = 0; j < TAPS; j++)
        acc[o][j] = load(sums + (o * TAPS + j) * LANES);
    for (int y = 0; y < rows; y++) {
        const float *g0 = gradient[0] + y * gradient_row, *g1 = gradient[1] + y * gradient_row;
        const float *g2 = gradient[2] + y * gradient_row, *g3 = gradient[3] + y * gradient_row;
        const float *x0 = input[0] + y * input_row, *x1 = input[1] + y * input_row;
        const float *x2 = input[2] + y * input_row;
        long a = 0, b = 0;
        for (int x = 0; x < width; x++, a += gradient_step, b += input_step) {
            const vec v0 = load(x0 + b), v1 = load(x1 + b), v2 = load(x2 + b);
            vec g = load(g0 + a);
            acc[0][0] += g * v0, acc[0][1] += g * v1, acc[0][2] += g * v2;
            g = load(g1 + a);
            acc[1][0] += g * v0, acc[1][1] += g * v1, acc[1][2] += g * v2;
            g = load(g2 + a);
            acc[2][0] += g * v0, acc[2][1] += g * v1, acc[2][2] += g * v2;
            g = load(g3 + a);
            acc[3][0] += g * v0, acc[3][1] += g * v1, acc[3][2] += g * v2;
        }
    }
    UNROLL
    for (int o = 0; o < GROUP; o++)
        UNROLL
    for (int j = 0; j < TAPS; j++)
        store(sums + (o * TAPS + j) * LANES, acc[o][j]);
}

/* Add a block's X * dY of every weight.
 *
 * `gradient` is the first position of the first output channel, in planes of `gradient_plane`. */
void dense_products(float *sums, const int32_t *taps, int tap_count, int outputs,
                    const float *gradient, long gradient_plane, long gradient_row,
                    long gradient_step, const float *input, long input_row, long input_step,
                    int rows, int width) {
    const int blocks = (tap_count + TAPS - 1) / TAPS;
    float *const first = sums;
    int strip = STRIP / (GROUP * LANES * 4 * width);
    strip = strip < 1 ? 1 : strip;
    for (int y = 0; y < rows; y += strip) {
        const int count = rows - y < strip ? rows - y : strip;
        sums = first;
        for (int o = 0; o < outputs; o += GROUP) {
            const float *planes[GROUP];
            for (int i = 0; i < GROUP; i++) /* what is not there: the last again, unused */
                planes[i] = gradient + (o + i < outputs ? o + i : outputs - 1) * gradient_plane +
                            y * gradient_row;
            for (int block = 0; block < blocks; block++, sums += (size_t)GROUP * TAPS * LANES) {
                const float *inputs[TAPS];
                for (int i = 0; i < TAPS; i++)
                    inputs[i] = input + taps[block * TAPS + i] + y * input_row;
                product_tile(sums, planes, inputs, count, width, gradient_row, gradient_step,
                             input_row, input_step);
            }
        }
    }
}

/* Sum what the backward pass left over samples, into the weights' gradient, and clear it. */
void collect_gradient(convolution *c) {
    if (!c->products) {
        for (int32_t p = 0; p < c->phases; p++) {
            const gather *g = c->backward + p;
            for (int32_t i = 0; i < g->weights_count; i++) {
                float *product = g->products + (size_t)i * LANES;
                c->weight_gradient[g->source[i]] = sum(load(product));
                store(product, zero());
            }
        }
        return;
    }
    const int blocks = (c->tap_count + TAPS - 1) / TAPS;
    float *tile = c->products;
    if (c->tiled) {
        winograd_collect(tile, c->weight_gradient, c->tap_count / 9, c->forward.outputs);
        for (int i = 0; c->kept && i < c->forward.outputs * c->tap_count; i++)
            c->weight_gradient[i] *= c->kept[i];
        return;
    }
    for (int o = 0; o < c->forward.outputs; o += GROUP)
        for (int first = 0; first < blocks * TAPS; first += TAPS)
            for (int i = 0; i < GROUP * TAPS; i++, tile += LANES) {
                const int output = o + i / TAPS, tap = first + i % TAPS;
                if (output < c->forward.outputs && tap < c->tap_count) {
                    const size_t weight = (size_t)output * c->tap_count + tap;
                    const float value = sum(load(tile));
                    c->weight_gradient[weight] = c->kept ? value * c->kept[weight] : value;
                }
                store(tile, zero());
            }
}
