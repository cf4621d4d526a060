/* What every kernel needs: access to its constants, and clamps. */
#ifndef FEDTINY_KERNEL_H
#define FEDTINY_KERNEL_H

#include "fedtiny/kernels.h"

/* A function of its own: shared by its callers, or kept off the stack of others. */
#if defined(__GNUC__)
#define FEDTINY_SEPARATE __attribute__((noinline))
#else
#define FEDTINY_SEPARATE
#endif

/* A constant of the layer, or NULL when it has none. */
static inline const void *fedtiny_constant(const fedtiny_call *call, uint32_t offset) {
    return offset == FEDTINY_ABSENT ? NULL : call->constants + offset;
}

static inline int32_t fedtiny_clamp_s32(int32_t value, int32_t low, int32_t high) {
    value = value < low ? low : value;
    return value > high ? high : value;
}

static inline float fedtiny_clamp_f32(float value, float low, float high) {
    value = value < low ? low : value;
    return value > high ? high : value;
}

#endif
