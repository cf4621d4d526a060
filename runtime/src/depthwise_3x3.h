/* Depthwise 3x3 convolution of one output row, two taps per multiplication.
 *
 * Four channels at a time: the columns of three input rows are spread into scratch, 32 bytes a
 * column, so that a word of a channel holds the upper two rows as int16 and another the lowest one
 * (shared by two channels: channels 0 and 1 read its low half, 2 and 3 the high one). Then each
 * channel runs along the row: three SMLAD and three SMLAxy an output. Columns of padding are filled
 * once a row.
 *
 * Requantization is FEDTINY_DEPTHWISE_LINE where the packing proved that
 * (sum * multiplier >> 32) + rounding, eight bits of it fractional, is exact on every reachable sum
 * (weights are shifted left so that eight bits are right for every channel), else
 * FEDTINY_DEPTHWISE_ROUND: the specified two roundings (see multiply_high.h). */
#ifndef FEDTINY_DEPTHWISE_3X3_H
#define FEDTINY_DEPTHWISE_3X3_H

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_DEPTHWISE_DSP 1
#else
#define FEDTINY_DEPTHWISE_DSP 0
#endif

#define FEDTINY_DEPTHWISE_LINE  0
#define FEDTINY_DEPTHWISE_ROUND 1

#define FEDTINY_DEPTHWISE_FRACTION     8  /* bits of FEDTINY_DEPTHWISE_LINE */
#define FEDTINY_DEPTHWISE_COLUMN_BYTES 32 /* of four channels */

#ifndef __ASSEMBLER__
#include "kernel.h"

/* A channel's constants: (row 0, row 1) of each column, row 2 of columns 0 and 1, of column 2. */
typedef struct {
    int16_t weights[10];
    int32_t bias;       /* the sum's start */
    int32_t multiplier; /* ROUND: 2 * multiplier - 2^32 */
    int32_t rounding;   /* ROUND: 2^32 over the divisor */
} fedtiny_depthwise_channel;

/* One row of all channels. src/depthwise_3x3_dsp.S knows the order of the fields. */
typedef struct {
    const int8_t *rows[3]; /* NULL where padding */
    int8_t *next_out;      /* first pixel of the next channel */
    int8_t *out;           /* of the current one */
    int32_t pixel;         /* bytes from pixel to pixel */
    int32_t *column;       /* first column of the next channel */
    int32_t *end;          /* where its outputs end, in the columns */
    const fedtiny_depthwise_channel *channels;
    int32_t *inner;     /* first column of the image */
    int32_t *inner_end; /* after the last one that is needed */
    int32_t padding;    /* the input's zero point, twice as int16 */
    int32_t zero_point; /* of the output */
    int32_t odd;        /* an output is left after two at a time */
    int32_t groups;     /* of four channels */
    int32_t step;       /* bytes from output to output, in the columns */
    int32_t form;
} fedtiny_depthwise_3x3_call;

void fedtiny_depthwise_3x3(const fedtiny_depthwise_3x3_call *call);

#endif

#endif
