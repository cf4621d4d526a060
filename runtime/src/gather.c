/* What convolutions of gather.h do beside their dot products: windows, and the way over the tiles.
 */
#include "src/gather.h"
#include "src/clamp_row.h"
#include "src/memory.h"

typedef fedtiny_gather_s8_params params_t;

enum { PIXELS = FEDTINY_GATHER_PIXELS, LANES = FEDTINY_GATHER_LANES };

/* One kernel row of a window: `columns` of the image from `row` on, or padding where it is NULL. */
static void fill_row(const params_t *p, int8_t *to, const int8_t *row, int32_t columns) {
    const int32_t column_bytes = p->kernel_h * p->in_c;
    int8_t padding[LANES];
    if (row == NULL) {
        fedtiny_fill(padding, p->input_zero_point, LANES);
    }
    for (int32_t c = 0; c < p->in_c; c += LANES) {
        const int32_t bytes = p->in_c - c < LANES ? p->in_c - c : LANES;
        if (row != NULL) {
            fedtiny_gather_columns(to + c, row + c, columns, bytes, column_bytes, p->in_c);
        } else {
            fedtiny_gather_columns(to + c, padding, columns, bytes, column_bytes, 0);
        }
    }
}

/* The window of one output row, whose first input row is in[0]. */
static void fill(const params_t *p, int8_t *window, const void *const *in) {
    const int32_t column_bytes = p->kernel_h * p->in_c;
    const int32_t left = p->pad_left, right = p->columns - left;
    const int32_t inside = right < p->in_w ? right : p->in_w;
    if (left > 0) {
        fedtiny_fill(window, p->input_zero_point, (size_t)(left * column_bytes));
    }
    if (inside < right) {
        fedtiny_fill(window + (left + inside) * column_bytes, p->input_zero_point,
                     (size_t)((right - inside) * column_bytes));
    }
    for (int32_t ky = 0; ky < p->kernel_h && inside > 0; ky++) {
        const int8_t *row = in[ky * p->dilation_h];
        fill_row(p, window + left * column_bytes + ky * p->in_c, row, inside);
    }
}

/* Copies a tile of pixels whose channels are not a multiple of 4 to where it belongs. */
static void spread(const params_t *p, const int8_t *from, int8_t *const *to) {
    for (int32_t i = 0; i < PIXELS; i++, from += (p->out_c + 3) & ~3) {
        fedtiny_copy(to[i], from, p->out_c);
    }
}

fedtiny_status fedtiny_gather_step(const fedtiny_call *call, fedtiny_gather_function function) {
    const params_t *p = call->params;
    const int32_t padded = (p->out_c + 3) & ~3;
    const int32_t patch_step = p->stride_w * p->kernel_h * p->in_c;
    int8_t *const windows = call->scratch;
    int8_t *const spare = windows + p->rows * p->window_bytes;
    fedtiny_gather_tile tile;
    int32_t rows = 0;
    for (; rows < p->rows && call->out[rows] != NULL; rows++) {
        if (!p->direct) {
            fill(p, windows + rows * p->window_bytes, call->in + rows * p->stride_h);
        }
    }
    tile.stream = fedtiny_constant(call, p->stream);
    tile.channels = fedtiny_constant(call, p->channels);
    tile.fours = padded / 4;
    tile.zero_point = p->output_zero_point;
    /* Pixels of all rows one after the other; the last of the last tile may be computed twice. */
    const int8_t *patch = NULL;
    int8_t *out = NULL;
    for (int32_t row = -1, left = 0, pixels = rows * p->out_w; pixels > 0; pixels -= PIXELS) {
        int8_t *to[PIXELS];
        for (int32_t i = 0; i < PIXELS; i++) {
            if (left > 0) {
                patch += patch_step;
                out += p->out_c;
                left--;
            } else if (i < pixels) {
                row++;
                patch = p->direct ? call->in[row * p->stride_h] : windows + row * p->window_bytes;
                out = call->out[row];
                left = p->out_w - 1;
            }
            tile.patch[i] = patch;
            to[i] = out;
            tile.out[i] = padded == p->out_c ? out : spare + i * padded;
        }
        function(&tile);
        if (padded != p->out_c) {
            spread(p, spare, to);
        }
    }
    for (int32_t row = 0; row < rows; row++) {
        fedtiny_clamp_row(call->out[row], p->out_w * p->out_c, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
