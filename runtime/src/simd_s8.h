/* Sixteen int8 pixels at a time: NEON without dot products, AVX2, or plain C that gives the same
 * numbers.
 *
 * Products are summed in 16 bits as long as they fit, then added to sums of 32 bits. */
#ifndef FEDTINY_SIMD_S8_H
#define FEDTINY_SIMD_S8_H

#include "requantize.h"
#include "simd.h"

enum { FEDTINY_PIXELS = 16 };

/* Keeps a pointer as one register: compilers add its parts anew at every use. */
#define FEDTINY_ONE_REGISTER(pointer) __asm__("" : "+r"(pointer))

/* How sums become int8: multiplied by a multiplier and 2^(shift - 31), a shift that is not
 * positive, then the zero point is added and the result clamped. `ties`: halves of negative numbers
 * are seen, because nothing is clamped but to int8; rounding them away from zero takes an
 * instruction, and a shift below 0. */
typedef struct {
    int32_t multiplier, shift, zero_point, low, high;
    int ties;
} fedtiny_scaling;

#if defined(__ARM_NEON)

typedef int8x16_t fedtiny_pixels;
typedef int8x16_t fedtiny_weight;

typedef struct {
    int16x8_t part[2];
} fedtiny_sum16;

typedef struct {
    int32x4_t part[4];
} fedtiny_sum32;

FEDTINY_INLINE fedtiny_weight fedtiny_weight_all(const int8_t *weight) {
    return vld1q_dup_s8(weight);
}
#if defined(__aarch64__)
/* fedtiny_weight_all(weight++) by one instruction. Weights never change: no memory is named. */
FEDTINY_INLINE fedtiny_weight fedtiny_weight_next(const int8_t **weight) {
    fedtiny_weight all;
    const int8_t *at = *weight;
    __asm__("ld1r {%0.16b}, [%1], #1" : "=w"(all), "+r"(at));
    *weight = at;
    return all;
}
FEDTINY_INLINE void fedtiny_pixels_load2(const int8_t *from, int first, fedtiny_pixels *a,
                                         fedtiny_pixels *b) {
    __asm__("ldp %q0, %q1, [%2, %3]"
            : "=&w"(*a), "=w"(*b)
            : "r"(from), "i"(first), "m"(*(const int8_t (*)[128])from));
}
#else
FEDTINY_INLINE fedtiny_weight fedtiny_weight_next(const int8_t **weight) {
    return vld1q_dup_s8((*weight)++);
}
FEDTINY_INLINE void fedtiny_pixels_load2(const int8_t *from, int first, fedtiny_pixels *a,
                                         fedtiny_pixels *b) {
    *a = vld1q_s8(from + first);
    *b = vld1q_s8(from + first + 16);
}
/* What AArch64 has instructions for. */
FEDTINY_INLINE int16x8_t vmull_high_s8(int8x16_t a, int8x16_t b) {
    return vmull_s8(vget_high_s8(a), vget_high_s8(b));
}
FEDTINY_INLINE int16x8_t vmlal_high_s8(int16x8_t sum, int8x16_t a, int8x16_t b) {
    return vmlal_s8(sum, vget_high_s8(a), vget_high_s8(b));
}
FEDTINY_INLINE int32x4_t vaddw_high_s16(int32x4_t sum, int16x8_t a) {
    return vaddw_s16(sum, vget_high_s16(a));
}
FEDTINY_INLINE int16x8_t vaddw_high_s8(int16x8_t sum, int8x16_t a) {
    return vaddw_s8(sum, vget_high_s8(a));
}
FEDTINY_INLINE int16x8_t vmovl_high_s8(int8x16_t a) {
    return vmovl_s8(vget_high_s8(a));
}
FEDTINY_INLINE int16x8_t vuzp2q_s16(int16x8_t a, int16x8_t b) {
    return vuzpq_s16(a, b).val[1];
}
FEDTINY_INLINE int32x4_t vmovl_high_s16(int16x8_t a) {
    return vmovl_s16(vget_high_s16(a));
}
FEDTINY_INLINE int32_t vaddvq_s32(int32x4_t a) {
    const int32x2_t two = vadd_s32(vget_low_s32(a), vget_high_s32(a));
    return vget_lane_s32(vpadd_s32(two, two), 0);
}
FEDTINY_INLINE int16x8_t vqmovn_high_s32(int16x4_t low, int32x4_t a) {
    return vcombine_s16(low, vqmovn_s32(a));
}
FEDTINY_INLINE int8x16_t vqmovn_high_s16(int8x8_t low, int16x8_t a) {
    return vcombine_s8(low, vqmovn_s16(a));
}
#endif
FEDTINY_INLINE fedtiny_pixels fedtiny_pixels_load(const int8_t *from) {
    return vld1q_s8(from);
}
FEDTINY_INLINE fedtiny_sum16 fedtiny_products(fedtiny_pixels x, fedtiny_weight w) {
    const fedtiny_sum16 sum = {{vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w)}};
    return sum;
}
FEDTINY_INLINE void fedtiny_add_products(fedtiny_sum16 *sum, fedtiny_pixels x, fedtiny_weight w) {
    sum->part[0] = vmlal_s8(sum->part[0], vget_low_s8(x), vget_low_s8(w));
    sum->part[1] = vmlal_high_s8(sum->part[1], x, w);
}
FEDTINY_INLINE fedtiny_sum32 fedtiny_start(int32_t value) {
    const int32x4_t all = vdupq_n_s32(value);
    const fedtiny_sum32 sum = {{all, all, all, all}};
    return sum;
}
FEDTINY_INLINE fedtiny_sum32 fedtiny_with(fedtiny_sum32 sum, fedtiny_sum16 part) {
    sum.part[0] = vaddw_s16(sum.part[0], vget_low_s16(part.part[0]));
    sum.part[1] = vaddw_high_s16(sum.part[1], part.part[0]);
    sum.part[2] = vaddw_s16(sum.part[2], vget_low_s16(part.part[1]));
    sum.part[3] = vaddw_high_s16(sum.part[3], part.part[1]);
    return sum;
}
/* The sum of all lanes. */
FEDTINY_INLINE int32_t fedtiny_total(const fedtiny_sum32 *sum) {
    return vaddvq_s32(
        vaddq_s32(vaddq_s32(sum->part[0], sum->part[1]), vaddq_s32(sum->part[2], sum->part[3])));
}
/* fedtiny_multiply of four numbers; the shift is not positive. */
FEDTINY_INLINE int32x4_t fedtiny_multiply4(int32x4_t x, int32_t multiplier, int32_t shift) {
    const int32x4_t right = vdupq_n_s32(shift);
    const int32x4_t high = vqrdmulhq_s32(x, vdupq_n_s32(multiplier));
    /* Halves away from zero: SRSHL rounds them up, so negative numbers give one way first. */
    return vrshlq_s32(vsraq_n_s32(high, vandq_s32(high, right), 31), right);
}
/* Sixteen numbers of 32 bits as int8, saturated, after a sum with the zero point. */
FEDTINY_INLINE fedtiny_pixels fedtiny_narrow(const int32x4_t *wide, int32_t zero_point) {
    const int16x8_t zero = vdupq_n_s16((int16_t)zero_point);
    const int16x8_t first = vqmovn_high_s32(vqmovn_s32(wide[0]), wide[1]);
    const int16x8_t second = vqmovn_high_s32(vqmovn_s32(wide[2]), wide[3]);
    return vqmovn_high_s16(vqmovn_s16(vqaddq_s16(first, zero)), vqaddq_s16(second, zero));
}
FEDTINY_INLINE void fedtiny_store_pixels(int8_t *out, const fedtiny_sum32 *sum,
                                         const fedtiny_scaling *s) {
    const int32x4_t multiplier = vdupq_n_s32(s->multiplier), right = vdupq_n_s32(s->shift);
    int32x4_t value[4];
    FEDTINY_UNROLL
    for (int i = 0; i < 4; i++) {
        value[i] = vqrdmulhq_s32(sum->part[i], multiplier);
        value[i] = s->ties ? vsraq_n_s32(value[i], value[i], 31) : value[i];
        value[i] = vrshlq_s32(value[i], right);
    }
    const int8x16_t narrow = fedtiny_narrow(value, s->zero_point);
    const int8x16_t low = vdupq_n_s8((int8_t)s->low), high = vdupq_n_s8((int8_t)s->high);
    vst1q_s8(out, s->ties ? narrow : vminq_s8(vmaxq_s8(narrow, low), high));
}

#elif defined(__AVX2__) && defined(__FMA__)

typedef __m128i fedtiny_pixels;
typedef int16_t fedtiny_weight;
typedef __m256i fedtiny_sum16;

typedef struct {
    __m256i part[2];
} fedtiny_sum32;

FEDTINY_INLINE fedtiny_weight fedtiny_weight_all(const int8_t *weight) {
    return *weight;
}
FEDTINY_INLINE fedtiny_weight fedtiny_weight_next(const int8_t **weight) {
    return *(*weight)++;
}
FEDTINY_INLINE fedtiny_pixels fedtiny_pixels_load(const int8_t *from) {
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}
FEDTINY_INLINE void fedtiny_pixels_load2(const int8_t *from, int first, fedtiny_pixels *a,
                                         fedtiny_pixels *b) {
    *a = fedtiny_pixels_load(from + first);
    *b = fedtiny_pixels_load(from + first + FEDTINY_PIXELS);
}
FEDTINY_INLINE fedtiny_sum16 fedtiny_products(fedtiny_pixels x, fedtiny_weight w) {
    return _mm256_mullo_epi16(_mm256_cvtepi8_epi16(x), _mm256_set1_epi16(w));
}
FEDTINY_INLINE void fedtiny_add_products(fedtiny_sum16 *sum, fedtiny_pixels x, fedtiny_weight w) {
    *sum = _mm256_add_epi16(*sum, fedtiny_products(x, w));
}
FEDTINY_INLINE fedtiny_sum32 fedtiny_start(int32_t value) {
    const fedtiny_sum32 sum = {{_mm256_set1_epi32(value), _mm256_set1_epi32(value)}};
    return sum;
}
FEDTINY_INLINE fedtiny_sum32 fedtiny_with(fedtiny_sum32 sum, fedtiny_sum16 part) {
    const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(part));
    const __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(part, 1));
    sum.part[0] = _mm256_add_epi32(sum.part[0], low);
    sum.part[1] = _mm256_add_epi32(sum.part[1], high);
    return sum;
}
FEDTINY_INLINE int32_t fedtiny_total(const fedtiny_sum32 *sum) {
    int32_t lane[8], total = 0;
    _mm256_storeu_si256((__m256i *)(void *)lane, _mm256_add_epi32(sum->part[0], sum->part[1]));
    for (int i = 0; i < 8; i++) {
        total += lane[i];
    }
    return total;
}
/* fedtiny_multiply of eight numbers; the shift is not positive. Without `ties` halves of negative
 * numbers are rounded up. */
FEDTINY_INLINE __m256i fedtiny_scale8(__m256i x, int32_t multiplier, int32_t shift, int ties) {
    const __m256i m = _mm256_set1_epi32(multiplier), half = _mm256_set1_epi64x(1 << 30);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, m), half);
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), m), half);
    __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA);
    if (shift == 0) {
        return high;
    }
    high = ties ? _mm256_add_epi32(high, _mm256_srai_epi32(high, 31)) : high;
    high = _mm256_add_epi32(high, _mm256_set1_epi32(1 << (-shift - 1)));
    return _mm256_sra_epi32(high, _mm_cvtsi32_si128(-shift));
}
/* Sixteen numbers of 32 bits as int8, saturated, after a sum with the zero point. */
FEDTINY_INLINE void fedtiny_store_narrow(int8_t *out, __m256i first, __m256i second,
                                         int32_t zero_point, int32_t low, int32_t high) {
    const __m256i mixed = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xD8);
    const __m256i wide = _mm256_adds_epi16(mixed, _mm256_set1_epi16((int16_t)zero_point));
    __m128i narrow =
        _mm_packs_epi16(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    narrow = _mm_max_epi8(narrow, _mm_set1_epi8((int8_t)low));
    narrow = _mm_min_epi8(narrow, _mm_set1_epi8((int8_t)high));
    _mm_storeu_si128((__m128i *)(void *)out, narrow);
}
FEDTINY_INLINE void fedtiny_store_pixels(int8_t *out, const fedtiny_sum32 *sum,
                                         const fedtiny_scaling *s) {
    fedtiny_store_narrow(out, fedtiny_scale8(sum->part[0], s->multiplier, s->shift, s->ties),
                         fedtiny_scale8(sum->part[1], s->multiplier, s->shift, s->ties),
                         s->zero_point, s->ties ? -128 : s->low, s->ties ? 127 : s->high);
}

#else

typedef struct {
    int8_t lane[FEDTINY_PIXELS];
} fedtiny_pixels;

typedef int16_t fedtiny_weight;

typedef struct {
    int16_t lane[FEDTINY_PIXELS];
} fedtiny_sum16;

typedef struct {
    int32_t lane[FEDTINY_PIXELS];
} fedtiny_sum32;

FEDTINY_INLINE fedtiny_weight fedtiny_weight_all(const int8_t *weight) {
    return *weight;
}
FEDTINY_INLINE fedtiny_weight fedtiny_weight_next(const int8_t **weight) {
    return *(*weight)++;
}
FEDTINY_INLINE fedtiny_pixels fedtiny_pixels_load(const int8_t *from) {
    fedtiny_pixels pixels;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        pixels.lane[i] = from[i];
    }
    return pixels;
}
FEDTINY_INLINE void fedtiny_pixels_load2(const int8_t *from, int first, fedtiny_pixels *a,
                                         fedtiny_pixels *b) {
    *a = fedtiny_pixels_load(from + first);
    *b = fedtiny_pixels_load(from + first + FEDTINY_PIXELS);
}
FEDTINY_INLINE fedtiny_sum16 fedtiny_products(fedtiny_pixels x, fedtiny_weight w) {
    fedtiny_sum16 sum;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum.lane[i] = (int16_t)(x.lane[i] * w);
    }
    return sum;
}
FEDTINY_INLINE void fedtiny_add_products(fedtiny_sum16 *sum, fedtiny_pixels x, fedtiny_weight w) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum->lane[i] = (int16_t)(sum->lane[i] + x.lane[i] * w);
    }
}
FEDTINY_INLINE fedtiny_sum32 fedtiny_start(int32_t value) {
    fedtiny_sum32 sum;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum.lane[i] = value;
    }
    return sum;
}
FEDTINY_INLINE fedtiny_sum32 fedtiny_with(fedtiny_sum32 sum, fedtiny_sum16 part) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum.lane[i] += part.lane[i];
    }
    return sum;
}
FEDTINY_INLINE int32_t fedtiny_total(const fedtiny_sum32 *sum) {
    int32_t total = 0;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        total += sum->lane[i];
    }
    return total;
}
FEDTINY_INLINE void fedtiny_store_pixels(int8_t *out, const fedtiny_sum32 *sum,
                                         const fedtiny_scaling *s) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        const int32_t value = fedtiny_multiply(sum->lane[i], s->multiplier, s->shift);
        out[i] = (int8_t)fedtiny_clamp_s32(value + s->zero_point, s->ties ? -128 : s->low,
                                           s->ties ? 127 : s->high);
    }
}

#endif

/* `count` vectors of pixels in a row. */
FEDTINY_INLINE void fedtiny_pixels_load_run(const int8_t *from, fedtiny_pixels *run, int count) {
    FEDTINY_UNROLL
    for (int i = 0; i + 1 < count; i += 2) {
        fedtiny_pixels_load2(from, i * FEDTINY_PIXELS, &run[i], &run[i + 1]);
    }
    if (count % 2 != 0) {
        run[count - 1] = fedtiny_pixels_load(from + (count - 1) * FEDTINY_PIXELS);
    }
}

#endif
