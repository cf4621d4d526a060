/* Two nonzeros at a time over thirty-two pixels: AVX2, or plain C that gives the same numbers.
 *
 * Pixels are unsigned (int8 plus 128). The products of a group of nonzeros, whose positive and
 * whose negative weights have magnitudes of at most 128 in sum, add up in 16 bits:
 * 255 * 128 < 2^15. */
#ifndef FEDTINY_SIMD_S8_PAIRS_H
#define FEDTINY_SIMD_S8_PAIRS_H

#include "simd_s8.h"

enum { FEDTINY_WIDE = 32 };

#if defined(__AVX2__) && defined(__FMA__)

/* 16-bit sums of the lower and the upper eight pixels of each half. */
typedef struct {
    __m256i part[2];
} fedtiny_wide16;

/* 32-bit sums, four pixels of each half in a vector. */
typedef struct {
    __m256i part[4];
} fedtiny_wide32;

/* The weights of two nonzeros, alternating. */
typedef __m256i fedtiny_weight_pair;

FEDTINY_INLINE fedtiny_weight_pair fedtiny_weight_pair_load(const int8_t *from) {
    int32_t both;
    __builtin_memcpy(&both, from, sizeof both);
    return _mm256_set1_epi32(both);
}
FEDTINY_INLINE fedtiny_wide16 fedtiny_pair_products(const uint8_t *first, const uint8_t *second,
                                                    fedtiny_weight_pair w) {
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)first);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)second);
    __asm__("" : "+x"(b)); /* loaded once: lines of the cache are split often */
    const fedtiny_wide16 sum = {{_mm256_maddubs_epi16(_mm256_unpacklo_epi8(a, b), w),
                                 _mm256_maddubs_epi16(_mm256_unpackhi_epi8(a, b), w)}};
    return sum;
}
FEDTINY_INLINE fedtiny_wide16 fedtiny_wide16_add(fedtiny_wide16 a, fedtiny_wide16 b) {
    const fedtiny_wide16 sum = {
        {_mm256_add_epi16(a.part[0], b.part[0]), _mm256_add_epi16(a.part[1], b.part[1])}};
    return sum;
}
FEDTINY_INLINE fedtiny_wide16 fedtiny_wide16_none(void) {
    const fedtiny_wide16 none = {{_mm256_setzero_si256(), _mm256_setzero_si256()}};
    return none;
}
FEDTINY_INLINE fedtiny_wide32 fedtiny_wide32_start(int32_t value) {
    const __m256i all = _mm256_set1_epi32(value);
    const fedtiny_wide32 sum = {{all, all, all, all}};
    return sum;
}
/* sum + a + b */
FEDTINY_INLINE fedtiny_wide32 fedtiny_wide32_with(fedtiny_wide32 sum, fedtiny_wide16 a,
                                                  fedtiny_wide16 b) {
    const __m256i ones = _mm256_set1_epi16(1);
    FEDTINY_UNROLL
    for (int i = 0; i < 2; i++) {
        const __m256i low = _mm256_unpacklo_epi16(a.part[i], b.part[i]);
        const __m256i high = _mm256_unpackhi_epi16(a.part[i], b.part[i]);
        sum.part[2 * i] = _mm256_add_epi32(sum.part[2 * i], _mm256_madd_epi16(low, ones));
        sum.part[2 * i + 1] = _mm256_add_epi32(sum.part[2 * i + 1], _mm256_madd_epi16(high, ones));
    }
    return sum;
}
/* The first 16 pixels or all 32. */
FEDTINY_INLINE void fedtiny_wide32_store(int8_t *out, fedtiny_wide32 sum, int half,
                                         const fedtiny_scaling *s) {
    FEDTINY_UNROLL
    for (int i = 0; i < 4; i++) {
        sum.part[i] = fedtiny_scale8(sum.part[i], s->multiplier, s->shift, s->ties);
    }
    const __m256i zero = _mm256_set1_epi16((int16_t)s->zero_point);
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(sum.part[0], sum.part[1]), zero);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(sum.part[2], sum.part[3]), zero);
    __m256i value = _mm256_packs_epi16(low, high);
    if (!s->ties) {
        value = _mm256_max_epi8(value, _mm256_set1_epi8((int8_t)s->low));
        value = _mm256_min_epi8(value, _mm256_set1_epi8((int8_t)s->high));
    }
    if (half) {
        _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(value));
    } else {
        _mm256_storeu_si256((__m256i *)(void *)out, value);
    }
}
/* to = from + 128 as unsigned numbers; `bytes` is a multiple of 16. */
FEDTINY_INLINE void fedtiny_make_unsigned(uint8_t *to, const uint8_t *from, size_t bytes) {
    const __m128i sign = _mm_set1_epi8(-128);
    for (size_t i = 0; i < bytes; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
        _mm_storeu_si128((__m128i *)(void *)(to + i), _mm_xor_si128(x, sign));
    }
}

#else

typedef struct {
    int16_t lane[FEDTINY_WIDE];
} fedtiny_wide16;

typedef struct {
    int32_t lane[FEDTINY_WIDE];
} fedtiny_wide32;

typedef const int8_t *fedtiny_weight_pair;

FEDTINY_INLINE fedtiny_weight_pair fedtiny_weight_pair_load(const int8_t *from) {
    return from;
}
FEDTINY_INLINE fedtiny_wide16 fedtiny_pair_products(const uint8_t *first, const uint8_t *second,
                                                    fedtiny_weight_pair w) {
    fedtiny_wide16 sum;
    for (int i = 0; i < FEDTINY_WIDE; i++) {
        sum.lane[i] = (int16_t)(first[i] * w[0] + second[i] * w[1]);
    }
    return sum;
}
FEDTINY_INLINE fedtiny_wide16 fedtiny_wide16_add(fedtiny_wide16 a, fedtiny_wide16 b) {
    for (int i = 0; i < FEDTINY_WIDE; i++) {
        a.lane[i] = (int16_t)(a.lane[i] + b.lane[i]);
    }
    return a;
}
FEDTINY_INLINE fedtiny_wide16 fedtiny_wide16_none(void) {
    const fedtiny_wide16 none = {{0}};
    return none;
}
FEDTINY_INLINE fedtiny_wide32 fedtiny_wide32_start(int32_t value) {
    fedtiny_wide32 sum;
    for (int i = 0; i < FEDTINY_WIDE; i++) {
        sum.lane[i] = value;
    }
    return sum;
}
FEDTINY_INLINE fedtiny_wide32 fedtiny_wide32_with(fedtiny_wide32 sum, fedtiny_wide16 a,
                                                  fedtiny_wide16 b) {
    for (int i = 0; i < FEDTINY_WIDE; i++) {
        sum.lane[i] = (int32_t)((uint32_t)sum.lane[i] + (uint32_t)(a.lane[i] + b.lane[i]));
    }
    return sum;
}
FEDTINY_INLINE void fedtiny_wide32_store(int8_t *out, fedtiny_wide32 sum, int half,
                                         const fedtiny_scaling *s) {
    for (int i = 0; i < (half ? FEDTINY_WIDE / 2 : FEDTINY_WIDE); i++) {
        const int32_t value = fedtiny_multiply(sum.lane[i], s->multiplier, s->shift);
        out[i] = (int8_t)fedtiny_clamp_s32(value + s->zero_point, s->ties ? -128 : s->low,
                                           s->ties ? 127 : s->high);
    }
}
FEDTINY_INLINE void fedtiny_make_unsigned(uint8_t *to, const uint8_t *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        to[i] = from[i] ^ 0x80u;
    }
}

#endif

#endif
