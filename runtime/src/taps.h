/* Convolutions over nonzeros that know taps by their numbers (see tile.h for the tile they read):
 * where each tap lies, and sums of eight pixels. */
#ifndef FEDTINY_TAPS_H
#define FEDTINY_TAPS_H

#include "tile.h"

enum { FEDTINY_LANES = 8 };

/* Sums a0 .. a7 of eight neighbouring output pixels. Macros, because compilers keep variables in
 * registers, but not arrays or structs. */
#define FEDTINY_SUMS8(start)                                                                       \
    int32_t a0 = (start), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0

#define FEDTINY_ADD8(weight, in)                                                                   \
    do {                                                                                           \
        a0 += (weight) * (in)[0];                                                                  \
        a1 += (weight) * (in)[1];                                                                  \
        a2 += (weight) * (in)[2];                                                                  \
        a3 += (weight) * (in)[3];                                                                  \
        a4 += (weight) * (in)[4];                                                                  \
        a5 += (weight) * (in)[5];                                                                  \
        a6 += (weight) * (in)[6];                                                                  \
        a7 += (weight) * (in)[7];                                                                  \
    } while (0)

#define FEDTINY_GET8(acc)                                                                          \
    do {                                                                                           \
        (acc)[0] = a0, (acc)[1] = a1, (acc)[2] = a2, (acc)[3] = a3;                                \
        (acc)[4] = a4, (acc)[5] = a5, (acc)[6] = a6, (acc)[7] = a7;                                \
    } while (0)

/* uint16 (kernel_h, kernel_w, in_c): the first input of each tap in the tile. */
static inline void fedtiny_tap_table(const fedtiny_tile *t, int32_t kernel_w, int32_t dilation_w,
                                     uint16_t *table) {
    const int32_t plane = t->phases * t->columns;
    for (int32_t ky = 0; ky < t->kernel_h; ky++) {
        for (int32_t kx = 0; kx < kernel_w; kx++) {
            const int32_t column = kx * dilation_w;
            int32_t place = ky * t->in_c * plane + column % t->stride_w * t->columns;
            place += column / t->stride_w;
            int32_t c = t->in_c;
            for (; c >= 4; c -= 4, table += 4, place += 4 * plane) {
                table[0] = (uint16_t)place;
                table[1] = (uint16_t)(place + plane);
                table[2] = (uint16_t)(place + 2 * plane);
                table[3] = (uint16_t)(place + 3 * plane);
            }
            for (; c > 0; c--, place += plane) {
                *table++ = (uint16_t)place;
            }
        }
    }
}

#endif
