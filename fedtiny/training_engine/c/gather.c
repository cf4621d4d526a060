/* Weights over a grid of positions: forward passes, and gradients of inputs, sparse and dense. */
#include "layers.h"

#include <stddef.h>

#if defined(__AVX512VL__) || defined(__aarch64__)
#define DENSE_WIDTH 6 /* 32 registers hold 6 x 4 sums, inputs and a weight */
#else
#define DENSE_WIDTH 3
#endif

INLINE void add_sums(float *sums, int channel, const vec *values, const int count) {
    vec total = zero(), squares = zero();
    UNROLL
    for (int t = 0; t < count; t++) {
        total += values[t];
        squares += values[t] * values[t];
    }
    float *to = sums + (size_t)channel * 2 * LANES;
    store(to, load(to) + total);
    store(to + LANES, load(to + LANES) + squares);
}

/* One tile of every output channel: `rows` (1 or 2) times `width` positions. */
INLINE void sparse_tile(const gather *g, const float *source, float *target, int add, float *sums,
                        const int rows, const int width, const int step) {
    const int row_step = g->source_grid.row_step;
    const int target_row = g->target_grid.row_step, target_step = g->target_grid.step;
    int at = g->starts[0];
    for (int channel = 0; channel < g->outputs; channel++) {
        vec acc[28];
        float *to = target + (size_t)channel * g->plane;
        UNROLL
        for (int r = 0; r < rows; r++)
            UNROLL
        for (int t = 0; t < width; t++)
            acc[r * width + t] = add ? load(to + r * target_row + t * target_step) : zero();
        for (const int end = g->starts[channel + 1]; at < end; at++) {
            const float *from = source + g->offsets[at];
            const vec weight = all(g->weights[at]);
            UNROLL
            for (int r = 0; r < rows; r++)
                UNROLL
            for (int t = 0; t < width; t++)
                acc[r * width + t] += weight * load(from + r * row_step + t * step);
        }
        UNROLL
        for (int r = 0; r < rows; r++)
            UNROLL
        for (int t = 0; t < width; t++)
            store(to + r * target_row + t * target_step, acc[r * width + t]);
        if (sums)
            add_sums(sums, channel, acc, rows * width);
    }
}

#define SPARSE(rows, width, step)                                                                  \
    case (rows) * 16 + (width):                                                                    \
        sparse_tile(g, source, target, add, sums, rows, width, step);                              \
        break;
#define WIDTHS(CASE, step)                                                                         \
    CASE(1, 1, step)                                                                               \
    CASE(1, 2, step)                                                                               \
    CASE(1, 3, step)                                                                               \
    CASE(1, 4, step)                                                                               \
    CASE(1, 5, step)                                                                               \
    CASE(1, 6, step)                                                                               \
    CASE(1, 7, step)                                                                               \
    CASE(1, 8, step)
#define WIDE(CASE, step)                                                                           \
    CASE(1, 14, step)                                                                              \
    CASE(2, 4, step)                                                                               \
    CASE(2, 5, step)                                                                               \
    CASE(2, 6, step)                                                                               \
    CASE(2, 7, step)

static void sparse_tile_any(const gather *g, const float *source, float *target, int add,
                            float *sums, int rows, int width) {
    const int step = g->source_grid.step;
    if (step == LANES)
        switch (rows * 16 + width) { WIDTHS(SPARSE, LANES) WIDE(SPARSE, LANES) }
    else if (step == 2 * LANES)
        switch (rows * 16 + width) { WIDTHS(SPARSE, 2 * LANES) WIDE(SPARSE, 2 * LANES) }
    else
        switch (rows * 16 + width) { WIDTHS(SPARSE, step) }
}

/* One tile of `GROUP` output channels, of which `outputs` are there. */
INLINE void dense_tile(const int32_t *offsets, int taps, const float *weights, const float *source,
                       float *target, int plane, int outputs, int add, float *sums, int channel,
                       const int width, const int step, int target_step) {
    vec acc[GROUP][8];
    UNROLL
    for (int o = 0; o < GROUP; o++)
        UNROLL
    for (int t = 0; t < width; t++)
        acc[o][t] = zero();
    for (int tap = 0; tap < taps; tap++) {
        const float *from = source + offsets[tap];
        vec x[8];
        UNROLL
        for (int t = 0; t < width; t++)
            x[t] = load(from + t * step);
        UNROLL
        for (int o = 0; o < GROUP; o++) {
            const vec weight = all(weights[tap * GROUP + o]);
            UNROLL
            for (int t = 0; t < width; t++)
                acc[o][t] += weight * x[t];
        }
    }
    UNROLL
    for (int o = 0; o < GROUP; o++)
        if (o < outputs) {
            float *to = target + (size_t)o * plane;
            UNROLL
            for (int t = 0; t < width; t++) {
                if (add)
                    acc[o][t] += load(to + t * target_step);
                store(to + t * target_step, acc[o][t]);
            }
            if (sums)
                add_sums(sums, channel + o, acc[o], width);
        }
}

#define DENSE(rows, width, step)                                                                   \
    case width:                                                                                    \
        dense_tile(g->offsets, g->taps, weights, source, to, g->plane, outputs, add, sums,         \
                   channel, width, step, target_step);                                             \
        break;
#define DENSE_WIDTHS(step)                                                                         \
    DENSE(1, 1, step)                                                                              \
    DENSE(1, 2, step)                                                                              \
    DENSE(1, 3, step)                                                                              \
    DENSE(1, 4, step) DENSE(1, 5, step) DENSE(1, 6, step)

static void dense_tile_any(const gather *g, const float *source, float *target, int add,
                           float *sums, int width) {
    const int step = g->source_grid.step, target_step = g->target_grid.step;
    for (int channel = 0; channel < g->outputs; channel += GROUP) {
        const int left = g->outputs - channel, outputs = left < GROUP ? left : GROUP;
        const float *weights = g->weights + (size_t)channel * g->taps;
        float *to = target + (size_t)channel * g->plane;
        if (step == LANES)
            switch (width) { DENSE_WIDTHS(LANES) }
        else
            switch (width) { DENSE_WIDTHS(step) }
    }
}

/* How a row of `left` positions goes on: wide tiles first, where they leave no narrow rest. */
static int sparse_width(int left, int step) {
    if (step <= 2 * LANES && left % 14 == 0)
        return 14;
    return left <= 8 ? left : left < 16 ? (left + 1) / 2 : 8;
}

void gather_forward(const gather *g, const float *source, float *target, int add, float *sums) {
    const grid *s = &g->source_grid, *t = &g->target_grid;
    source += g->origin;
    target += g->target;
    if (add && (g->starts ? g->starts[g->outputs] == g->starts[0] : g->taps == 0))
        return;
    const int paired = g->starts && s->step <= 2 * LANES && s->width >= 4 && s->width <= 7;
    for (int y = 0; y < s->rows;) {
        const int rows = paired && y + 1 < s->rows ? 2 : 1;
        const float *from = source + (size_t)y * s->row_step;
        float *to = target + (size_t)y * t->row_step;
        for (int x = 0; x < s->width;) {
            const int left = s->width - x;
            int width;
            if (g->starts) {
                width = rows == 2 ? left : sparse_width(left, s->step);
                sparse_tile_any(g, from + (size_t)x * s->step, to + (size_t)x * t->step, add, sums,
                                rows, width);
            } else {
                const int tiles = (left + DENSE_WIDTH - 1) / DENSE_WIDTH;
                width = (left + tiles - 1) / tiles;
                dense_tile_any(g, from + (size_t)x * s->step, to + (size_t)x * t->step, add, sums,
                               width);
            }
            x += width;
        }
        y += rows;
    }
}

/* One load of dY serves both: the input's gradient += w * dY, and the weight's += X * dY. */
INLINE void backward_tile(const gather *g, const float *gradient, const float *input, float *target,
                          const int how, const int rows, const int width, const int step) {
    const int row_step = g->source_grid.row_step;
    const int target_row = g->target_grid.row_step;
    int at = g->starts[0];
    for (int channel = 0; channel < g->outputs; channel++) {
        const float *x = input + (size_t)channel * g->plane;
        float *to = how ? target + (size_t)channel * g->plane : NULL;
        vec acc[28];
        if (how)
            UNROLL
        for (int r = 0; r < rows; r++)
            UNROLL
        for (int t = 0; t < width; t++)
            acc[r * width + t] = how == 2 ? load(to + r * target_row + t * step) : zero();
        for (const int end = g->starts[channel + 1]; at < end; at++) {
            const float *from = gradient + g->offsets[at];
            const vec weight = all(g->weights[at]);
            vec even = load(g->products + (size_t)at * LANES), odd = zero();
            UNROLL
            for (int r = 0; r < rows; r++)
                UNROLL
            for (int t = 0; t < width; t++) {
                const vec dy = load(from + r * row_step + t * LANES);
                if (how)
                    acc[r * width + t] += weight * dy;
                if (t & 1)
                    odd += dy * load(x + r * target_row + t * step);
                else
                    even += dy * load(x + r * target_row + t * step);
            }
            store(g->products + (size_t)at * LANES, even + odd);
        }
        if (how)
            UNROLL
        for (int r = 0; r < rows; r++)
            UNROLL
        for (int t = 0; t < width; t++)
            store(to + r * target_row + t * step, acc[r * width + t]);
    }
}

/* The same where positions of the gradient are `source` floats apart, as blocks of a batch. */
INLINE void backward_apart(const gather *g, const float *gradient, const float *input,
                           float *target, int how, int width) {
    const int source = g->source_grid.step, step = g->target_grid.step;
    int at = g->starts[0];
    for (int channel = 0; channel < g->outputs; channel++) {
        const float *x = input + (size_t)channel * g->plane;
        for (const int first = at, end = g->starts[channel + 1]; at < end; at++) {
            const float *from = gradient + g->offsets[at];
            vec product = load(g->products + (size_t)at * LANES);
            for (int t = 0; t < width; t++) {
                const vec dy = load(from + (size_t)t * source);
                product += dy * load(x + (size_t)t * step);
                if (how) {
                    float *to = target + (size_t)channel * g->plane + (size_t)t * step;
                    const vec before = how == 1 && at == first ? zero() : load(to);
                    store(to, before + all(g->weights[at]) * dy);
                }
            }
            store(g->products + (size_t)at * LANES, product);
        }
        if (how == 1 && g->starts[channel] == g->starts[channel + 1])
            for (int t = 0; t < width; t++)
                store(target + (size_t)channel * g->plane + (size_t)t * step, zero());
    }
}

#define BACKWARD(rows, width, step)                                                                \
    case (rows) * 16 + (width):                                                                    \
        if (how == 0)                                                                              \
            backward_tile(g, gradient, input, target, 0, rows, width, step);                       \
        else if (how == 1)                                                                         \
            backward_tile(g, gradient, input, target, 1, rows, width, step);                       \
        else                                                                                       \
            backward_tile(g, gradient, input, target, 2, rows, width, step);                       \
        break;

static void backward_tile_any(const gather *g, const float *gradient, const float *input,
                              float *target, int how, int rows, int width) {
    const int step = g->target_grid.step;
    if (step == LANES)
        switch (rows * 16 + width) { WIDTHS(BACKWARD, LANES) WIDE(BACKWARD, LANES) }
    else if (step == 2 * LANES)
        switch (rows * 16 + width) { WIDTHS(BACKWARD, 2 * LANES) WIDE(BACKWARD, 2 * LANES) }
    else
        switch (rows * 16 + width) { WIDTHS(BACKWARD, step) }
}

void gather_backward(const gather *g, const float *gradient, const float *input, float *target,
                     int how) {
    const grid *s = &g->source_grid, *t = &g->target_grid;
    if (how != 1 && g->starts[g->outputs] == g->starts[0])
        return;
    gradient += g->origin;
    input += g->target;
    target = how ? target + g->target : NULL;
    if (s->step != LANES) {
        backward_apart(g, gradient, input, target, how, s->width);
        return;
    }
    const int paired = t->step <= 2 * LANES && s->width >= 4 && s->width <= 7;
    for (int y = 0; y < s->rows;) {
        const int rows = paired && y + 1 < s->rows ? 2 : 1;
        for (int x = 0; x < s->width;) {
            const int left = s->width - x;
            const int width = rows == 2 ? left : sparse_width(left, t->step);
            const size_t from = (size_t)y * s->row_step + (size_t)x * s->step;
            const size_t to = (size_t)y * t->row_step + (size_t)x * t->step;
            backward_tile_any(g, gradient + from, input + to, how ? target + to : NULL, how, rows,
                              width);
            x += width;
        }
        y += rows;
    }
}
