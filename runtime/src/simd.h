/* Vectors of floats in a few words: NEON, AVX2 with FMA, or plain C that gives the same numbers.
 *
 * What a vector is, is decided when this is compiled. Products are fused into sums and every lane
 * sums on its own, so that results do not depend on how many lanes there are. */
#ifndef FEDTINY_SIMD_H
#define FEDTINY_SIMD_H

#include <stddef.h>
#include <stdint.h>

#define FEDTINY_INLINE static inline __attribute__((always_inline))

/* Asks for what will be read soon, so many bytes further on; it need not exist. */
#if defined(__AVX2__) && defined(__FMA__)
FEDTINY_INLINE void fedtiny_prefetch(const void *from, size_t bytes) {
    __builtin_prefetch((const void *)((uintptr_t)from + bytes));
}
#else
FEDTINY_INLINE void fedtiny_prefetch(const void *from, size_t bytes) {
    (void)from;
    (void)bytes;
}
#endif

/* Before a loop over an array that must become registers; plain C loops over any count. */
#if !defined(__ARM_NEON) && !(defined(__AVX2__) && defined(__FMA__))
#define FEDTINY_UNROLL
#elif defined(__clang__)
#define FEDTINY_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FEDTINY_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>

#define FEDTINY_VECTORS 1
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
/* Four offsets by two instructions. They never change: no memory is named. */
FEDTINY_INLINE void fedtiny_offsets4(const uint32_t *from, size_t *at) {
    __asm__("ldp %w0, %w1, [%4]\n"
            "ldp %w2, %w3, [%4, #8]"
            : "=&r"(at[0]), "=&r"(at[1]), "=&r"(at[2]), "=r"(at[3])
            : "r"(from));
}
/* Four weights; one of them times a vector is added to a sum. */
typedef float32x4_t fedtiny_weights;
FEDTINY_INLINE fedtiny_weights fedtiny_weights_load(const float *from) {
    return vld1q_f32(from);
}
FEDTINY_INLINE fedtiny_weights fedtiny_weights_one(const float *from) {
    return vld1q_dup_f32(from);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_fma_weight(fedtiny_v sum, fedtiny_v a, fedtiny_weights w,
                                              int which) {
    switch (which) { /* the instruction has the number in it */
    case 0:
        return vfmaq_laneq_f32(sum, a, w, 0);
    case 1:
        return vfmaq_laneq_f32(sum, a, w, 1);
    case 2:
        return vfmaq_laneq_f32(sum, a, w, 2);
    default:
        return vfmaq_laneq_f32(sum, a, w, 3);
    }
}
FEDTINY_INLINE fedtiny_v fedtiny_v_max(fedtiny_v v, fedtiny_v low) {
    return vmaxq_f32(v, low);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_min(fedtiny_v v, fedtiny_v high) {
    return vminq_f32(v, high);
}
/* The two vectors from element `first` (a constant) on, by one instruction: compilers rarely pair
 * loads. It stays where it is written: moved up among others it would need registers. */
FEDTINY_INLINE void fedtiny_v_load2(const float *from, int first, fedtiny_v *a, fedtiny_v *b) {
    __asm__ volatile("ldp %q0, %q1, [%2, %3]"
                     : "=&w"(*a), "=w"(*b)
                     : "r"(from), "i"(4 * first), "m"(*(const float (*)[128])from));
}
FEDTINY_INLINE void fedtiny_v_store2(float *to, int first, fedtiny_v a, fedtiny_v b) {
    __asm__("stp %q1, %q2, [%3, %4]"
            : "+m"(*(float (*)[128])to)
            : "w"(a), "w"(b), "r"(to), "i"(4 * first));
}

#elif defined(__ARM_NEON)

#include <arm_neon.h>

/* 32-bit Arm, sixteen vectors. It takes denormal numbers for zero; all others are as elsewhere. */
#define FEDTINY_VECTORS 1
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
FEDTINY_INLINE void fedtiny_offsets4(const uint32_t *from, size_t *at) {
    for (int i = 0; i < 4; i++) {
        at[i] = from[i];
    }
}
/* There is no fused product by a lane. */
typedef const float *fedtiny_weights;
FEDTINY_INLINE fedtiny_weights fedtiny_weights_load(const float *from) {
    return from;
}
FEDTINY_INLINE fedtiny_weights fedtiny_weights_one(const float *from) {
    return from;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_fma_weight(fedtiny_v sum, fedtiny_v a, fedtiny_weights w,
                                              int which) {
    return vfmaq_f32(sum, a, vld1q_dup_f32(w + which));
}
FEDTINY_INLINE fedtiny_v fedtiny_v_max(fedtiny_v v, fedtiny_v low) {
    return vmaxq_f32(v, low);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_min(fedtiny_v v, fedtiny_v high) {
    return vminq_f32(v, high);
}
FEDTINY_INLINE void fedtiny_v_load2(const float *from, int first, fedtiny_v *a, fedtiny_v *b) {
    *a = vld1q_f32(from + first);
    *b = vld1q_f32(from + first + 4);
}
FEDTINY_INLINE void fedtiny_v_store2(float *to, int first, fedtiny_v a, fedtiny_v b) {
    vst1q_f32(to + first, a);
    vst1q_f32(to + first + 4, b);
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

#define FEDTINY_VECTORS 1
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
FEDTINY_INLINE void fedtiny_offsets4(const uint32_t *from, size_t *at) {
    for (int i = 0; i < 4; i++) {
        at[i] = from[i];
    }
}
typedef const float *fedtiny_weights;
FEDTINY_INLINE fedtiny_weights fedtiny_weights_load(const float *from) {
    return from;
}
FEDTINY_INLINE fedtiny_weights fedtiny_weights_one(const float *from) {
    return from;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_fma_weight(fedtiny_v sum, fedtiny_v a, fedtiny_weights w,
                                              int which) {
    return _mm256_fmadd_ps(a, _mm256_broadcast_ss(w + which), sum);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_max(fedtiny_v v, fedtiny_v low) {
    return _mm256_max_ps(v, low);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_min(fedtiny_v v, fedtiny_v high) {
    return _mm256_min_ps(v, high);
}
FEDTINY_INLINE void fedtiny_v_load2(const float *from, int first, fedtiny_v *a, fedtiny_v *b) {
    *a = _mm256_loadu_ps(from + first);
    *b = _mm256_loadu_ps(from + first + 8);
}
FEDTINY_INLINE void fedtiny_v_store2(float *to, int first, fedtiny_v a, fedtiny_v b) {
    _mm256_storeu_ps(to + first, a);
    _mm256_storeu_ps(to + first + 8, b);
}

#else

#include <math.h>

#define FEDTINY_VECTORS 0
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
FEDTINY_INLINE void fedtiny_offsets4(const uint32_t *from, size_t *at) {
    for (int i = 0; i < 4; i++) {
        at[i] = from[i];
    }
}
typedef const float *fedtiny_weights;
FEDTINY_INLINE fedtiny_weights fedtiny_weights_load(const float *from) {
    return from;
}
FEDTINY_INLINE fedtiny_weights fedtiny_weights_one(const float *from) {
    return from;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_fma_weight(fedtiny_v sum, fedtiny_v a, fedtiny_weights w,
                                              int which) {
    return fmaf(a, w[which], sum);
}
FEDTINY_INLINE fedtiny_v fedtiny_v_max(fedtiny_v v, fedtiny_v low) {
    return v < low ? low : v;
}
FEDTINY_INLINE fedtiny_v fedtiny_v_min(fedtiny_v v, fedtiny_v high) {
    return v > high ? high : v;
}
FEDTINY_INLINE void fedtiny_v_load2(const float *from, int first, fedtiny_v *a, fedtiny_v *b) {
    *a = from[first];
    *b = from[first + 1];
}
FEDTINY_INLINE void fedtiny_v_store2(float *to, int first, fedtiny_v a, fedtiny_v b) {
    to[first] = a;
    to[first + 1] = b;
}

#endif

/* Vectors that one tile keeps in registers: those that leave room for operands. FEDTINY_TILES_n(X)
 * is X(1) X(2) ... for all that a tile with n sums for every vector may have. */
#define FEDTINY_UP_TO_3(X)  X(1) X(2) X(3)
#define FEDTINY_UP_TO_6(X)  FEDTINY_UP_TO_3(X) X(4) X(5) X(6)
#define FEDTINY_UP_TO_12(X) FEDTINY_UP_TO_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
#if defined(__aarch64__) && defined(__ARM_NEON)
#if defined(__clang__)
enum { FEDTINY_TILE = 20 }; /* it spills when there are more */
#else
enum { FEDTINY_TILE = 24 };
#endif
#define FEDTINY_TILES_1(X)                                                                         \
    FEDTINY_UP_TO_12(X)                                                                            \
    X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24)
#define FEDTINY_TILES_2 FEDTINY_UP_TO_12
#define FEDTINY_TILES_4 FEDTINY_UP_TO_6
#define FEDTINY_PORTABLE(statement)
#elif defined(__ARM_NEON)
enum { FEDTINY_TILE = 12 };
#define FEDTINY_TILES_1 FEDTINY_UP_TO_12
#define FEDTINY_TILES_2 FEDTINY_UP_TO_12
#define FEDTINY_TILES_4 FEDTINY_UP_TO_6
#define FEDTINY_PORTABLE(statement)
#elif FEDTINY_VECTORS
enum { FEDTINY_TILE = 12 };
#define FEDTINY_TILES_1 FEDTINY_UP_TO_12
#define FEDTINY_TILES_2 FEDTINY_UP_TO_6
#define FEDTINY_TILES_4 FEDTINY_UP_TO_3
#define FEDTINY_PORTABLE(statement)
#else
enum { FEDTINY_TILE = 12 };
#define FEDTINY_TILES_1(X)
#define FEDTINY_TILES_2(X)
#define FEDTINY_TILES_4(X)
#define FEDTINY_PORTABLE(statement) statement /* loops over any count */
#endif

/* `count` vectors in a row. */
FEDTINY_INLINE void fedtiny_v_load_run(const float *from, fedtiny_v *run, int count) {
    FEDTINY_UNROLL
    for (int i = 0; i + 1 < count; i += 2) {
        fedtiny_v_load2(from, i * FEDTINY_LANES, &run[i], &run[i + 1]);
    }
    if (count % 2 != 0) {
        run[count - 1] = fedtiny_v_load(from + (count - 1) * FEDTINY_LANES);
    }
}

FEDTINY_INLINE void fedtiny_v_store_run(float *to, const fedtiny_v *run, int count) {
    FEDTINY_UNROLL
    for (int i = 0; i + 1 < count; i += 2) {
        fedtiny_v_store2(to, i * FEDTINY_LANES, run[i], run[i + 1]);
    }
    if (count % 2 != 0) {
        fedtiny_v_store(to + (count - 1) * FEDTINY_LANES, run[count - 1]);
    }
}

/* sum[i] goes to out, not less than `low`, nor more than `high` where that is given. */
#if FEDTINY_VECTORS
FEDTINY_INLINE void fedtiny_v_store_clamped(float *out, const fedtiny_v *sum, int count,
                                            fedtiny_v low, const float *high) {
    fedtiny_v value[2 * FEDTINY_TILE];
    FEDTINY_UNROLL
    for (int i = 0; i < count; i++) {
        value[i] = fedtiny_v_max(sum[i], low);
    }
    if (high != NULL) {
        const fedtiny_v most = fedtiny_v_all(high);
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            value[i] = fedtiny_v_min(value[i], most);
        }
    }
    fedtiny_v_store_run(out, value, count);
}
#else
FEDTINY_INLINE void fedtiny_v_store_clamped(float *out, const fedtiny_v *sum, int count,
                                            fedtiny_v low, const float *high) {
    for (int i = 0; i < count; i++) {
        const float value = fedtiny_v_max(sum[i], low);
        out[i] = high != NULL ? fedtiny_v_min(value, *high) : value;
    }
}
#endif

#endif
