/* Vectors of samples: everything is computed for LANES samples side by side, so that a weight is
 * one scalar over aligned vectors, whatever the stride or the size of the map. */
#ifndef FEDTINY_TRAINING_LANES_H
#define FEDTINY_TRAINING_LANES_H

#include <stdint.h>

#ifdef __AVX__
#define LANES 8
#else
#define LANES 4
#endif

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), may_alias));

#define INLINE static inline __attribute__((always_inline))

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

INLINE vec load(const float *from) {
    return *(const vec *)from;
}
INLINE void store(float *to, vec value) {
    *(vec *)to = value;
}
INLINE vec zero(void) {
    return (vec){0};
}
INLINE vec all(float value) {
    return value - zero();
}
INLINE vec where(ivec mask, vec value) {
    return (vec)(mask & (ivec)value);
}
INLINE vec either(ivec mask, vec value, vec other) {
    return (vec)((mask & (ivec)value) | (~mask & (ivec)other));
}
INLINE vec above_zero(vec value) {
    return where(value > 0, value);
}

INLINE float sum(vec value) {
    float total = 0;
    for (int i = 0; i < LANES; i++)
        total += value[i];
    return total;
}

#endif
