/* Vectors of floats in a few words: NEON, AVX2 with FMA, or plain C that gives the same numbers.
 *
 * What a vector is, is decided when this is compiled. Products are fused into sums and every lane
 * sums on its own, so that results do not depend on how many lanes there are. */
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

FEDTINY_INLINE fedtiny_v fedtiny_v_all(const float *value) {
    return vld1q_dup_f32(value);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_load(const float *from) {
    return vld1q_f32(from);
}
FEDTINY_INLINE void fedtiny_v_store(float *to, fedtiny_v v) {
    vst1q_f32(to, v);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_add(fedtiny_v a, fedtiny_v b) {
    return vaddq_f32(a, b);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_fma(fedtiny_v sum, fedtiny_v a, fedtiny_v b) {
    return vfmaq_f32(sum, a, b);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_clamp(fedtiny_v v, fedtiny_v low, fedtiny_v high) {
    return vminq_f32(vmaxq_f32(v, low), high);
}
/* The two vectors from element `first` (a constant) on, by one instruction: compilers rarely pair
 * loads. */
FEDTINY_INLINE void fedtiny_v_load2(const float *from, int first, fedtiny_v *a, fedtiny_v *b) {
    __asm__("ldp %q0, %q1, [%2, %3]"
            : "=&w"(*a), "=w"(*b)
            : "r"(from), "i"(4 * first), "m"(*(const float (*)[128])from));
}
/* Elements 0, 2, 4, ... and 1, 3, 5, ... of two vectors. */
FEDTINY_INLINE void fedtiny_v_split(const float *from, fedtiny_v *even, fedtiny_v *odd) {
    const float32x4x2_t both = vld2q_f32(from);
    *even = both.val[0];
    *odd = both.val[1];
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

enum { FEDTINY_LANES = 8 };
typedef __m256 fedtiny_v;

FEDTINY_INLINE fedtiny_v fedtiny_v_all(const float *value) {
    return _mm256_broadcast_ss(value);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_load(const float *from) {
    return _mm256_loadu_ps(from);
}
FEDTINY_INLINE void fedtiny_v_store(float *to, fedtiny_v v) {
    _mm256_storeu_ps(to, v);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_add(fedtiny_v a, fedtiny_v b) {
    return _mm256_add_ps(a, b);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_fma(fedtiny_v sum, fedtiny_v a, fedtiny_v b) {
    return _mm256_fmadd_ps(a, b, sum);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_clamp(fedtiny_v v, fedtiny_v low, fedtiny_v high) {
    return _mm256_min_ps(_mm256_max_ps(v, low), high);
}
FEDTINY_INLINE void fedtiny_v_load2(const float *from, int first, fedtiny_v *a, fedtiny_v *b) {
    *a = _mm256_loadu_ps(from + first);
    *b = _mm256_loadu_ps(from + first + 8);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_in_order(__m256 mixed) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
FEDTINY_INLINE void fedtiny_v_split(const float *from, fedtiny_v *even, fedtiny_v *odd) {
    const __m256 a = _mm256_loadu_ps(from), b = _mm256_loadu_ps(from + 8);
    *even = fedtiny_v_in_order(_mm256_shuffle_ps(a, b, 0x88));
    *odd = fedtiny_v_in_order(_mm256_shuffle_ps(a, b, 0xdd));
}

#else

#include <math.h>

enum { FEDTINY_LANES = 1 };
typedef float fedtiny_v;

FEDTINY_INLINE fedtiny_v fedtiny_v_all(const float *value) {
    return *value;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_load(const float *from) {
    return *from;
}
FEDTINY_INLINE void fedtiny_v_store(float *to, fedtiny_v v) {
    *to = v;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_add(fedtiny_v a, fedtiny_v b) {
    return a + b;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_fma(fedtiny_v sum, fedtiny_v a, fedtiny_v b) {
    return fmaf(a, b, sum);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_clamp(fedtiny_v v, fedtiny_v low, fedtiny_v high) {
    v = v < low ? low : v;
    return v > high ? high : v;
}
FEDTINY_INLINE void fedtiny_v_load2(const float *from, int first, fedtiny_v *a, fedtiny_v *b) {
    *a = from[first];
    *b = from[first + 1];
}
FEDTINY_INLINE void fedtiny_v_split(const float *from, fedtiny_v *even, fedtiny_v *odd) {
    *even = from[0];
    *odd = from[1];
}

#endif

/* Vectors that one tile keeps in registers: those that leave room for operands. */
#if defined(__aarch64__) && defined(__clang__)
enum { FEDTINY_TILE = 20 }; /* it spills when there are more */
#elif defined(__aarch64__)
enum { FEDTINY_TILE = 24 };
#else
enum { FEDTINY_TILE = 12 };
#endif

#endif
