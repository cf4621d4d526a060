/* Convolutions of four output pixels at a time by dot products of sixteen int8 (Helium).
 *
 * A window in scratch holds the input columns of an output row, each of them whole:
 *     int8 [column][kernel row][channel]
 * so that the inputs of a pixel are one run of bytes, its patch, and every pixel's has the same
 * order. A channel's weights are groups in a stream; what a group holds depends on the kind:
 *     narrow  uint8 (16) places in the patch, int8 (16) weights
 *     wide    uint16 by how much the patch moves on, then as narrow
 *     blocks  uint16 (4) places in the patch in fours of bytes, int8 (4, 4) weights
 *     dense   int8 (16) weights of the next sixteen bytes
 * What a group lacks are weights of zero. A depthwise convolution has the window
 *     int8 [column][channel][kernel row, four of them]
 * and of every channel one group of int8 (4 columns, 4 rows) weights. On other cores plain C reads
 * the same stream. */
#ifndef FEDTINY_GATHER_H
#define FEDTINY_GATHER_H

#if defined(__ARM_FEATURE_MVE)
#define FEDTINY_MVE 1
#else
#define FEDTINY_MVE 0
#endif

#ifndef __ASSEMBLER__
#include "kernel.h"

enum {
    FEDTINY_GATHER_PIXELS = 4,
    FEDTINY_GATHER_LANES = 16,
    FEDTINY_GATHER_BLOCKS = 4,
    FEDTINY_GATHER_ROWS = 3
};

/* In kernels that have both. */
enum { FEDTINY_GATHER_NARROW, FEDTINY_GATHER_WIDE };

/* How the sums of one output channel become outputs. */
typedef struct {
    int32_t bias; /* less input_zero_point * sum of weights */
    int32_t multiplier;
    uint16_t more; /* groups after the first */
    int8_t shift;  /* -31 .. -1 */
    int8_t unused;
} fedtiny_gather_channel;

/* All channels of some tiles of pixels. src/gather_mve.S knows the order of the fields. */
typedef struct {
    const int8_t *patch[FEDTINY_GATHER_PIXELS];
    int8_t *out[FEDTINY_GATHER_PIXELS]; /* multiples of 4 */
    const uint8_t *stream;
    const fedtiny_gather_channel *channels;
    int32_t fours; /* of channels, at least 1 */
    int32_t zero_point;
    int32_t tiles;      /* at least 1 */
    int32_t patch_step; /* bytes from tile to tile */
    int32_t out_step;
    uint32_t places[FEDTINY_GATHER_BLOCKS]; /* depthwise: of the four columns in a patch */
} fedtiny_gather_tile;

/* `relu`: outputs below the zero point are clamped anyway, however they were rounded. */
void fedtiny_gather_narrow(const fedtiny_gather_tile *tile);
void fedtiny_gather_narrow_relu(const fedtiny_gather_tile *tile);
void fedtiny_gather_wide(const fedtiny_gather_tile *tile);
void fedtiny_gather_wide_relu(const fedtiny_gather_tile *tile);
void fedtiny_gather_blocks(const fedtiny_gather_tile *tile);
void fedtiny_gather_blocks_relu(const fedtiny_gather_tile *tile);
void fedtiny_gather_dense(const fedtiny_gather_tile *tile);
void fedtiny_gather_dense_relu(const fedtiny_gather_tile *tile);
void fedtiny_gather_depthwise(const fedtiny_gather_tile *tile);
void fedtiny_gather_depthwise_relu(const fedtiny_gather_tile *tile);

/* Copies one to sixteen bytes `count` times, at least once. */
void fedtiny_gather_columns(int8_t *to, const int8_t *from, int32_t count, int32_t bytes,
                            int32_t to_stride, int32_t from_stride);

/* Three rows, and by how much each moves on: 16, or 0 for one vector of padding. */
typedef struct {
    const int8_t *row[FEDTINY_GATHER_ROWS];
    int32_t step[FEDTINY_GATHER_ROWS];
} fedtiny_gather_rows;

/* Byte i of the rows to bytes 4 * i .. 4 * i + 2, for `count` bytes; what it writes beyond, up to
 * whole vectors, and byte 4 * i + 3 mean nothing. */
void fedtiny_gather_interleave(int8_t *to, const fedtiny_gather_rows *rows, int32_t count);

typedef void (*fedtiny_gather_function)(const fedtiny_gather_tile *tile);

/* Fills the window of one output row, whose first input row is in[0]; columns of padding are. */
typedef void (*fedtiny_gather_fill)(const fedtiny_gather_s8_params *p, int8_t *window,
                                    const void *const *in);

/* One step of a layer: fills windows and runs `function` on every tile. */
fedtiny_status fedtiny_gather_step(const fedtiny_call *call, fedtiny_gather_function function,
                                   fedtiny_gather_fill fill);

/* How convolutions do, and depthwise ones. */
void fedtiny_gather_fill_columns(const fedtiny_gather_s8_params *p, int8_t *window,
                                 const void *const *in);
void fedtiny_gather_fill_depthwise(const fedtiny_gather_s8_params *p, int8_t *window,
                                   const void *const *in);
#endif

#endif
