/* The input of a few neighbouring output pixels, channel planes first: element
 * [ky][channel][phase][column] of a tile is the input `column * stride_w + phase` columns from the
 * tile's left end. One tap of consecutive output pixels is consecutive in memory, whatever the
 * stride, and padding is there as values. */
#ifndef FEDTINY_TILE_H
#define FEDTINY_TILE_H

#include "kernel.h"

#include <string.h>

typedef struct {
    int32_t in_w, in_c;
    int32_t kernel_h, dilation_h, stride_w;
    int32_t phases, columns;
} fedtiny_tile;

/* Fills int8 (kernel_h, in_c, phases, columns); the tile's left end is input column `first`. */
static inline void fedtiny_gather_tile(const fedtiny_tile *t, const void *const *rows,
                                       int32_t first, int8_t pad, int8_t *tile) {
    const int32_t plane = t->phases * t->columns; /* from channel to channel */
    memset(tile, pad, (size_t)(t->kernel_h * t->in_c * plane));
    for (int32_t ky = 0; ky < t->kernel_h; ky++, tile += t->in_c * plane) {
        const int8_t *row = rows[ky * t->dilation_h];
        if (row == NULL) {
            continue;
        }
        for (int32_t phase = 0; phase < t->phases; phase++) {
            for (int32_t q = 0; q < t->columns; q++) {
                const int32_t column = first + q * t->stride_w + phase;
                if (column < 0 || column >= t->in_w) {
                    continue;
                }
                const int8_t *from = row + column * t->in_c;
                int8_t *to = tile + phase * t->columns + q;
                int32_t c = t->in_c;
                for (; c >= 4; c -= 4, from += 4, to += 4 * plane) {
                    to[0] = from[0];
                    to[plane] = from[1];
                    to[2 * plane] = from[2];
                    to[3 * plane] = from[3];
                }
                for (; c > 0; c--, to += plane) {
                    *to = *from++;
                }
            }
        }
    }
}

#endif
