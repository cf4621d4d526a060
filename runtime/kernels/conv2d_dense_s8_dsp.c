#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
/* conv2d, int8, dense, two to five output pixels at a time (src/dense_dsp.h). Any stride, padding
 * and vertical dilation; groups = 1, dilation_w = 1. */
#include "src/clamp_row.h"
#include "src/dense_dsp.h"
#include "src/memory.h"

typedef fedtiny_conv2d_dense_s8_params params_t;

enum { MOST_PIXELS = 5, FOUR = 4 };

static void compute(const fedtiny_dense_call *tile, int32_t pixels) {
#if FEDTINY_PART_DENSE5
    if (pixels == 5) {
        fedtiny_dense_tile5(tile);
    }
#endif
#if FEDTINY_PART_DENSE4
    if (pixels == 4) {
        fedtiny_dense_tile4(tile);
    }
#endif
#if FEDTINY_PART_DENSE3
    if (pixels == 3) {
        fedtiny_dense_tile3(tile);
    }
#endif
#if FEDTINY_PART_DENSE2
    if (pixels == 2) {
        fedtiny_dense_tile2(tile);
    }
#endif
}

/* A kernel row's inputs from `column` on, padding included, into `to`. */
static void pad(const params_t *p, const int8_t *row, int32_t column, int8_t *to) {
    const int32_t first = column > 0 ? column : 0;
    const int32_t last = column + p->kernel_w < p->in_w ? column + p->kernel_w : p->in_w;
    fedtiny_fill(to, p->input_zero_point, (size_t)(p->kernel_w * p->in_c));
    if (row != NULL && first < last) {
        fedtiny_copy(to + (first - column) * p->in_c, row + first * p->in_c,
                     (size_t)((last - first) * p->in_c));
    }
}

/* The inputs of `pixels` output pixels from x on into the patch; `spare` has room for one kernel
 * row in whole fours. */
static void gather(const fedtiny_call *call, const params_t *p, int32_t x, int32_t pixels,
                   int32_t *patch, int8_t *spare) {
    const int32_t bytes = p->kernel_w * p->in_c, fours = bytes / FOUR, rest = bytes % FOUR;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int8_t *row = call->in[ky * p->dilation_h];
        int32_t column = x * p->stride_w - p->pad_left;
        for (int32_t i = 0; i < pixels; i++, column += x + i < p->out_w ? p->stride_w : 0) {
            const int8_t *from = spare;
            if (row != NULL && column >= 0 && column + p->kernel_w <= p->in_w) {
                from = row + column * p->in_c;
            } else {
                pad(p, row, column, spare);
            }
            if (fours > 0) {
                fedtiny_dense_expand(patch + i, from, fours, pixels);
            }
            if (rest > 0) {
                int8_t last[FOUR] = {0, 0, 0, 0};
                fedtiny_copy(last, from + fours * FOUR, (size_t)rest);
                fedtiny_dense_expand(patch + i + fours * 2 * pixels, last, 1, pixels);
            }
        }
        patch += (fours + (rest > 0)) * 2 * pixels;
    }
}

fedtiny_status fedtiny_conv2d_dense_s8_dsp(const fedtiny_call *call) {
    const params_t *p = call->params;
    const int32_t fours = p->kernel_h * ((p->kernel_w * p->in_c + FOUR - 1) / FOUR);
    const int32_t tiles = (p->out_w + MOST_PIXELS - 1) / MOST_PIXELS;
    int32_t *patch = call->scratch;
    int32_t done = 0;
    for (int32_t i = 0; i < tiles; i++) {
        /* One pixel is computed, and stored, twice. */
        const int32_t outputs = (p->out_w - done) / (tiles - i);
        const int32_t pixels = outputs > 1 ? outputs : 2;
        fedtiny_dense_call tile;
        tile.patch = patch;
        tile.fours = fours;
        tile.channels = fedtiny_constant(call, p->channels);
        tile.out = (int8_t *)call->out[0] + done * p->out_c;
        tile.stride = outputs > 1 ? p->out_c : 0;
        tile.zero_point = p->output_zero_point;
        tile.count = p->out_c;
        tile.weights = fedtiny_constant(call, p->weights);
        gather(call, p, done, pixels, patch, (int8_t *)(patch + fours * 2 * p->most_pixels));
        compute(&tile, pixels);
        done += outputs;
    }
    fedtiny_clamp_row(call->out[0], p->out_w * p->out_c, p->output_min, p->output_max);
    return FEDTINY_OK;
}
