/* Bitmaps: which of 32 neighbouring weights are there. */
#ifndef FEDTINY_BITS_H
#define FEDTINY_BITS_H

#include <stdint.h>

/* Number of the lowest bit that is set, of at least one. */
static inline int fedtiny_lowest_bit(uint32_t bits) {
#if defined(__GNUC__)
    return __builtin_ctz(bits);
#else
    int number = 0;
    while (!(bits >> number & 1)) {
        number++;
    }
    return number;
#endif
}

#endif
