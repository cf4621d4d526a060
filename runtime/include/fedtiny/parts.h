/* Which parts of shared code a program has. Generated from kernels.toml by
 * `python -m fedtiny.runtime.table`; do not edit. */
#ifndef FEDTINY_PARTS_H
#define FEDTINY_PARTS_H

#define FEDTINY_PART_PAIRS4_NARROW         1 /* src/pairs.h, tiles of four words: weights with 8-bit distances */
#define FEDTINY_PART_PAIRS4_WIDE           1 /* weights with 16-bit distances */
#define FEDTINY_PART_PAIRS4_NIBBLE         1 /* weights with 4-bit distances */
#define FEDTINY_PART_PAIRS4_DENSE1         1 /* dense records, one tap a group */
#define FEDTINY_PART_PAIRS4_DENSE2         1 /* two taps a group */
#define FEDTINY_PART_PAIRS4_DENSE3         1 /* three taps a group */
#define FEDTINY_PART_PAIRS4_RELU           1 /* outputs clamped at the zero point */
#define FEDTINY_PART_PAIRS4_SIGNED         1 /* outputs of any sign */
#define FEDTINY_PART_PAIRS4_PLAIN          1 /* the plain form */
#define FEDTINY_PART_PAIRS3_NARROW         1 /* the same, tiles of three words */
#define FEDTINY_PART_PAIRS3_WIDE           1
#define FEDTINY_PART_PAIRS3_NIBBLE         1
#define FEDTINY_PART_PAIRS3_DENSE1         1
#define FEDTINY_PART_PAIRS3_DENSE2         1
#define FEDTINY_PART_PAIRS3_DENSE3         1
#define FEDTINY_PART_PAIRS3_RELU           1
#define FEDTINY_PART_PAIRS3_SIGNED         1
#define FEDTINY_PART_PAIRS3_PLAIN          1
#define FEDTINY_PART_PAIRS3_EVEN           1 /* rows of six pixels, not five */
#define FEDTINY_PART_PAIRS_JOINED          1 /* rows of a step joined to one row */
#define FEDTINY_PART_PAIRS_CLAMP           1 /* outputs clamped to less than int8 */
#define FEDTINY_PART_DENSE2                1 /* src/dense_dsp.h, tiles of two pixels */
#define FEDTINY_PART_DENSE3                1
#define FEDTINY_PART_DENSE4                1
#define FEDTINY_PART_DENSE5                1
#define FEDTINY_PART_GATHER_NARROW_RELU    1 /* src/gather.h: places of one byte, outputs clamped at the zero point */
#define FEDTINY_PART_GATHER_NARROW         1 /* outputs of any sign */
#define FEDTINY_PART_GATHER_WIDE_RELU      1 /* patches that move on */
#define FEDTINY_PART_GATHER_WIDE           1
#define FEDTINY_PART_GATHER_BLOCKS_RELU    1 /* blocks of four channels */
#define FEDTINY_PART_GATHER_BLOCKS         1
#define FEDTINY_PART_GATHER_DENSE_RELU     1 /* dense weights */
#define FEDTINY_PART_GATHER_DENSE          1
#define FEDTINY_PART_GATHER_DEPTHWISE_RELU 1 /* depthwise */
#define FEDTINY_PART_GATHER_DEPTHWISE      1

#endif
