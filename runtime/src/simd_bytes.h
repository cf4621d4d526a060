/* Vectors of sixteen bytes that are only moved. */
#ifndef FEDTINY_SIMD_BYTES_H
#define FEDTINY_SIMD_BYTES_H

#include "simd.h"

#include <stdint.h>

enum { FEDTINY_BYTES = 16 };

#if defined(__ARM_NEON)

typedef uint8x16_t fedtiny_bytes;

FEDTINY_INLINE fedtiny_bytes fedtiny_bytes_all(uint32_t value) {
    return vreinterpretq_u8_u32(vdupq_n_u32(value));
}
FEDTINY_INLINE void fedtiny_bytes_store(uint8_t *to, fedtiny_bytes v) {
    vst1q_u8(to, v);
}
/* Elements 0, 2, 4, ... and 1, 3, 5, ... of two vectors. */
FEDTINY_INLINE void fedtiny_bytes_split(const uint8_t *from, fedtiny_bytes *even,
                                        fedtiny_bytes *odd, size_t element_bytes) {
    if (element_bytes == 1) {
        const uint8x16x2_t both = vld2q_u8(from);
        *even = both.val[0];
        *odd = both.val[1];
    } else {
        const uint32x4x2_t both = vld2q_u32((const uint32_t *)(const void *)from);
        *even = vreinterpretq_u8_u32(both.val[0]);
        *odd = vreinterpretq_u8_u32(both.val[1]);
    }
}
/* Elements 0, 3, 6, ..., 1, 4, 7, ... and 2, 5, 8, ... of three vectors. */
FEDTINY_INLINE void fedtiny_bytes_split3(const uint8_t *from, fedtiny_bytes *part,
                                         size_t element_bytes) {
    if (element_bytes == 1) {
        const uint8x16x3_t all = vld3q_u8(from);
        part[0] = all.val[0];
        part[1] = all.val[1];
        part[2] = all.val[2];
    } else {
        const uint32x4x3_t all = vld3q_u32((const uint32_t *)(const void *)from);
        part[0] = vreinterpretq_u8_u32(all.val[0]);
        part[1] = vreinterpretq_u8_u32(all.val[1]);
        part[2] = vreinterpretq_u8_u32(all.val[2]);
    }
}

#elif defined(__AVX2__)

#include <immintrin.h>

typedef __m128i fedtiny_bytes;

FEDTINY_INLINE fedtiny_bytes fedtiny_bytes_all(uint32_t value) {
    return _mm_set1_epi32((int)value);
}
FEDTINY_INLINE fedtiny_bytes fedtiny_bytes_load(const uint8_t *from) {
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}
FEDTINY_INLINE void fedtiny_bytes_store(uint8_t *to, fedtiny_bytes v) {
    _mm_storeu_si128((__m128i *)(void *)to, v);
}
FEDTINY_INLINE void fedtiny_bytes_split(const uint8_t *from, fedtiny_bytes *even,
                                        fedtiny_bytes *odd, size_t element_bytes) {
    const __m128i a = fedtiny_bytes_load(from), b = fedtiny_bytes_load(from + FEDTINY_BYTES);
    if (element_bytes == 1) {
        const __m128i low = _mm_set1_epi16(0xFF);
        *even = _mm_packus_epi16(_mm_and_si128(a, low), _mm_and_si128(b, low));
        *odd = _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8));
    } else {
        const __m128 x = _mm_castsi128_ps(a), y = _mm_castsi128_ps(b);
        *even = _mm_castps_si128(_mm_shuffle_ps(x, y, 0x88));
        *odd = _mm_castps_si128(_mm_shuffle_ps(x, y, 0xDD));
    }
}
FEDTINY_INLINE void fedtiny_bytes_split3(const uint8_t *from, fedtiny_bytes *part,
                                         size_t element_bytes) {
    /* By part and vector, the byte that goes to each place; -1: none. */
    static const int8_t place[3][3][FEDTINY_BYTES] = {
        {{0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
         {-1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1},
         {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13}},
        {{1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
         {-1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1},
         {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14}},
        {{2, 5, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
         {-1, -1, -1, -1, -1, 1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1},
         {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15}}};
    __m128i x[3];
    FEDTINY_UNROLL
    for (int v = 0; v < 3; v++) {
        x[v] = fedtiny_bytes_load(from + v * FEDTINY_BYTES);
    }
    if (element_bytes == 4) {
        part[0] = _mm_blend_epi32(_mm_blend_epi32(x[0], x[1], 4), x[2], 2);
        part[1] = _mm_blend_epi32(_mm_blend_epi32(x[1], x[0], 2), x[2], 4);
        part[2] = _mm_blend_epi32(_mm_blend_epi32(x[2], x[1], 2), x[0], 4);
        part[0] = _mm_shuffle_epi32(part[0], _MM_SHUFFLE(1, 2, 3, 0));
        part[1] = _mm_shuffle_epi32(part[1], _MM_SHUFFLE(2, 3, 0, 1));
        part[2] = _mm_shuffle_epi32(part[2], _MM_SHUFFLE(3, 0, 1, 2));
        return;
    }
    FEDTINY_UNROLL
    for (int k = 0; k < 3; k++) {
        part[k] = _mm_setzero_si128();
        FEDTINY_UNROLL
        for (int v = 0; v < 3; v++) {
            const __m128i where = _mm_loadu_si128((const __m128i *)(const void *)place[k][v]);
            part[k] = _mm_or_si128(part[k], _mm_shuffle_epi8(x[v], where));
        }
    }
}

#else

typedef struct {
    uint8_t byte[FEDTINY_BYTES];
} fedtiny_bytes;

FEDTINY_INLINE fedtiny_bytes fedtiny_bytes_all(uint32_t value) {
    fedtiny_bytes all;
    for (int i = 0; i < FEDTINY_BYTES; i += 4) {
        __builtin_memcpy(all.byte + i, &value, 4);
    }
    return all;
}
FEDTINY_INLINE void fedtiny_bytes_store(uint8_t *to, fedtiny_bytes v) {
    __builtin_memcpy(to, v.byte, FEDTINY_BYTES);
}
FEDTINY_INLINE void fedtiny_bytes_split(const uint8_t *from, fedtiny_bytes *even,
                                        fedtiny_bytes *odd, size_t element_bytes) {
    for (size_t i = 0; i < FEDTINY_BYTES; i += element_bytes) {
        __builtin_memcpy(even->byte + i, from + 2 * i, element_bytes);
        __builtin_memcpy(odd->byte + i, from + 2 * i + element_bytes, element_bytes);
    }
}
FEDTINY_INLINE void fedtiny_bytes_split3(const uint8_t *from, fedtiny_bytes *part,
                                         size_t element_bytes) {
    for (size_t i = 0; i < FEDTINY_BYTES; i += element_bytes) {
        for (size_t k = 0; k < 3; k++) {
            __builtin_memcpy(part[k].byte + i, from + 3 * i + k * element_bytes, element_bytes);
        }
    }
}

#endif

FEDTINY_INLINE void fedtiny_bytes_copy_element(uint8_t *to, const uint8_t *from,
                                               size_t element_bytes) {
    if (element_bytes == 1) {
        *to = *from;
    } else {
        __builtin_memcpy(to, from, 4);
    }
}
FEDTINY_INLINE void fedtiny_bytes_store_element(uint8_t *to, uint32_t value, size_t element_bytes) {
    if (element_bytes == 1) {
        *to = (uint8_t)value;
    } else {
        __builtin_memcpy(to, &value, 4);
    }
}

#endif
