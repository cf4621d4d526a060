/* Scaling of int32 sums in two multiplications, each one instruction on cores that have SMMLAR. */
#ifndef FEDTINY_MULTIPLY_HIGH_H
#define FEDTINY_MULTIPLY_HIGH_H

#include "kernel.h"

/* addend + a * b / 2^32, halves upwards: the SMMLAR instruction. */
static inline int32_t fedtiny_multiply_add_high(int32_t a, int32_t b, int32_t addend) {
    return addend + (int32_t)(((int64_t)a * b + (1ll << 31)) >> 32);
}

/* MultiplyByQuantizedMultiplier for shifts of at most -2, plus zero point, saturated to int8.
 * factor is 2 * multiplier - 2^32, divisor 2^(32 + shift). Without `is_signed`, halves below zero
 * are rounded upwards, which only matters where outputs below the zero point are kept. */
static inline int8_t fedtiny_scale_s8(int32_t sum, int32_t factor, int32_t divisor,
                                      int32_t zero_point, int is_signed) {
    int32_t value = fedtiny_multiply_add_high(sum, factor, sum);
    if (is_signed) {
        value += value >> 31;
    }
    value = fedtiny_multiply_add_high(value, divisor, zero_point);
    return (int8_t)fedtiny_clamp_s32(value, INT8_MIN, INT8_MAX);
}

#endif
