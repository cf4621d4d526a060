/* Dense 3 x 3 convolutions of stride 1 in tiles of 2 x 2 outputs, with 16 products for 36.
 *
 * Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308:
 * Y = A'[(G w G') * (B' x B)]A. The gradient of w is G'[(A dY A') * (B' x B)]G. */
#include "layers.h"

#include <stddef.h>

#define TERMS 16 /* numbers of a transformed tile */

INLINE void spread4(vec *d0, vec *d1, vec *d2, vec *d3) { /* B' d */
    const vec a = *d0 - *d2, b = *d1 + *d2, c = *d2 - *d1, d = *d1 - *d3;
    *d0 = a, *d1 = b, *d2 = c, *d3 = d;
}

/* Transform tiles of the input, `rows` rows of them, into [TERMS][channel][tile]. */
static void transform_input(const winograd *w, const float *source, int channels, int first,
                            int rows) {
    const long term = (long)channels * w->tiles * LANES;
    for (int c = 0; c < channels; c++) {
        float *to = w->input + (long)c * w->tiles * LANES;
        for (int ty = first; ty < first + rows; ty++)
            for (int tx = 0; tx < w->across; tx++, to += LANES) {
                const float *from =
                    source + c * w->source_plane + 2 * ty * w->source_row + 2 * tx * LANES;
                vec d[4][4];
                UNROLL
                for (int y = 0; y < 4; y++)
                    UNROLL
                for (int x = 0; x < 4; x++)
                    d[y][x] = load(from + y * w->source_row + x * LANES);
                UNROLL
                for (int x = 0; x < 4; x++)
                    spread4(&d[0][x], &d[1][x], &d[2][x], &d[3][x]);
                UNROLL
                for (int y = 0; y < 4; y++) {
                    spread4(&d[y][0], &d[y][1], &d[y][2], &d[y][3]);
                    UNROLL
                    for (int x = 0; x < 4; x++)
                        store(to + (y * 4 + x) * term, d[y][x]);
                }
            }
    }
}

/* Gather [TERMS][channel][tile] into the outputs, as far as these lie in the map. */
static void transform_output(const winograd *w, float *target, int channels, int first, int rows,
                             int add, float *sums) {
    const long term = (long)channels * w->tiles * LANES;
    for (int c = 0; c < channels; c++) {
        const float *from = w->output + (long)c * w->tiles * LANES;
        vec total = zero(), squares = zero();
        for (int ty = first; ty < first + rows; ty++)
            for (int tx = 0; tx < w->across; tx++, from += LANES) {
                vec half[2][4];
                UNROLL
                for (int x = 0; x < 4; x++) {
                    const vec m0 = load(from + x * term), m1 = load(from + (4 + x) * term);
                    const vec m2 = load(from + (8 + x) * term), m3 = load(from + (12 + x) * term);
                    half[0][x] = m0 + m1 + m2;
                    half[1][x] = m1 - m2 - m3;
                }
                float *to = target + c * w->target_plane + 2 * ty * w->target_row + 2 * tx * LANES;
                for (int y = 0; y < 2 && 2 * ty + y < w->height; y++, to += w->target_row) {
                    vec left = half[y][0] + half[y][1] + half[y][2];
                    if (add)
                        left += load(to);
                    store(to, left);
                    total += left, squares += left * left;
                    if (2 * tx + 1 < w->width) {
                        vec right = half[y][1] - half[y][2] - half[y][3];
                        if (add)
                            right += load(to + LANES);
                        store(to + LANES, right);
                        total += right, squares += right * right;
                    }
                }
            }
        if (sums) {
            float *to = sums + (size_t)c * 2 * LANES;
            store(to, load(to) + total);
            store(to + LANES, load(to + LANES) + squares);
        }
    }
}

/* A dY A' of tiles of a gradient that has zeros around it. */
static void transform_gradient(const winograd *w, const float *gradient, int channels, int first,
                               int rows) {
    const long term = (long)channels * w->tiles * LANES;
    for (int c = 0; c < channels; c++) {
        float *to = w->output + (long)c * w->tiles * LANES;
        for (int ty = first; ty < first + rows; ty++)
            for (int tx = 0; tx < w->across; tx++, to += LANES) {
                const float *from =
                    gradient + c * w->gradient_plane + 2 * ty * w->gradient_row + 2 * tx * LANES;
                const vec a = load(from), b = load(from + LANES);
                const vec e = load(from + w->gradient_row),
                          f = load(from + w->gradient_row + LANES);
                const vec left[4] = {a, a + e, a - e, -e}, right[4] = {b, b + f, b - f, -f};
                UNROLL
                for (int y = 0; y < 4; y++) {
                    store(to + (y * 4) * term, left[y]);
                    store(to + (y * 4 + 1) * term, left[y] + right[y]);
                    store(to + (y * 4 + 2) * term, left[y] - right[y]);
                    store(to + (y * 4 + 3) * term, -right[y]);
                }
            }
    }
}

/* Correlate all of a block: weights are [TERMS][outputs / GROUP][inputs][GROUP]. */
void winograd_forward(const winograd *w, const float *weights, int inputs, int outputs,
                      const float *source, float *target, int add, float *sums) {
    const long count = (long)(outputs + GROUP - 1) / GROUP * GROUP * inputs;
    gather g = {0};
    g.offsets = w->offsets;
    g.outputs = outputs;
    g.taps = inputs;
    g.plane = w->tiles * LANES;
    for (int ty = 0; ty < w->down; ty += w->strip) {
        const int rows = w->down - ty < w->strip ? w->down - ty : w->strip;
        transform_input(w, source, inputs, ty, rows);
        const grid tiles = {1, rows * w->across, 0, LANES};
        g.source_grid = g.target_grid = tiles;
        for (int k = 0; k < TERMS; k++) {
            g.weights = (float *)weights + k * count;
            gather_forward(&g, w->input + (long)k * inputs * g.plane,
                           w->output + (long)k * outputs * g.plane, 0, NULL);
        }
        transform_output(w, target, outputs, ty, rows, add, sums);
    }
}

/* Add a block's products of all weights, transformed. */
void winograd_products(const winograd *w, float *sums, int inputs, int outputs, const float *source,
                       const float *gradient) {
    const long plane = (long)w->tiles * LANES;
    const long count =
        (long)(outputs + GROUP - 1) / GROUP * ((inputs + TAPS - 1) / TAPS) * GROUP * TAPS * LANES;
    for (int ty = 0; ty < w->down; ty += w->strip) {
        const int rows = w->down - ty < w->strip ? w->down - ty : w->strip;
        transform_input(w, source, inputs, ty, rows);
        transform_gradient(w, gradient, outputs, ty, rows);
        for (int k = 0; k < TERMS; k++)
            dense_products(sums + k * count, w->offsets, inputs, outputs,
                           w->output + (long)k * outputs * plane, plane, 0, LANES,
                           w->input + (long)k * inputs * plane, 0, LANES, 1, rows * w->across);
    }
}

/* Transform weights: those of the forward pass, or turned around for the input's gradient. */
void winograd_pack(float *to, const float *weight, int inputs, int outputs, int turned) {
    const int made = turned ? inputs : outputs, read = turned ? outputs : inputs;
    const size_t count = (size_t)(made + GROUP - 1) / GROUP * GROUP * read;
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < inputs; i++) {
            const float *from = weight + ((size_t)o * inputs + i) * 9;
            float half[4][3];
            for (int x = 0; x < 3; x++) {
                const float a = from[turned ? 8 - x : x], b = from[turned ? 5 - x : 3 + x];
                const float c = from[turned ? 2 - x : 6 + x];
                half[0][x] = a;
                half[1][x] = 0.5f * (a + b + c);
                half[2][x] = 0.5f * (a - b + c);
                half[3][x] = c;
            }
            const int m = turned ? i : o, r = turned ? o : i;
            float *place = to + ((size_t)(m / GROUP) * read + r) * GROUP + m % GROUP;
            for (int y = 0; y < 4; y++) {
                const float a = half[y][0], b = half[y][1], c = half[y][2];
                place[(y * 4) * count] = a;
                place[(y * 4 + 1) * count] = 0.5f * (a + b + c);
                place[(y * 4 + 2) * count] = 0.5f * (a - b + c);
                place[(y * 4 + 3) * count] = c;
            }
        }
}

/* The weights' gradient from what `winograd_products` added up, which is cleared. */
void winograd_collect(float *sums, float *gradient, int inputs, int outputs) {
    const int blocks = (inputs + TAPS - 1) / TAPS;
    const size_t count = (size_t)(outputs + GROUP - 1) / GROUP * blocks * GROUP * TAPS * LANES;
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < inputs; i++) {
            const size_t tile = (size_t)(o / GROUP) * blocks + i / TAPS;
            const float *from =
                sums + (tile * GROUP * TAPS + (o % GROUP) * TAPS + i % TAPS) * LANES;
            float half[3][4];
            for (int x = 0; x < 4; x++) {
                float u[4];
                for (int y = 0; y < 4; y++)
                    u[y] = sum(load(from + (y * 4 + x) * count));
                half[0][x] = u[0] + 0.5f * (u[1] + u[2]);
                half[1][x] = 0.5f * (u[1] - u[2]);
                half[2][x] = 0.5f * (u[1] + u[2]) + u[3];
            }
            float *to = gradient + ((size_t)o * inputs + i) * 9;
            for (int y = 0; y < 3; y++) {
                const float *u = half[y];
                to[y * 3] = u[0] + 0.5f * (u[1] + u[2]);
                to[y * 3 + 1] = 0.5f * (u[1] - u[2]);
                to[y * 3 + 2] = 0.5f * (u[1] + u[2]) + u[3];
            }
        }
    for (size_t k = 0; k < TERMS * count; k++)
        sums[k] = 0;
}
