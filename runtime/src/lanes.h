/* Two output pixels per 32-bit accumulator: convolutions on cores without the DSP extension.
 *
 * A word holds two pixels of one input channel, a + b * 2^16. A weight times the word multiplies
 * both; the low half of the sum collects w * a, the high half w * b, as long as the low half stays
 * inside 16 bits. Weights therefore come in groups of which that is proven (sum of |w| about 255).
 * Each group's sum starts at 2^15, which keeps its low half from 0 to 2^16 - 1, so that a group
 * ends with two additions a word: high  += sum >> 16 total += sum                 the low half's
 * sum is total - high * 2^16, modulo 2^32 The packing folds the 2^15 of all groups into total's
 * start. Thumb-1 code adds bit 15 of the sum to its high half instead.
 *
 * The window and the order of pixels are those of pairs_window.h. A row of words is cut into tiles
 * of three words, and at its end of two, so that none is computed twice. */
#ifndef FEDTINY_LANES_H
#define FEDTINY_LANES_H

/* Cores of the M profile run src/lanes_thumb.S or src/lanes_thumb2.S. */
#if defined(__thumb__) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_LANES_THUMB __ARM_ARCH_ISA_THUMB
#else
#define FEDTINY_LANES_THUMB 0
#endif

#define FEDTINY_LANES_RECORD 12 /* bytes of a record */

#ifndef __ASSEMBLER__
#include "pairs_window.h"

/* One output channel. For the short scaling, value = (((high + (sum >> 31)) + rounding) >> right),
 * where high is sum * multiplier / 2^31 rounded, and rounding (2 * zero point + 1) << (right - 1).
 */
typedef struct {
    int32_t bias; /* less what the input's zero point adds */
    int32_t multiplier;
    uint16_t groups;
    uint8_t right_less_1; /* 0 .. 20 */
    int8_t shift;         /* for the plain scaling */
} fedtiny_lanes_record;

/* One tile of all output channels. Assembly knows the order of the fields.
 *
 * A group of the stream: uint8 distance in words and int8 weight of its first entry, uint8 twice
 * the number of its bytes (2 * entries + 1), plus 1 in a channel's last group, then its other
 * entries, at most 7. */
typedef struct {
    void *out;        /* int8: the first pixel's first channel; plain: int32 [channel][2 * words] */
    int32_t distance; /* bytes from a word's first pixel to its second */
    int32_t stride;   /* bytes from pixel to pixel */
    int32_t zero;     /* 2 * zero point of the output + 1 */
    const int32_t *window; /* the tile's first word */
    const fedtiny_lanes_record *record;
    const fedtiny_lanes_record *end;
    int32_t plain; /* sums are stored, not scaled */
    const uint8_t *stream;
    int32_t least; /* for the scaling of src/lanes_thumb.S; 0 in the plain form */
    int32_t start;
    int32_t first_two; /* the row's word from which on tiles have two */
} fedtiny_lanes_tile_call;

void fedtiny_lanes_tile2(const fedtiny_lanes_tile_call *call);
void fedtiny_lanes_tile3(const fedtiny_lanes_tile_call *call);

void fedtiny_lanes_pack(const fedtiny_pairs_pack_call *call);

/* The output rows of one step. */
fedtiny_status fedtiny_lanes_step(const fedtiny_call *call, const fedtiny_pairs_s8_params *p);
#endif

#endif
