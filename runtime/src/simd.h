/* Vectors of floats in a few words: NEON, AVX2 with FMA, or plain C that gives the same numbers.
 *
 * What a vector is, is decided when this is compiled. Sums of products are fused and every lane sums
 * on its own, so that results do not depend on how many lanes there are. */
#ifndef FEDTINY_SIMD_H
#define FEDTINY_SIMD_H

#include <stddef.h>

#define FEDTINY_INLINE static inline __attribute__((always_inline))

/* Before a loop over an array that must become registers. */
#if defined(__clang__)
#define FEDTINY_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FEDTINY_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>

enum { FEDTINY_LANES = 4 };
typedef float32x4_t fedtiny_v;

FEDTINY_INLINE fedtiny_v fedtiny_v_all(const float *value) { return vld1q_dup_f32(value); }
FEDTINY_INLINE fedtiny_v fedtiny_v_load(const float *from) { return vld1q_f32(from); }
FEDTINY_INLINE void fedtiny_v_store(float *to, fedtiny_v v) { vst1q_f32(to, v); }
FEDTINY_INLINE fedtiny_v fedtiny_v_add(fedtiny_v a, fedtiny_v b) { return vaddq_f32(a, b); }
FEDTINY_INLINE fedtiny_v fedtiny_v_fma(fedtiny_v sum, fedtiny_v a, fedtiny_v b) {
    return vfmaq_f32(sum, a, b);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_clamp(fedtiny_v v, fedtiny_v low, fedtiny_v high) {
    return vminq_f32(vmaxq_f32(v, low), high);
}
/* Elements 0, 2, 4, ... of 2 * FEDTINY_LANES. */
FEDTINY_INLINE fedtiny_v fedtiny_v_even(const float *from) {
    return vuzp1q_f32(vld1q_f32(from), vld1q_f32(from + 4));
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

enum { FEDTINY_LANES = 8 };
typedef __m256 fedtiny_v;

FEDTINY_INLINE fedtiny_v fedtiny_v_all(const float *value) { return _mm256_broadcast_ss(value); }
FEDTINY_INLINE fedtiny_v fedtiny_v_load(const float *from) { return _mm256_loadu_ps(from); }
FEDTINY_INLINE void fedtiny_v_store(float *to, fedtiny_v v) { _mm256_storeu_ps(to, v); }
FEDTINY_INLINE fedtiny_v fedtiny_v_add(fedtiny_v a, fedtiny_v b) { return _mm256_add_ps(a, b); }
FEDTINY_INLINE fedtiny_v fedtiny_v_fma(fedtiny_v sum, fedtiny_v a, fedtiny_v b) {
    return _mm256_fmadd_ps(a, b, sum);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_clamp(fedtiny_v v, fedtiny_v low, fedtiny_v high) {
    return _mm256_min_ps(_mm256_max_ps(v, low), high);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_even(const float *from) {
    const __m256 a = _mm256_loadu_ps(from), b = _mm256_loadu_ps(from + 8);
    const __m256d mixed = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(mixed, 0xd8));
}

#else

#include <math.h>

enum { FEDTINY_LANES = 1 };
typedef float fedtiny_v;

FEDTINY_INLINE fedtiny_v fedtiny_v_all(const float *value) { return *value; }
FEDTINY_INLINE fedtiny_v fedtiny_v_load(const float *from) { return *from; }
FEDTINY_INLINE void fedtiny_v_store(float *to, fedtiny_v v) { *to = v; }
FEDTINY_INLINE fedtiny_v fedtiny_v_add(fedtiny_v a, fedtiny_v b) { return a + b; }
FEDTINY_INLINE fedtiny_v fedtiny_v_fma(fedtiny_v sum, fedtiny_v a, fedtiny_v b) {
    return fmaf(a, b, sum);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_clamp(fedtiny_v v, fedtiny_v low, fedtiny_v high) {
    v = v < low ? low : v;
    return v > high ? high : v;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_even(const float *from) { return *from; }

#endif

/* Vectors that one tile keeps in registers: those that leave room for operands. */
#if defined(__aarch64__)
enum { FEDTINY_TILE = 24 };
#else
enum { FEDTINY_TILE = 12 };
#endif

#endif
