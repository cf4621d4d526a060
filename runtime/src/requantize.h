/* Scaling of int32 accumulators to int8, exactly as TensorFlow Lite's int8 specification.
 *
 * Right shifts of negative numbers are arithmetic on every compiler that this runtime supports;
 * the assertion below refuses any other.
 */
#ifndef FEDTINY_REQUANTIZE_H
#define FEDTINY_REQUANTIZE_H

#include "kernel.h"

FEDTINY_ASSERT((-1 >> 1) == -1, fedtiny_right_shift_is_arithmetic);

/* round(a * b / 2^31), halves upwards. gemmlowp's SaturatingRoundingDoublingHighMul, which divides
 * a nudged product towards zero, gives the same for every a and every b other than INT32_MIN. */
static inline int32_t fedtiny_multiply_high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* round(x / 2^exponent), halves away from zero; exponent 0 .. 31. gemmlowp's RoundingDivideByPOT.
 */
static inline int32_t fedtiny_divide_by_power_of_two(int32_t x, int exponent) {
    const int32_t mask = (int32_t)((1u << exponent) - 1u);
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0));
}

/* x * multiplier * 2^(shift - 31) with two roundings: MultiplyByQuantizedMultiplier. */
static inline int32_t fedtiny_multiply(int32_t x, int32_t multiplier, int shift) {
    if (shift > 0) {
        return fedtiny_multiply_high((int32_t)((uint32_t)x << shift), multiplier);
    }
    return fedtiny_divide_by_power_of_two(fedtiny_multiply_high(x, multiplier), -shift);
}

/* Requantizes the accumulators of one output channel and writes them `stride` bytes apart.
 *
 * fedtiny_multiply, the output's zero point and the clamp, for |accumulator| < 2^30. For shifts of
 * -22 .. -1 the two roundings and the zero point become one addition: with e = -shift,
 *     high  = floor((x * m + 2^30) / 2^31)
 *     value = floor((high + 2^(e - 1) - (high < 0)) / 2^e) + zero_point
 *           = floor((floor((x * m + start) / 2^31) - (x < 0)) / 2^e)
 *     start = 2^30 + 2^31 * (2^(e - 1) + 2^e * zero_point)
 * because high < 0 exactly when x < 0, but for x = -1 and m = 2^30, where both give zero_point. */
static inline void fedtiny_store_channel(const int32_t *acc, int32_t count, int32_t multiplier,
                                         int32_t shift, int32_t zero_point, int32_t low,
                                         int32_t high, int8_t *out, int32_t stride) {
    if (shift < 0 && shift >= -22) {
        const int32_t right = -shift;
        const int32_t rounding = (1 << (right - 1)) + zero_point * (1 << right);
        const int64_t start = (int64_t)rounding * ((int64_t)1 << 31) + (1 << 30);
        for (const int32_t *end = acc + count; acc != end; acc++, out += stride) {
            const int32_t x = *acc;
            const int32_t scaled = (int32_t)(((int64_t)x * multiplier + start) >> 31);
            *out = (int8_t)fedtiny_clamp_s32((scaled + (x >> 31)) >> right, low, high);
        }
    } else {
        for (const int32_t *end = acc + count; acc != end; acc++, out += stride) {
            const int32_t value = fedtiny_multiply(*acc, multiplier, shift) + zero_point;
            *out = (int8_t)fedtiny_clamp_s32(value, low, high);
        }
    }
}

/* A whole requantization in one multiplication, one addition and one shift of at least 32. The
 * packing proves that it equals the specified one on every accumulator that can occur. */
typedef struct {
    int64_t rounding; /* holds the output's zero point */
    int32_t multiplier;
    int32_t shift; /* beyond 32 */
} fedtiny_line;

static inline fedtiny_line fedtiny_line_of(int32_t multiplier, uint32_t rounding_low,
                                           int32_t rounding_high, uint8_t shift) {
    const fedtiny_line line = {(int64_t)((uint64_t)(uint32_t)rounding_high << 32 | rounding_low),
                               multiplier, shift};
    return line;
}

static inline int32_t fedtiny_follow(const fedtiny_line *line, int32_t acc) {
    const int64_t product = (int64_t)acc * line->multiplier + line->rounding;
    return (int32_t)(product >> 32) >> line->shift;
}

/* sum / count, halves away from zero; count > 0. */
static inline int32_t fedtiny_mean(int32_t sum, int32_t count) {
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

#endif
