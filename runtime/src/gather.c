/* What convolutions of gather.h do beside their dot products: windows, and the way over the tiles.
 */
#include "src/gather.h"
#include "src/clamp_row.h"
#include "src/memory.h"

typedef fedtiny_gather_s8_params params_t;

enum { PIXELS = FEDTINY_GATHER_PIXELS, LANES = FEDTINY_GATHER_LANES };

/* Columns of the image in a window. */
static int32_t inside(const params_t *p) {
    const int32_t right = p->columns - p->pad_left;
    return right < p->in_w ? right : p->in_w;
}

void fedtiny_gather_fill_columns(const params_t *p, int8_t *window, const void *const *in) {
    const int32_t columns = inside(p), channels = p->in_c, column_bytes = (int32_t)p->column_bytes;
    int8_t *to = window + p->pad_left * column_bytes;
    int8_t padding[LANES];
    if (columns <= 0) {
        return;
    }
    fedtiny_fill(padding, p->input_zero_point, LANES);
    for (int32_t ky = p->kernel_h; ky > 0; ky--, in += p->dilation_h) {
        const int8_t *from = *in != NULL ? *in : padding;
        const int32_t stride = *in != NULL ? channels : 0, step = *in != NULL ? LANES : 0;
        int32_t left = channels;
        for (; left > LANES; left -= LANES, from += step, to += LANES) {
            fedtiny_gather_columns(to, from, columns, LANES, column_bytes, stride);
        }
        fedtiny_gather_columns(to, from, columns, left, column_bytes, stride);
        to += left;
    }
}

void fedtiny_gather_fill_depthwise(const params_t *p, int8_t *window, const void *const *in) {
    int8_t padding[LANES];
    fedtiny_gather_rows rows;
    fedtiny_fill(padding, p->input_zero_point, LANES);
    for (int32_t ky = 0; ky < FEDTINY_GATHER_ROWS; ky++) {
        const int8_t *row = ky < p->kernel_h ? in[ky * p->dilation_h] : NULL;
        rows.row[ky] = row != NULL ? row : padding;
        rows.step[ky] = row != NULL ? LANES : 0;
    }
    if (inside(p) > 0) {
        fedtiny_gather_interleave(window + p->pad_left * p->column_bytes, &rows,
                                  inside(p) * p->in_c);
    }
}

/* Columns of padding beside the image. */
static void pad(const params_t *p, int8_t *window) {
    const int32_t last = p->pad_left + (inside(p) > 0 ? inside(p) : 0);
    if (p->pad_left > 0) {
        fedtiny_fill(window, p->input_zero_point, (size_t)(p->pad_left * p->column_bytes));
    }
    if (last < p->columns) {
        fedtiny_fill(window + last * p->column_bytes, p->input_zero_point,
                     (size_t)((p->columns - last) * p->column_bytes));
    }
}

/* Copies a tile of pixels whose channels are not a multiple of 4 to where it belongs. */
static void spread(const params_t *p, const int8_t *from, int8_t *const *to) {
    for (int32_t i = 0; i < PIXELS; i++, from += (p->out_c + 3) & ~3) {
        fedtiny_copy(to[i], from, p->out_c);
    }
}

/* A step's rows, and how far they are done. */
typedef struct {
    const fedtiny_call *call;
    fedtiny_gather_function function;
    int8_t *windows;
    int32_t rows;
    int32_t whole; /* tiles of a row whose pixels follow each other */
} step;

static const int8_t *first_patch(const step *s, const params_t *p, int32_t row) {
    return p->direct ? s->call->in[row * p->stride_h] : s->windows + row * p->window_bytes;
}

/* The tiles of a row whose pixels follow each other. */
static void run_whole(const step *s, const params_t *p, fedtiny_gather_tile *tile) {
    const int32_t patch_step = p->stride_w * (int32_t)p->column_bytes;
    tile->tiles = s->whole;
    tile->patch_step = PIXELS * patch_step;
    tile->out_step = PIXELS * p->out_c;
    for (int32_t row = 0; row < s->rows; row++) {
        const int8_t *patch = first_patch(s, p, row);
        int8_t *out = s->call->out[row];
        for (int32_t i = 0; i < PIXELS; i++, patch += patch_step, out += p->out_c) {
            tile->patch[i] = patch;
            tile->out[i] = out;
        }
        s->function(tile);
    }
}

/* The last pixels of all rows; the very last may be computed more than once. */
static void run_rest(const step *s, const params_t *p, fedtiny_gather_tile *tile) {
    const int32_t patch_step = p->stride_w * (int32_t)p->column_bytes;
    const int32_t first = PIXELS * s->whole, padded = 4 * tile->fours;
    const int8_t *patch = NULL;
    int8_t *out = NULL, *spare = s->windows + p->rows * p->window_bytes;
    int32_t row = 0, left = 0;
    tile->tiles = 1;
    for (int32_t pixels = s->rows * (p->out_w - first); pixels > 0; pixels -= PIXELS) {
        int8_t *to[PIXELS];
        for (int32_t i = 0; i < PIXELS; i++) {
            if (left > 0) {
                patch += patch_step;
                out += p->out_c;
                left--;
            } else if (i < pixels) {
                patch = first_patch(s, p, row) + first * patch_step;
                out = (int8_t *)s->call->out[row++] + first * p->out_c;
                left = p->out_w - first - 1;
            }
            tile->patch[i] = patch;
            to[i] = out;
            tile->out[i] = padded == p->out_c ? out : spare + i * padded;
        }
        s->function(tile);
        if (padded != p->out_c) {
            spread(p, spare, to);
        }
    }
}

fedtiny_status fedtiny_gather_step(const fedtiny_call *call, fedtiny_gather_function function,
                                   fedtiny_gather_fill fill) {
    const params_t *p = call->params;
    step s = {call, function, call->scratch, 0, p->out_c % 4 == 0 ? p->out_w / PIXELS : 0};
    fedtiny_gather_tile tile;
    for (; s.rows < p->rows && call->out[s.rows] != NULL; s.rows++) {
        if (!p->direct) {
            int8_t *window = s.windows + s.rows * p->window_bytes;
            fill(p, window, call->in + s.rows * p->stride_h);
            pad(p, window);
        }
    }
    tile.stream = fedtiny_constant(call, p->stream);
    tile.channels = fedtiny_constant(call, p->channels);
    tile.fours = (p->out_c + 3) / 4;
    tile.zero_point = p->output_zero_point;
    for (uint32_t column = 0; column < FEDTINY_GATHER_BLOCKS; column++) {
        tile.places[column] = column * p->column_bytes;
    }
    if (s.whole > 0) {
        run_whole(&s, p, &tile);
    }
    run_rest(&s, p, &tile);
    for (int32_t row = 0; row < s.rows; row++) {
        fedtiny_clamp_row(call->out[row], p->out_w * p->out_c, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
