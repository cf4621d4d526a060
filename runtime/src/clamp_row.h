/* Clamps a finished row, four outputs at a time on cores that have SSUB8 and SEL. */
#ifndef FEDTINY_CLAMP_ROW_H
#define FEDTINY_CLAMP_ROW_H

#include "kernel.h"

#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#endif

static inline void fedtiny_clamp_row(int8_t *row, int32_t count, int32_t low, int32_t high) {
    if (low == INT8_MIN && high == INT8_MAX) {
        return; /* what kernels saturate to */
    }
#if defined(__ARM_FEATURE_SIMD32)
    const uint32_t least = (uint8_t)low * 0x01010101u, most = (uint8_t)high * 0x01010101u;
    for (; count >= 4; count -= 4, row += 4) {
        uint32_t four;
        __builtin_memcpy(&four, row, sizeof four);
        (void)__ssub8((int8x4_t)four, (int8x4_t)least);
        four = __sel(four, least);
        (void)__ssub8((int8x4_t)most, (int8x4_t)four);
        four = __sel(four, most);
        __builtin_memcpy(row, &four, sizeof four);
    }
#endif
    for (; count > 0; count--, row++) {
        *row = (int8_t)fedtiny_clamp_s32(*row, low, high);
    }
}

#endif
