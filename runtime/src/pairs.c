/* Convolutions that compute two output pixels per accumulator (see pairs.h): rows of one step. */
#include "pairs.h"

#include "memory.h"
#include "requantize.h"

#include <string.h>

#if defined(__GNUC__)
#define FEDTINY_SEPARATE __attribute__((noinline))
#else
#define FEDTINY_SEPARATE
#endif

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* Words of a tile of rows of so many words. Rows of one or two words fill a tile with waste. */
static int32_t tile_words(int32_t pairs) {
    return pairs == 3 ? 3 : FEDTINY_PAIRS_TILE;
}

/* First word of a tile. The last one overlaps its neighbour rather than leave the row. */
static int32_t tile_start(int32_t tile, int32_t pairs) {
    return pairs < FEDTINY_PAIRS_TILE
               ? 0
               : smaller(tile * FEDTINY_PAIRS_TILE, pairs - FEDTINY_PAIRS_TILE);
}

static int32_t pairs_of(int32_t width) {
    return (width + 1) / 2;
}

/* How many columns from x on, a stride apart, are all inside the row or all outside. */
static int32_t alike(int32_t x, int32_t in_w, int32_t stride) {
    if (x >= in_w) {
        return INT32_MAX;
    }
    return ((x < 0 ? -x : in_w - x) + stride - 1) / stride;
}

/* What one filling of the window serves: words first .. first + words - 1 of a row of `width`
 * pixels. */
typedef struct {
    const int8_t *pad; /* one pixel of padding */
    int32_t width, first, words;
    int32_t plane; /* words of one channel */
} span_t;

/* Packs columns; a and b are pixels or NULL for padding, step the bytes to the next column's. */
static int32_t *pack_run(const fedtiny_pairs_s8_params *p, const span_t *span, const int8_t *a,
                         const int8_t *b, int32_t columns, int32_t *to) {
    const int32_t in_c = p->in_c, more = (p->stride_w - 1) * in_c;
    fedtiny_pairs_pack_call pack;
    pack.plane = span->plane * (int32_t)sizeof *to;
    pack.channels = in_c;
    pack.rewind = (int32_t)sizeof *to - in_c * pack.plane;
    pack.columns = columns;
    pack.to = to;
    pack.a = a != NULL ? a : span->pad;
    pack.b = b != NULL ? b : span->pad;
    pack.skip_a = a != NULL ? more : -in_c;
    pack.skip_b = b != NULL ? more : -in_c;
    fedtiny_pairs_pack(&pack);
    return to + columns;
}

static const int8_t *pixel_at(const fedtiny_pairs_s8_params *p, const int8_t *row, int32_t x) {
    return row != NULL && x >= 0 && x < p->in_w ? row + x * p->in_c : NULL;
}

/* The columns that the span needs of one kernel row. */
static void pack_row(const fedtiny_pairs_s8_params *p, const span_t *span, const int8_t *row,
                     int32_t *window) {
    const int32_t stride = p->stride_w;
    const int32_t partner = (span->width - pairs_of(span->width)) * stride;
    const int32_t phases = smaller(stride, p->reach_w);
    for (int32_t phase = 0; phase < phases; phase++) {
        int32_t *to = window + phase * p->phase_words;
        int32_t x = span->first * stride + phase - p->pad_left;
        int32_t columns = span->words + (p->reach_w - 1 - phase) / stride;
        while (columns > 0) {
            const int32_t y = x + partner;
            int32_t run = columns;
            if (row != NULL) {
                run = smaller(run, alike(x, p->in_w, stride));
                run = smaller(run, alike(y, p->in_w, stride));
            }
            to = pack_run(p, span, pixel_at(p, row, x), pixel_at(p, row, y), run, to);
            x += run * stride;
            columns -= run;
        }
    }
}

/* The pixels that the span needs of all rows of a step, joined to one row: kernels of one tap. */
static void pack_joined(const fedtiny_pairs_s8_params *p, const span_t *span,
                        const int8_t *const *in, int32_t *window) {
    const int32_t out_w = p->out_w;
    const int32_t partner = span->width - pairs_of(span->width);
    int32_t columns = span->words, x = span->first;
    while (columns > 0) {
        /* Narrow rows pack words past the end; they read the last pixels again. */
        const int32_t a = smaller(x, span->width - 1), b = smaller(x + partner, span->width - 1);
        const int32_t row_a = a / out_w, row_b = b / out_w;
        const int32_t column_a = a - row_a * out_w, column_b = b - row_b * out_w;
        const int32_t run = smaller(columns, out_w - (column_a > column_b ? column_a : column_b));
        const int8_t *from_a = in[row_a * p->stride_h], *from_b = in[row_b * p->stride_h];
        window = pack_run(p, span, pixel_at(p, from_a, column_a * p->stride_w),
                          pixel_at(p, from_b, column_b * p->stride_w), run, window);
        x += run;
        columns -= run;
    }
}

/* Fills the window for output row `row` of the step, from what it held for the row before. */
static void fill(const fedtiny_call *call, const fedtiny_pairs_s8_params *p, const span_t *span,
                 int32_t row) {
    const int8_t *const *in = (const int8_t *const *)call->in;
    const int32_t words = span->plane * p->in_c;
    int32_t *window = call->scratch;
    int32_t kept = p->dilation_h == 1 ? p->kernel_h - p->stride_h : 0;
    if (FEDTINY_PART_PAIRS_JOINED && p->joined) {
        pack_joined(p, span, in, window);
        return;
    }
    kept = row == 0 || kept < 0 ? 0 : kept;
    if (kept > 0) {
        fedtiny_pairs_move(window, window + p->stride_h * words, kept * words);
    }
    for (int32_t ky = kept; ky < p->kernel_h; ky++) {
        pack_row(p, span, in[row * p->stride_h + ky * p->dilation_h], window + ky * words);
    }
}

/* The end of the plain form: adds up each channel's records and scales the sums of a tile. Its
 * totals must not take stack while other forms run. */
static FEDTINY_SEPARATE void scale_sums(const fedtiny_pairs_s8_params *p, const uint8_t *stream,
                                        const int32_t *sums, int32_t width, int32_t first,
                                        int8_t *out) {
    const int32_t distance = width - pairs_of(width);
    for (int32_t channel = 0; channel < p->out_c; channel++) {
        uint32_t total[2 * FEDTINY_PAIRS_TILE] = {0};
        struct {
            int32_t multiplier;
            int16_t shift, more;
            int32_t bias;
        } end;
        do {
            const int32_t entries = fedtiny_pairs_entries(stream, p->dense_weights);
            const int32_t bytes = fedtiny_pairs_entry_bytes(fedtiny_pairs_entry(stream));
            stream += FEDTINY_PAIRS_HEADER + entries * bytes;
            memcpy(&end, stream, sizeof end);
            stream += sizeof end;
            for (int32_t i = 0; i < 2 * FEDTINY_PAIRS_TILE; i++) {
                total[i] += (uint32_t)*sums++;
            }
        } while (end.more);
        for (int32_t i = 0; i < 2 * tile_words(pairs_of(width)); i++) {
            const int32_t pixel = first + i / 2 + i % 2 * distance;
            if (pixel < width) {
                const int32_t sum = (int32_t)(total[i] + (uint32_t)end.bias);
                const int32_t scaled =
                    fedtiny_multiply(sum, end.multiplier, end.shift) + p->output_zero_point;
                out[pixel * p->out_c + channel] =
                    (int8_t)fedtiny_clamp_s32(scaled, p->output_min, p->output_max);
            }
        }
    }
}

static void clamp_row(const fedtiny_pairs_s8_params *p, int8_t *out) {
    if (p->output_min == INT8_MIN && p->output_max == INT8_MAX) {
        return; /* the tile saturates */
    }
    for (int32_t i = 0; i < p->out_w * p->out_c; i++) {
        out[i] = (int8_t)fedtiny_clamp_s32(out[i], p->output_min, p->output_max);
    }
}

/* Whether the step's rows follow each other in memory. */
static int contiguous(const fedtiny_call *call, int32_t rows, int32_t row_bytes) {
    for (int32_t row = 1; row < rows; row++) {
        if ((int8_t *)call->out[row] != (int8_t *)call->out[row - 1] + row_bytes) {
            return 0;
        }
    }
    return 1;
}

fedtiny_status fedtiny_pairs_step(const fedtiny_call *call, const fedtiny_pairs_s8_params *p) {
    int8_t *const pad = (int8_t *)call->scratch + p->window_words * sizeof(int32_t);
    int8_t *const staging = pad + ((p->in_c + 3) & ~3);
    const int32_t row_bytes = p->out_w * p->out_c;
    const int plain = FEDTINY_PAIRS_SUMS && p->form == FEDTINY_PAIRS_PLAIN;
    int32_t rows = 1;
    while (rows < p->rows && call->out[rows] != NULL) {
        rows++;
    }
    const int is_joined = FEDTINY_PART_PAIRS_JOINED && p->joined;
    const int32_t passes = is_joined ? 1 : rows; /* over joined rows, or over each */
    span_t span;
    span.pad = pad;
    span.width = is_joined ? rows * p->out_w : p->out_w;
    span.plane = smaller(p->stride_w, p->reach_w) * p->phase_words;
    const int32_t pairs = pairs_of(span.width);
    const int32_t tiles = (pairs + FEDTINY_PAIRS_TILE - 1) / FEDTINY_PAIRS_TILE;
    const int scattered = is_joined && !contiguous(call, rows, row_bytes);
    const int staged = scattered || (!plain && pairs < tile_words(pairs));
    int32_t *const sums = (int32_t *)(void *)staging; /* plain form */
    int8_t *const joined = staging + (plain ? p->sums_bytes : 0);
    fedtiny_pairs_tile_call tile;
    tile.zero_point = p->output_zero_point;
    tile.distance = (span.width - pairs) * p->out_c - 1;
    tile.stride = p->out_c;
    tile.form = p->form;
    tile.group = p->phase_words * (int32_t)sizeof(int32_t);
    tile.dense = p->dense_weights;
    tile.stream = fedtiny_constant(call, p->stream);
    fedtiny_fill(pad, p->input_zero_point, p->in_c);
    for (int32_t chunk = 0; chunk < tiles; chunk += p->chunk_tiles) {
        const int32_t end = smaller(chunk + p->chunk_tiles, tiles);
        span.first = tile_start(chunk, pairs);
        span.words = tile_start(end - 1, pairs) + tile_words(pairs) - span.first;
        for (int32_t pass = 0; pass < passes; pass++) {
            int8_t *const out = staged ? joined : call->out[pass];
            fill(call, p, &span, pass);
            for (int32_t t = chunk; t < end; t++) {
                const int32_t start = tile_start(t, pairs);
                tile.window = (const int32_t *)call->scratch + (start - span.first);
                tile.out = plain ? (void *)sums : (void *)(out + start * p->out_c);
#if FEDTINY_PAIRS_TILE3
                if (pairs == 3) {
                    fedtiny_pairs_tile3(&tile);
                }
#endif
#if FEDTINY_PAIRS_TILE4
                if (pairs != 3) {
                    fedtiny_pairs_tile(&tile);
                }
#endif
                if (plain) {
                    scale_sums(p, tile.stream, sums, span.width, start, out);
                }
            }
            if (staged && !is_joined) {
                fedtiny_copy(call->out[pass], joined, (size_t)row_bytes);
            }
        }
    }
    for (int32_t row = 0; row < rows; row++) {
        if (staged && is_joined) {
            fedtiny_copy(call->out[row], joined + row * row_bytes, (size_t)row_bytes);
        }
        if (!plain) {
            clamp_row(p, call->out[row]);
        }
    }
    return FEDTINY_OK;
}
