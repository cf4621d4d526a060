/* Functions of float that give the same bits on every target; no C library is needed. */
#ifndef FEDTINY_FLOAT_MATH_H
#define FEDTINY_FLOAT_MATH_H

#include <stdint.h>

/* e^x, relative error below 2e-7; 0 below the normal numbers, the greatest power of two above.
 * Cephes' expf: x = n ln 2 + r, |r| <= ln 2 / 2, a polynomial in r, and 2^n in the exponent. */
static inline float fedtiny_exp_f32(float x) {
    union {
        uint32_t bits;
        float value;
    } power;
    if (x < -87.0f) {
        return 0.0f;
    }
    if (x > 88.0f) {
        x = 88.0f;
    }
    const float scaled = x * 1.44269504f;
    const int32_t n = (int32_t)(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
    const float whole = (float)n;
    const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    power.bits = (uint32_t)(n + 127) << 23;
    return (p * r * r + r + 1.0f) * power.value;
}

#endif
