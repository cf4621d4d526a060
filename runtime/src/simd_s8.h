/* Sixteen int8 pixels at a time: NEON without dot products, or plain C that gives the same numbers.
 *
 * Products are summed in 16 bits as long as they fit, then added to sums of 32 bits. */
#ifndef FEDTINY_SIMD_S8_H
#define FEDTINY_SIMD_S8_H

#include "requantize.h"
#include "simd.h"

enum { FEDTINY_PIXELS = 16 };

#if defined(__aarch64__) && defined(__ARM_NEON)

typedef struct {
    int16x8_t part[2];
} fedtiny_sum16;

typedef struct {
    int32x4_t part[4];
} fedtiny_sum32;

FEDTINY_INLINE fedtiny_sum16 fedtiny_products(const int8_t *x, int8_t weight) {
    const int8x16_t pixels = vld1q_s8(x), all = vdupq_n_s8(weight);
    const fedtiny_sum16 sum = {
        {vmull_s8(vget_low_s8(pixels), vget_low_s8(all)), vmull_high_s8(pixels, all)}};
    return sum;
}

FEDTINY_INLINE void fedtiny_add_products(fedtiny_sum16 *sum, const int8_t *x, int8_t weight) {
    const int8x16_t pixels = vld1q_s8(x), all = vdupq_n_s8(weight);
    sum->part[0] = vmlal_s8(sum->part[0], vget_low_s8(pixels), vget_low_s8(all));
    sum->part[1] = vmlal_high_s8(sum->part[1], pixels, all);
}

FEDTINY_INLINE fedtiny_sum32 fedtiny_start(int32_t value) {
    const int32x4_t all = vdupq_n_s32(value);
    const fedtiny_sum32 sum = {{all, all, all, all}};
    return sum;
}

FEDTINY_INLINE void fedtiny_add_sum(fedtiny_sum32 *sum, fedtiny_sum16 part) {
    sum->part[0] = vaddw_s16(sum->part[0], vget_low_s16(part.part[0]));
    sum->part[1] = vaddw_high_s16(sum->part[1], part.part[0]);
    sum->part[2] = vaddw_s16(sum->part[2], vget_low_s16(part.part[1]));
    sum->part[3] = vaddw_high_s16(sum->part[3], part.part[1]);
}

/* fedtiny_multiply of four numbers; the shift is not positive. */
FEDTINY_INLINE int32x4_t fedtiny_multiply4(int32x4_t x, int32_t multiplier, int32_t shift) {
    const int32x4_t right = vdupq_n_s32(shift);
    const int32x4_t high = vqrdmulhq_s32(x, vdupq_n_s32(multiplier));
    /* Halves away from zero: SRSHL rounds them up, so negative numbers give one way first. */
    return vrshlq_s32(vsraq_n_s32(high, vandq_s32(high, right), 31), right);
}

/* The sum of all lanes. */
FEDTINY_INLINE int32_t fedtiny_total(const fedtiny_sum32 *sum) {
    return vaddvq_s32(
        vaddq_s32(vaddq_s32(sum->part[0], sum->part[1]), vaddq_s32(sum->part[2], sum->part[3])));
}

/* Requantizes by a shift that is not positive, adds the zero point, clamps and writes. */
FEDTINY_INLINE void fedtiny_store_pixels(int8_t *out, const fedtiny_sum32 *sum, int32_t multiplier,
                                         int32_t shift, int32_t zero_point, int32_t low,
                                         int32_t high) {
    int16x4_t narrow[4];
    FEDTINY_UNROLL
    for (int i = 0; i < 4; i++) {
        narrow[i] = vqmovn_s32(fedtiny_multiply4(sum->part[i], multiplier, shift));
    }
    const int16x8_t zero = vdupq_n_s16((int16_t)zero_point);
    const int16x8_t first = vqaddq_s16(vcombine_s16(narrow[0], narrow[1]), zero);
    const int16x8_t second = vqaddq_s16(vcombine_s16(narrow[2], narrow[3]), zero);
    const int8x16_t value = vcombine_s8(vqmovn_s16(first), vqmovn_s16(second));
    const int8x16_t least = vdupq_n_s8((int8_t)low), most = vdupq_n_s8((int8_t)high);
    vst1q_s8(out, vminq_s8(vmaxq_s8(value, least), most));
}

/* Bytes 0, 2, 4, ... and, where they are wanted, 1, 3, 5, ... of 32. */
FEDTINY_INLINE void fedtiny_split_pixels(int8_t *even, int8_t *odd, const int8_t *from) {
    const int8x16x2_t both = vld2q_s8(from);
    vst1q_s8(even, both.val[0]);
    if (odd != NULL) {
        vst1q_s8(odd, both.val[1]);
    }
}

#else

typedef struct {
    int16_t lane[FEDTINY_PIXELS];
} fedtiny_sum16;

typedef struct {
    int32_t lane[FEDTINY_PIXELS];
} fedtiny_sum32;

FEDTINY_INLINE fedtiny_sum16 fedtiny_products(const int8_t *x, int8_t weight) {
    fedtiny_sum16 sum;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum.lane[i] = (int16_t)(x[i] * weight);
    }
    return sum;
}

FEDTINY_INLINE void fedtiny_add_products(fedtiny_sum16 *sum, const int8_t *x, int8_t weight) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum->lane[i] = (int16_t)(sum->lane[i] + x[i] * weight);
    }
}

FEDTINY_INLINE fedtiny_sum32 fedtiny_start(int32_t value) {
    fedtiny_sum32 sum;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum.lane[i] = value;
    }
    return sum;
}

FEDTINY_INLINE void fedtiny_add_sum(fedtiny_sum32 *sum, fedtiny_sum16 part) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum->lane[i] += part.lane[i];
    }
}

FEDTINY_INLINE int32_t fedtiny_total(const fedtiny_sum32 *sum) {
    int32_t total = 0;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        total += sum->lane[i];
    }
    return total;
}

FEDTINY_INLINE void fedtiny_store_pixels(int8_t *out, const fedtiny_sum32 *sum, int32_t multiplier,
                                         int32_t shift, int32_t zero_point, int32_t low,
                                         int32_t high) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        const int32_t value = fedtiny_multiply(sum->lane[i], multiplier, shift) + zero_point;
        out[i] = (int8_t)fedtiny_clamp_s32(value, low, high);
    }
}

FEDTINY_INLINE void fedtiny_split_pixels(int8_t *even, int8_t *odd, const int8_t *from) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        even[i] = from[2 * i];
        if (odd != NULL) {
            odd[i] = from[2 * i + 1];
        }
    }
}

#endif

#endif
