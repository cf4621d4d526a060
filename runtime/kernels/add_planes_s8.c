/* add on channel planes, int8. Padding holds the zero points of the inputs, whose sum is that of
 * the output. */
#include "src/simd_s8.h"

/* Both inputs are shifted left by this, so that scaling keeps precision. */
enum { SHIFT = 20 };

#if defined(__ARM_NEON)

/* (x + offset) * 2^SHIFT, four at a time. */
FEDTINY_INLINE fedtiny_sum32 widened(const int8_t *from, int32_t offset) {
    const int8x16_t x = vld1q_s8(from);
    const int16x8_t all = vdupq_n_s16((int16_t)offset);
    const int16x8_t low = vaddw_s8(all, vget_low_s8(x)), high = vaddw_high_s8(all, x);
    const fedtiny_sum32 wide = {{vshlq_n_s32(vmovl_s16(vget_low_s16(low)), SHIFT),
                                 vshlq_n_s32(vmovl_high_s16(low), SHIFT),
                                 vshlq_n_s32(vmovl_s16(vget_low_s16(high)), SHIFT),
                                 vshlq_n_s32(vmovl_high_s16(high), SHIFT)}};
    return wide;
}

FEDTINY_INLINE fedtiny_sum32 scaled_sum(fedtiny_sum32 x, fedtiny_sum32 y,
                                        const fedtiny_planes_add_s8_params *p) {
    fedtiny_sum32 sum;
    FEDTINY_UNROLL
    for (int i = 0; i < 4; i++) {
        sum.part[i] = vaddq_s32(fedtiny_multiply4(x.part[i], p->multiplier_a, p->shift_a),
                                fedtiny_multiply4(y.part[i], p->multiplier_b, p->shift_b));
    }
    return sum;
}

#elif defined(__AVX2__) && defined(__FMA__)

/* (x + offset) * 2^SHIFT, eight at a time. */
FEDTINY_INLINE fedtiny_sum32 widened(const int8_t *from, int32_t offset) {
    const __m256i all = _mm256_set1_epi16((int16_t)offset);
    const __m256i x = _mm256_add_epi16(_mm256_cvtepi8_epi16(fedtiny_pixels_load(from)), all);
    const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(x));
    const __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(x, 1));
    const fedtiny_sum32 wide = {{_mm256_slli_epi32(low, SHIFT), _mm256_slli_epi32(high, SHIFT)}};
    return wide;
}

FEDTINY_INLINE fedtiny_sum32 scaled_sum(fedtiny_sum32 x, fedtiny_sum32 y,
                                        const fedtiny_planes_add_s8_params *p) {
    fedtiny_sum32 sum;
    FEDTINY_UNROLL
    for (int i = 0; i < 2; i++) {
        sum.part[i] = _mm256_add_epi32(fedtiny_scale8(x.part[i], p->multiplier_a, p->shift_a, 1),
                                       fedtiny_scale8(y.part[i], p->multiplier_b, p->shift_b, 1));
    }
    return sum;
}

#else

FEDTINY_INLINE fedtiny_sum32 widened(const int8_t *from, int32_t offset) {
    fedtiny_sum32 wide;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        wide.lane[i] = (from[i] + offset) * (1 << SHIFT);
    }
    return wide;
}

FEDTINY_INLINE fedtiny_sum32 scaled_sum(fedtiny_sum32 x, fedtiny_sum32 y,
                                        const fedtiny_planes_add_s8_params *p) {
    fedtiny_sum32 sum;
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        sum.lane[i] = fedtiny_multiply(x.lane[i], p->multiplier_a, p->shift_a) +
                      fedtiny_multiply(y.lane[i], p->multiplier_b, p->shift_b);
    }
    return sum;
}

#endif

fedtiny_status fedtiny_add_planes_s8(const fedtiny_call *call) {
    const fedtiny_planes_add_s8_params *p = call->params;
    const int8_t *a = call->in[0], *b = call->in[1];
    const fedtiny_scaling scaling = {p->multiplier_out, p->shift_out,  p->offset_out,
                                     p->output_min,     p->output_max, p->ties};
    int8_t *out = call->out[0];
    for (size_t i = 0; i < p->elements; i += FEDTINY_PIXELS) {
        const fedtiny_sum32 sum =
            scaled_sum(widened(a + i, p->offset_a), widened(b + i, p->offset_b), p);
        fedtiny_store_pixels(out + i, &sum, &scaling);
    }
    return FEDTINY_OK;
}
