/* Saturation to int8, one instruction on cores that have SSAT. */
#ifndef FEDTINY_SATURATE_H
#define FEDTINY_SATURATE_H

#include "kernel.h"

#if defined(__ARM_FEATURE_SAT)
#include <arm_acle.h>
#endif

static inline int8_t fedtiny_saturate_s8(int32_t value) {
#if defined(__ARM_FEATURE_SAT)
    return (int8_t)__ssat(value, 8);
#else
    return (int8_t)fedtiny_clamp_s32(value, INT8_MIN, INT8_MAX);
#endif
}

#endif
