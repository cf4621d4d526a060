/* Sums of two int8 tensors by one table.
 *
 * TensorFlow Lite scales both inputs by at most 1/2, and the one with the larger scale by exactly
 * 1/2, which is a shift. What the other contributes is one of 256 numbers: a table, into which the
 * shifted input's zero point is folded too. */
#ifndef FEDTINY_ADD_TABLE_H
#define FEDTINY_ADD_TABLE_H

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_ADD_DSP 1
#else
#define FEDTINY_ADD_DSP 0
#endif

#define FEDTINY_ADD_SHIFT 19 /* inputs are shifted left by 20, then halved */

#ifndef __ASSEMBLER__
#include "kernel.h"

/* src/add_dsp.S knows the order of the fields. factor, divisor and relu are as in pairs.h. */
typedef struct {
    int8_t *out;     /* may be a or b */
    const int8_t *a; /* the input that is shifted */
    const int8_t *b; /* the input that is looked up, by its bits as uint8 */
    const int32_t *table;
    int32_t factor;
    int32_t divisor;
    int32_t zero_point;
    int32_t elements; /* at least 1 */
    int32_t relu;     /* outputs below the zero point are clamped anyway */
} fedtiny_add_sums_call;

void fedtiny_add_sums(const fedtiny_add_sums_call *call);
#endif

#endif
