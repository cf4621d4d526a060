/* TensorFlow Lite's int8 softmax in gemmlowp fixed point; fedtiny/compiler/softmax.py says the
 * same.
 *
 * Qm.n has m integer and n fractional bits. Left shifts saturate nowhere: no reachable value is
 * that large.
 */
#ifndef FEDTINY_SOFTMAX_H
#define FEDTINY_SOFTMAX_H

#include "requantize.h"

/* Each once in the program: softmax needs them often and runs seldom. */
static FEDTINY_SEPARATE int32_t fedtiny_softmax_multiply(int32_t a, int32_t b) {
    return fedtiny_multiply_high(a, b);
}

static FEDTINY_SEPARATE int32_t fedtiny_softmax_divide(int32_t x, int exponent) {
    return fedtiny_divide_by_power_of_two(x, exponent);
}

enum { FEDTINY_SOFTMAX_SUM_BITS = 12 }; /* integer bits of the sum of exponentials, Q12.19 */

/* exp(a) in Q0.31 for a <= 0 in Q5.26. */
static inline int32_t fedtiny_exp_of_negative(int32_t a) {
    static const int32_t powers[] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242}; /* exp(-2^k), k = -2 .. 4 */
    const int32_t quarter = 1 << 24, exp_eighth = 1895147668, third = 715827883;
    if (a == 0) {
        return INT32_MAX;
    }
    const int32_t a_mod = (a & (quarter - 1)) - quarter;
    const int32_t x = a_mod * (1 << 5) + (1 << 28); /* around -1/8, in Q0.31 */
    const int32_t x2 = fedtiny_softmax_multiply(x, x), x3 = fedtiny_softmax_multiply(x2, x);
    const int32_t x4 = fedtiny_softmax_multiply(x2, x2);
    const int32_t tail = fedtiny_softmax_multiply(fedtiny_softmax_divide(x4, 2) + x3, third) + x2;
    const int32_t sum = x + fedtiny_softmax_divide(tail, 1);
    int32_t result = exp_eighth + fedtiny_softmax_multiply(sum, exp_eighth);
    const int32_t remainder = a_mod - a;
    for (int k = 0; k < 7; k++) {
        if (remainder & (1 << (24 + k))) {
            result = fedtiny_softmax_multiply(result, powers[k]);
        }
    }
    return result;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1) in Q0.31, by Newton's method in Q2.29. */
static inline int32_t fedtiny_one_over_one_plus(int32_t a) {
    const int32_t half = (int32_t)(((uint32_t)a + ((uint32_t)1 << 31)) >> 1);
    int32_t x = 1515870810 + fedtiny_softmax_multiply(half, -1010580540); /* 48/17 - 32/17 half */
    for (int i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - fedtiny_softmax_multiply(half, x);
        x += fedtiny_softmax_multiply(x, error) * (1 << 2);
    }
    return x > INT32_MAX / 2 ? INT32_MAX : x * 2;
}

#endif
