#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
/* The window of packed pixels that kernels of two pixels a word share (see pairs_window.h). */
#include "pairs_window.h"
#include "clamp_row.h"

/* How many columns from x on, a stride apart, are all inside the row or all outside. */
static int32_t alike(int32_t x, int32_t in_w, int32_t stride) {
    if (x >= in_w) {
        return INT32_MAX;
    }
    return ((x < 0 ? -x : in_w - x) + stride - 1) / stride;
}

/* Packs columns; a and b are pixels or NULL for padding, step the bytes to the next column's. */
static int32_t *pack_run(const fedtiny_pairs_s8_params *p, const fedtiny_pairs_span *span,
                         const int8_t *a, const int8_t *b, int32_t columns, int32_t *to) {
    const int32_t in_c = p->in_c, more = (p->stride_w - 1) * in_c;
    fedtiny_pairs_pack_call run;
    run.plane = span->plane * (int32_t)sizeof *to;
    run.channels = in_c;
    run.rewind = (int32_t)sizeof *to - in_c * run.plane;
    run.columns = columns;
    run.to = to;
    run.a = a != NULL ? a : span->pad;
    run.b = b != NULL ? b : span->pad;
    run.skip_a = a != NULL ? more : -in_c;
    run.skip_b = b != NULL ? more : -in_c;
    span->pack(&run);
    return to + columns;
}

static const int8_t *pixel_at(const fedtiny_pairs_s8_params *p, const int8_t *row, int32_t x) {
    return row != NULL && x >= 0 && x < p->in_w ? row + x * p->in_c : NULL;
}

/* The columns that the span needs of one kernel row. */
static void pack_row(const fedtiny_pairs_s8_params *p, const fedtiny_pairs_span *span,
                     const int8_t *row, int32_t *window) {
    const int32_t stride = p->stride_w;
    const int32_t partner = (span->width - fedtiny_pairs_of(span->width)) * stride;
    const int32_t phases = fedtiny_pairs_smaller(stride, p->reach_w);
    for (int32_t phase = 0; phase < phases; phase++) {
        int32_t *to = window + phase * p->phase_words;
        int32_t x = span->first * stride + phase - p->pad_left;
        int32_t columns = span->words + (p->reach_w - 1 - phase) / stride;
        while (columns > 0) {
            const int32_t y = x + partner;
            int32_t run = columns;
            if (row != NULL) {
                run = fedtiny_pairs_smaller(run, alike(x, p->in_w, stride));
                run = fedtiny_pairs_smaller(run, alike(y, p->in_w, stride));
            }
            to = pack_run(p, span, pixel_at(p, row, x), pixel_at(p, row, y), run, to);
            x += run * stride;
            columns -= run;
        }
    }
}

/* The pixels that the span needs of all rows of a step, joined to one row: kernels of one tap. */
static void pack_joined(const fedtiny_pairs_s8_params *p, const fedtiny_pairs_span *span,
                        const int8_t *const *in, int32_t *window) {
    const int32_t out_w = p->out_w;
    const int32_t partner = span->width - fedtiny_pairs_of(span->width);
    int32_t columns = span->words, x = span->first;
    while (columns > 0) {
        /* Narrow rows pack words past the end; they read the last pixels again. */
        const int32_t a = fedtiny_pairs_smaller(x, span->width - 1),
                      b = fedtiny_pairs_smaller(x + partner, span->width - 1);
        const int32_t row_a = a / out_w, row_b = b / out_w;
        const int32_t column_a = a - row_a * out_w, column_b = b - row_b * out_w;
        const int32_t run =
            fedtiny_pairs_smaller(columns, out_w - (column_a > column_b ? column_a : column_b));
        const int8_t *from_a = in[row_a * p->stride_h], *from_b = in[row_b * p->stride_h];
        window = pack_run(p, span, pixel_at(p, from_a, column_a * p->stride_w),
                          pixel_at(p, from_b, column_b * p->stride_w), run, window);
        x += run;
        columns -= run;
    }
}

void fedtiny_pairs_fill(const fedtiny_call *call, const fedtiny_pairs_s8_params *p,
                        const fedtiny_pairs_span *span, int32_t row) {
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

void fedtiny_pairs_clamp_row(const fedtiny_pairs_s8_params *p, int8_t *out) {
    fedtiny_clamp_row(out, p->out_w * p->out_c, p->output_min, p->output_max);
}

int fedtiny_pairs_contiguous(const fedtiny_call *call, int32_t rows, int32_t row_bytes) {
    for (int32_t row = 1; row < rows; row++) {
        if ((int8_t *)call->out[row] != (int8_t *)call->out[row - 1] + row_bytes) {
            return 0;
        }
    }
    return 1;
}

#if !FEDTINY_PAIRS_MOVE_THUMB
void fedtiny_pairs_move(int32_t *to, const int32_t *from, int32_t words) {
    for (int32_t i = 0; i < words; i++) {
        to[i] = from[i];
    }
}
#endif
