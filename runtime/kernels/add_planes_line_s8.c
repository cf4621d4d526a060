/* add on channel planes, int8, as one linear form. The packing proves that it equals TensorFlow
 * Lite's roundings on all pairs of inputs, so padding stays the zero point. */
#include "src/simd_s8.h"

#if defined(__ARM_NEON)

/* sum += factor * sixteen int8. */
FEDTINY_INLINE void add_multiples(fedtiny_sum32 *sum, const int8_t *from, int32x4_t factor) {
    const int8x16_t x = vld1q_s8(from);
    const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_high_s8(x);
    sum->part[0] = vmlaq_s32(sum->part[0], vmovl_s16(vget_low_s16(low)), factor);
    sum->part[1] = vmlaq_s32(sum->part[1], vmovl_high_s16(low), factor);
    sum->part[2] = vmlaq_s32(sum->part[2], vmovl_s16(vget_low_s16(high)), factor);
    sum->part[3] = vmlaq_s32(sum->part[3], vmovl_high_s16(high), factor);
}

FEDTINY_INLINE void add_pixels(int8_t *out, const int8_t *a, const int8_t *b,
                               const fedtiny_planes_add_line_s8_params *p) {
    fedtiny_sum32 sum = fedtiny_start(p->addend);
    add_multiples(&sum, a, vdupq_n_s32(p->factor_a));
    add_multiples(&sum, b, vdupq_n_s32(p->factor_b));
    /* The upper halves, then the rest of the shift. */
    const int16x8_t right = vdupq_n_s16((int16_t)(16 - p->shift));
    int16x8_t upper[2];
    FEDTINY_UNROLL
    for (int i = 0; i < 2; i++) {
        upper[i] = vshlq_s16(vuzp2q_s16(vreinterpretq_s16_s32(sum.part[2 * i]),
                                        vreinterpretq_s16_s32(sum.part[2 * i + 1])),
                             right);
    }
    const int8x16_t value = vqmovn_high_s16(vqmovn_s16(upper[0]), upper[1]);
    const int8x16_t low = vdupq_n_s8(p->output_min), high = vdupq_n_s8(p->output_max);
    vst1q_s8(out, vminq_s8(vmaxq_s8(value, low), high));
}

#elif defined(__AVX2__) && defined(__FMA__)

/* factor * eight int8. */
FEDTINY_INLINE __m256i multiples(const int8_t *from, int32_t factor) {
    const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)from);
    return _mm256_mullo_epi32(_mm256_cvtepi8_epi32(x), _mm256_set1_epi32(factor));
}

FEDTINY_INLINE void add_pixels(int8_t *out, const int8_t *a, const int8_t *b,
                               const fedtiny_planes_add_line_s8_params *p) {
    const __m128i right = _mm_cvtsi32_si128(p->shift);
    __m256i sum[2];
    FEDTINY_UNROLL
    for (int i = 0; i < 2; i++) {
        sum[i] =
            _mm256_add_epi32(multiples(a + 8 * i, p->factor_a), multiples(b + 8 * i, p->factor_b));
        sum[i] = _mm256_add_epi32(sum[i], _mm256_set1_epi32(p->addend));
        sum[i] = _mm256_sra_epi32(sum[i], right);
    }
    fedtiny_store_narrow(out, sum[0], sum[1], 0, p->output_min, p->output_max);
}

#else

FEDTINY_INLINE void add_pixels(int8_t *out, const int8_t *a, const int8_t *b,
                               const fedtiny_planes_add_line_s8_params *p) {
    for (int i = 0; i < FEDTINY_PIXELS; i++) {
        const int32_t sum = p->addend + a[i] * p->factor_a + b[i] * p->factor_b;
        const int32_t value = fedtiny_clamp_s32(sum >> p->shift, p->output_min, p->output_max);
        out[i] = (int8_t)value;
    }
}

#endif

fedtiny_status fedtiny_add_planes_line_s8(const fedtiny_call *call) {
    const fedtiny_planes_add_line_s8_params params =
        *(const fedtiny_planes_add_line_s8_params *)call->params;
    const int8_t *a = call->in[0], *b = call->in[1];
    int8_t *out = call->out[0]; /* may be a or b */
    for (size_t i = 0; i < params.elements; i += FEDTINY_PIXELS) {
        add_pixels(out + i, a + i, b + i, &params);
    }
    return FEDTINY_OK;
}
