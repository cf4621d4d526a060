/* Two output pixels per accumulator: what the convolutions of this scheme share.
 *
 * A 32-bit word holds two pixels of one input channel, (a + 128) + b * 2^24. A signed weight times
 * the word, added to a 64-bit accumulator, multiplies both at once: the low 24 bits collect
 * sum(w * (a + 128)), the bits above them sum(w * b). No two weights need to be neighbours, so any
 * mask runs at full speed. The pixels of a word are x and x + out_w - pairs of one output row,
 * where pairs = ceil(out_w / 2). A tile is four such words, eight pixels, or three where a row has
 * three.
 *
 * The packing (runtime/packing/pairs.py) proves for every channel that its low lane ends
 * inside 24 bits, or asks for the plain form, in which channels are split into records that do.
 *
 * The window holds the columns that one run of tiles needs, as words in the order (kernel row,
 * channel, column % stride, column / stride). Where a step makes several rows, the window moves
 * down the image; the rows of a kernel of one tap are joined to one row instead, which fills the
 * tiles of narrow images.
 */
#ifndef FEDTINY_PAIRS_H
#define FEDTINY_PAIRS_H

#include "fedtiny/parts.h"

/* Cores of the M profile with SMLAL, SMMLAR and PKHBT run src/pairs_dsp.S. */
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_PAIRS_DSP 1
#else
#define FEDTINY_PAIRS_DSP 0
#endif

/* How a record's sums become outputs, for a whole layer. */
#define FEDTINY_PAIRS_RELU   0 /* outputs below the zero point are clamped anyway */
#define FEDTINY_PAIRS_SIGNED 1 /* any sign; halves are rounded away from zero */
#define FEDTINY_PAIRS_PLAIN  2 /* sums are stored; C adds up split channels and scales them */

/* How a record lists its weights: several entries a pass, the first pass may start in the middle.
 * The dense kinds have no distances: a group is the taps of one kernel row and channel whose
 * columns have one remainder under the stride, and groups follow each other; the layer knows how
 * many weights there are. A pair of FEDTINY_PAIRS_NIBBLE is two 4-bit distances in groups of one
 * tap, the first in the low bits, and two int8 weights; the record has as many pairs as it says
 * passes. */
#define FEDTINY_PAIRS_NARROW 0  /* + entries skipped: uint8 distance in words, int8 weight */
#define FEDTINY_PAIRS_WIDE   8  /* + entries skipped: uint16 distance in words, int8 weight */
#define FEDTINY_PAIRS_EMPTY  16 /* no weights */
#define FEDTINY_PAIRS_END    17 /* after the last record */
#define FEDTINY_PAIRS_DENSE3 20 /* + groups skipped, of four a pass: three int8 weights each */
#define FEDTINY_PAIRS_DENSE1 24 /* + groups skipped, of eight a pass: one weight each */
#define FEDTINY_PAIRS_DENSE2 32 /* + groups skipped, of four a pass: two weights each */
#define FEDTINY_PAIRS_NIBBLE 36 /* + pairs skipped, of four a pass: see below */

/* What the model's layers run (fedtiny/parts.h): any of a tile's forms means the tile itself. */
#define FEDTINY_PAIRS_TILE3                                                                        \
    (FEDTINY_PART_PAIRS3_RELU || FEDTINY_PART_PAIRS3_SIGNED || FEDTINY_PART_PAIRS3_PLAIN)
#define FEDTINY_PAIRS_TILE4                                                                        \
    (FEDTINY_PART_PAIRS4_RELU || FEDTINY_PART_PAIRS4_SIGNED || FEDTINY_PART_PAIRS4_PLAIN)
#define FEDTINY_PAIRS_SUMS (FEDTINY_PART_PAIRS3_PLAIN || FEDTINY_PART_PAIRS4_PLAIN)

#ifndef __ASSEMBLER__
#include "kernel.h"
#include "pairs_window.h"

#define FEDTINY_PAIRS_TILE 4 /* words of a tile, unless a row has 3 */

/* One tile of all output channels. src/pairs_dsp.S knows the order of the fields.
 *
 * The stream is unaligned. A record: int48 start of the accumulators, uint8 passes, uint8 entry,
 * the weights, then uint8 shift (the divisor is 1 << shift, 0 from 32 on), int32 factor; in the
 * plain form int32 multiplier, int16 shift, int16 1 if the channel goes on in the next record,
 * int32 bias. */
typedef struct {
    int32_t zero_point;
    void *out;        /* int8: the first pixel's first channel; plain form: int32 [record][8] */
    int32_t distance; /* bytes from a word's first pixel to its second, minus 1 */
    int32_t stride;   /* bytes from pixel to pixel */
    const int32_t *window; /* the tile's first word */
    int32_t form;
    int32_t group; /* bytes from group to group of the dense kinds and of 4-bit distances */
    int32_t dense; /* weights of a record of the dense kinds */
    const uint8_t *stream;
} fedtiny_pairs_tile_call;

#define FEDTINY_PAIRS_HEADER 8 /* bytes of a record before its weights */

static inline uint8_t fedtiny_pairs_entry(const uint8_t *record) {
    return record[7];
}

/* Entries of a record. */
static inline int32_t fedtiny_pairs_entries(const uint8_t *record, int32_t dense) {
    const uint8_t entry = fedtiny_pairs_entry(record);
    if (entry >= FEDTINY_PAIRS_NIBBLE) {
        return record[6] * 2;
    }
    if (entry >= FEDTINY_PAIRS_DENSE3) {
        return dense;
    }
    return entry >= FEDTINY_PAIRS_EMPTY ? 0 : record[6] * 8 - entry % 8;
}

/* Bytes of a record's weights. */
static inline int32_t fedtiny_pairs_weights_bytes(const uint8_t *record, int32_t dense) {
    const uint8_t entry = fedtiny_pairs_entry(record);
    const int32_t entries = fedtiny_pairs_entries(record, dense);
    if (entry >= FEDTINY_PAIRS_NIBBLE) {
        return entries / 2 * 3;
    }
    return entry >= FEDTINY_PAIRS_EMPTY ? entries : entries * (entry >= FEDTINY_PAIRS_WIDE ? 3 : 2);
}

void fedtiny_pairs_tile(const fedtiny_pairs_tile_call *call);
void fedtiny_pairs_tile3(const fedtiny_pairs_tile_call *call); /* three words */

void fedtiny_pairs_pack(const fedtiny_pairs_pack_call *call);

/* The output rows of one step. */
fedtiny_status fedtiny_pairs_step(const fedtiny_call *call, const fedtiny_pairs_s8_params *p);
#endif

#endif
