/* Fully connected layers on Cortex-M cores with the DSP extension: what their kernels share.
 *
 * `(sum * multiplier + rounding * 2^32) >> (32 + shift)` is one SMMLA and one shift. The packing
 * finds a multiplier, a rounding and a small number that is added to every bias with which it
 * equals the specified requantization on every sum that can occur. */
#ifndef FEDTINY_FULLY_CONNECTED_H
#define FEDTINY_FULLY_CONNECTED_H

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_FULLY_CONNECTED_DSP 1
#else
#define FEDTINY_FULLY_CONNECTED_DSP 0
#endif

#ifndef __ASSEMBLER__
#include "kernel.h"

/* src/fully_connected_dsp.S knows the order of the fields. */
typedef struct {
    const int8_t *in;
    const void *weights;    /* whole words, aligned */
    const int32_t *bias;    /* sparse kernels; dense ones keep it with the weights */
    const uint16_t *counts; /* sparse kernels: words of weights of every output */
    int8_t *out;
    int32_t multiplier;
    int32_t rounding;
    int32_t shift;
    const int8_t *end;      /* of the outputs, at least one */
    const uint8_t *indices; /* blocks: which four inputs */
    int32_t inputs;         /* dense: at least 4 */
} fedtiny_fully_connected_sums;

static inline int8_t fedtiny_fully_connected_scale(const fedtiny_fully_connected_sums *call,
                                                   int32_t sum) {
    const int64_t rounding = call->rounding * (INT64_C(1) << 32);
    const int64_t scaled = (int64_t)sum * call->multiplier + rounding;
    return (int8_t)fedtiny_clamp_s32((int32_t)(scaled >> 32) >> call->shift, INT8_MIN, INT8_MAX);
}

static inline void fedtiny_fully_connected_clamp(const fedtiny_fully_connected_sums *call,
                                                 int32_t low, int32_t high) {
    if (low == INT8_MIN && high == INT8_MAX) {
        return; /* the scaling saturates */
    }
    for (int8_t *out = call->out; out != call->end; out++) {
        *out = (int8_t)fedtiny_clamp_s32(*out, low, high);
    }
}

void fedtiny_fully_connected_dense(const fedtiny_fully_connected_sums *call);
void fedtiny_fully_connected_csr(const fedtiny_fully_connected_sums *call);
void fedtiny_fully_connected_block1x4(const fedtiny_fully_connected_sums *call);
#endif

#endif
