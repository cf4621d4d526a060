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
