/* Depthwise 3x3 convolution of four channels at a time by products of 16-bit pairs.
 *
 * The window holds the columns of one output row, two by two, as words of two 16-bit inputs:
 *     word [column pair][channel of the four][3]
 *         0  rows 0 and 1 of the even column
 *         1  rows 0 and 1 of the odd column
 *         2  row 2 of the even and of the odd column
 * so that one column pair and its successor hold all taps of two outputs (one with stride 2): nine
 * products in five instructions.
 */
#ifndef FEDTINY_DEPTHWISE3X3_H
#define FEDTINY_DEPTHWISE3X3_H

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_DEPTHWISE3X3_DSP 1
#else
#define FEDTINY_DEPTHWISE3X3_DSP 0
#endif

#define FEDTINY_DEPTHWISE3X3_PAIR 12 /* words of a column pair */

#ifndef __ASSEMBLER__
#include "kernel.h"

/* One channel's constants. Weights are pairs of 16 bits, the first one low: (row, column). */
typedef struct {
    int32_t bias;    /* less input_zero_point * sum of weights */
    int32_t factor;  /* as in multiply_high.h */
    int32_t divisor; /* as in multiply_high.h */
    int32_t column0; /* (0, 0), (1, 0) */
    int32_t column1; /* (0, 1), (1, 1) */
    int32_t column2; /* (0, 2), (1, 2) */
    int32_t row2_01; /* (2, 0), (2, 1) */
    int32_t row2_12; /* (2, 1), (2, 2) */
} fedtiny_depthwise3x3_channel;

/* Four channels of one output row. src/depthwise3x3_dsp.S knows the order of the fields. */
typedef struct {
    const int32_t *window;
    const fedtiny_depthwise3x3_channel *channels; /* four */
    int8_t *out;                                  /* the first pixel's first channel */
    int32_t outputs;                              /* pixels, at least 1 */
    int32_t stride;                               /* bytes from pixel to pixel */
    int32_t zero_point;                           /* of the output */
} fedtiny_depthwise3x3_call;

void fedtiny_depthwise3x3_stride1(const fedtiny_depthwise3x3_call *call);
void fedtiny_depthwise3x3_stride2(const fedtiny_depthwise3x3_call *call);

/* Column pairs that lie inside the image, of three rows that do. */
typedef struct {
    int32_t *to;
    const int8_t *rows[3]; /* the first column's first channel */
    int32_t stride;        /* bytes from pixel to pixel */
    int32_t pairs;         /* at least 1 */
} fedtiny_depthwise3x3_pack_call;

void fedtiny_depthwise3x3_pack(const fedtiny_depthwise3x3_pack_call *call);

/* One column pair. pixels is int8 [row 0 even, row 1 even, row 0 odd, row 1 odd, row 2 even, row 2
 * odd][4 channels], as words. */
void fedtiny_depthwise3x3_pack_pair(int32_t *to, const int32_t *pixels);
#endif

#endif
