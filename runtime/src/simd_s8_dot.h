/* Dot products of four int8 with four, for sixteen pixels at a time: NEON on AArch64, or the same
 * numbers by single products.
 *
 * Functions marked FEDTINY_DOT may use the instructions wherever the file is compiled for; a caller
 * asks first whether the core has them, or is only built for cores that do. */
#ifndef FEDTINY_SIMD_S8_DOT_H
#define FEDTINY_SIMD_S8_DOT_H

#include "simd_s8.h"

#if defined(__aarch64__) && defined(__ARM_NEON)

#if defined(__ARM_FEATURE_DOTPROD)
#define FEDTINY_DOT
#elif defined(__clang__)
#define FEDTINY_DOT __attribute__((target("dotprod")))
#else
#define FEDTINY_DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

#define FEDTINY_DOT_INLINE FEDTINY_DOT static inline __attribute__((always_inline))

/* Four taps of sixteen pixels: part p holds pixels 4p .. 4p + 3. */
typedef struct {
    int8x16_t part[4];
} fedtiny_mixed;

FEDTINY_DOT_INLINE fedtiny_mixed fedtiny_mix(fedtiny_pixels a, fedtiny_pixels b, fedtiny_pixels c,
                                             fedtiny_pixels d) {
    const int8x16_t ac_low = vzip1q_s8(a, c), ac_high = vzip2q_s8(a, c);
    const int8x16_t bd_low = vzip1q_s8(b, d), bd_high = vzip2q_s8(b, d);
    const fedtiny_mixed mixed = {{vzip1q_s8(ac_low, bd_low), vzip2q_s8(ac_low, bd_low),
                                  vzip1q_s8(ac_high, bd_high), vzip2q_s8(ac_high, bd_high)}};
    return mixed;
}
FEDTINY_DOT_INLINE void fedtiny_mixed_store(int8_t *to, fedtiny_mixed mixed) {
    FEDTINY_UNROLL
    for (int i = 0; i < 4; i++) {
        vst1q_s8(to + 16 * i, mixed.part[i]);
    }
}
FEDTINY_DOT_INLINE fedtiny_mixed fedtiny_mixed_load(const int8_t *from) {
    fedtiny_mixed mixed;
    fedtiny_pixels_load2(from, 0, &mixed.part[0], &mixed.part[1]);
    fedtiny_pixels_load2(from, 32, &mixed.part[2], &mixed.part[3]);
    return mixed;
}
typedef int8x16_t fedtiny_four;
/* Four weights, for every pixel the same. They never change: no memory is named. */
FEDTINY_INLINE fedtiny_four fedtiny_weights4(const int8_t **weight) {
    fedtiny_four all;
    const int8_t *at = *weight;
    __asm__("ld1r {%0.4s}, [%1], #4" : "=w"(all), "+r"(at));
    *weight = at;
    return all;
}
FEDTINY_DOT_INLINE fedtiny_sum32 fedtiny_dot(fedtiny_sum32 sum, fedtiny_mixed x, fedtiny_pixels w) {
    FEDTINY_UNROLL
    for (int i = 0; i < 4; i++) {
        sum.part[i] = vdotq_s32(sum.part[i], x.part[i], w);
    }
    return sum;
}

#else

#define FEDTINY_DOT
#define FEDTINY_DOT_INLINE FEDTINY_INLINE

typedef struct {
    fedtiny_pixels tap[4];
} fedtiny_mixed;

FEDTINY_DOT_INLINE fedtiny_mixed fedtiny_mix(fedtiny_pixels a, fedtiny_pixels b, fedtiny_pixels c,
                                             fedtiny_pixels d) {
    const fedtiny_mixed mixed = {{a, b, c, d}};
    return mixed;
}
FEDTINY_DOT_INLINE void fedtiny_mixed_store(int8_t *to, fedtiny_mixed mixed) {
    for (int tap = 0; tap < 4; tap++) {
        __builtin_memcpy(to + tap * FEDTINY_PIXELS, &mixed.tap[tap], FEDTINY_PIXELS);
    }
}
FEDTINY_DOT_INLINE fedtiny_mixed fedtiny_mixed_load(const int8_t *from) {
    fedtiny_mixed mixed;
    for (int tap = 0; tap < 4; tap++) {
        mixed.tap[tap] = fedtiny_pixels_load(from + tap * FEDTINY_PIXELS);
    }
    return mixed;
}
typedef const int8_t *fedtiny_four;
FEDTINY_INLINE fedtiny_four fedtiny_weights4(const int8_t **weight) {
    *weight += 4;
    return *weight - 4;
}
FEDTINY_INLINE fedtiny_sum32 fedtiny_dot(fedtiny_sum32 sum, fedtiny_mixed x, fedtiny_four w) {
    for (int tap = 0; tap < 4; tap++) {
        sum = fedtiny_with(sum, fedtiny_products(x.tap[tap], fedtiny_weight_all(w + tap)));
    }
    return sum;
}

#endif

#endif
