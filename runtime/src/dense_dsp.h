/* Dense convolution of two to five output pixels at a time by products of 16-bit pairs.
 *
 * The patch holds the inputs of a tile of pixels. Taps go by fours, in the order of the weights:
 *     word [four][2][pixel]
 *         0  taps 0 and 2 of the four
 *         1  taps 1 and 3
 * which is how SXTB16 takes four int8 apart. Every kernel row is a whole number of fours, filled up
 * with zero weights.
 */
#ifndef FEDTINY_DENSE_DSP_H
#define FEDTINY_DENSE_DSP_H

#include "fedtiny/parts.h"

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_DENSE_ASSEMBLY 1
#else
#define FEDTINY_DENSE_ASSEMBLY 0
#endif

#ifndef __ASSEMBLER__
#include "kernel.h"

/* How the sums of one output channel become outputs. */
typedef struct {
    int32_t bias;    /* less input_zero_point * sum of weights */
    int32_t factor;  /* as in multiply_high.h */
    int32_t divisor; /* as in multiply_high.h */
} fedtiny_dense_channel;

/* All output channels of a tile. src/dense_dsp.S knows the order of the fields. */
typedef struct {
    const int32_t *patch;
    int32_t fours; /* of every channel, at least 1 */
    const fedtiny_dense_channel *channels;
    int8_t *out;    /* the first pixel's first channel */
    int32_t stride; /* bytes from pixel to pixel */
    int32_t zero_point;
    int32_t count;         /* of channels, at least 1 */
    const int8_t *weights; /* (channels, fours, 4), a multiple of 4 */
} fedtiny_dense_call;

void fedtiny_dense_tile2(const fedtiny_dense_call *call);
void fedtiny_dense_tile3(const fedtiny_dense_call *call);
void fedtiny_dense_tile4(const fedtiny_dense_call *call);
void fedtiny_dense_tile5(const fedtiny_dense_call *call);

/* Fours of one pixel, at least 1, into the patch of a tile of `tile` pixels. */
void fedtiny_dense_expand(int32_t *to, const int8_t *from, int32_t fours, int32_t tile);
#endif

#endif
