/* What kernels of two pixels a word share: the window that holds the columns of a run of tiles, as
 * words in the order (kernel row, channel, column % stride, column / stride). The pixels of a word
 * are x and x + width - ceil(width / 2) of one output row. What a word looks like is the packer's.
 */
#ifndef FEDTINY_PAIRS_WINDOW_H
#define FEDTINY_PAIRS_WINDOW_H

/* Cores of the M profile run src/pairs_move.S. */
#if defined(__thumb__) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_PAIRS_MOVE_THUMB 1
#else
#define FEDTINY_PAIRS_MOVE_THUMB 0
#endif

#ifndef __ASSEMBLER__
#include "fedtiny/parts.h"
#include "kernel.h"

/* Some neighbouring columns of one kernel row, to words. Assembly knows the order. */
typedef struct {
    int32_t rewind; /* bytes from the end of a column's last plane to the next column */
    int32_t skip_a; /* bytes from the end of a pixel to the next, stride and padding included */
    int32_t skip_b;
    int32_t columns;  /* at least 1 */
    int32_t channels; /* at least 1 */
    int32_t plane;    /* bytes from channel to channel of the window */
    int32_t *to;
    const int8_t *a; /* pixels of the low lane */
    const int8_t *b; /* pixels of the high lane */
} fedtiny_pairs_pack_call;

/* What one filling of the window serves: words first .. first + words - 1 of a row of `width`
 * pixels. */
typedef struct {
    void (*pack)(const fedtiny_pairs_pack_call *call);
    const int8_t *pad; /* one pixel of padding */
    int32_t width, first, words;
    int32_t plane; /* words of one channel */
} fedtiny_pairs_span;

static inline int32_t fedtiny_pairs_smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static inline int32_t fedtiny_pairs_of(int32_t width) {
    return (width + 1) / 2;
}

/* Fills the window for output row `row` of the step, from what it held for the row before. */
void fedtiny_pairs_fill(const fedtiny_call *call, const fedtiny_pairs_s8_params *p,
                        const fedtiny_pairs_span *span, int32_t row);

/* Clamps a row that was only saturated. */
void fedtiny_pairs_clamp_row(const fedtiny_pairs_s8_params *p, int8_t *out);

/* Whether the step's rows follow each other in memory. */
int fedtiny_pairs_contiguous(const fedtiny_call *call, int32_t rows, int32_t row_bytes);

/* Moves words to a lower address. */
void fedtiny_pairs_move(int32_t *to, const int32_t *from, int32_t words);
#endif

#endif
