/* Kernels and their parameter structs. Generated from kernels.toml by
 * `python -m fedtiny.runtime.table`; do not edit. */
#ifndef FEDTINY_KERNELS_H
#define FEDTINY_KERNELS_H

#include "fedtiny.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Offset of a constant that the layer does not have. */
#define FEDTINY_ABSENT 0xFFFFFFFFu

/* A condition that must hold when this is compiled, in C99 as in C++. */
#define FEDTINY_ASSERT(condition, name) typedef char name[(condition) ? 1 : -1]

typedef struct {
    uint32_t stream;       /* offset of uint8: groups of weights, see src/gather.h */
    uint32_t channels;     /* offset of int32 (out_c rounded up to 4, 3): see src/gather.h */
    uint32_t window_bytes; /* of one output row's window in scratch */
    uint32_t column_bytes; /* of a window */
    uint16_t in_w;         /* pixels of an input row */
    uint16_t in_c;
    uint16_t out_w;        /* pixels of an output row */
    uint16_t out_c;
    uint16_t kernel_h;
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t pad_left;
    uint16_t columns;      /* of a window */
    uint16_t rows;         /* output rows of a step */
    uint8_t kind;          /* FEDTINY_GATHER_NARROW or _WIDE, for kernels that have both */
    uint8_t direct;        /* patches lie in the input: there are no windows */
    uint8_t relu;          /* outputs below the zero point are clamped */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;     /* clamp, inclusive */
    int8_t output_max;     /* clamp, inclusive */
} fedtiny_gather_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_gather_s8_params) == 48, fedtiny_gather_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_gather_s8_params, output_max) == 44, fedtiny_gather_s8_params_last);

typedef struct {
    uint32_t weights;     /* offset of int8 (out_c, kernel_h, kernel_w * in_c in whole fours) */
    uint32_t channels;    /* offset of int32 (out_c, 3): see src/dense_dsp.h */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t in_c;
    uint16_t out_w;       /* pixels of an output row */
    uint16_t out_c;
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t pad_left;
    uint16_t most_pixels; /* of a tile */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_conv2d_dense_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_dense_s8_params) == 32, fedtiny_conv2d_dense_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_dense_s8_params, output_max) == 31, fedtiny_conv2d_dense_s8_params_last);

typedef struct {
    uint32_t weights;     /* offset of int8 (out_c, kernel_h, kernel_w, in_c / groups) */
    uint32_t bias;        /* offset of int32 (out_c) */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t in_c;        /* channels of an input pixel */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t out_c;       /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t dilation_w;
    uint16_t pad_left;
    uint16_t groups;
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_conv2d_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_s8_params) == 44, fedtiny_conv2d_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_s8_params, output_max) == 41, fedtiny_conv2d_s8_params_last);

typedef struct {
    uint32_t weights; /* offset of float (out_c, kernel_h, kernel_w, in_c / groups) */
    uint32_t bias;    /* offset of float (out_c) */
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
    uint16_t in_w;    /* pixels of an input row */
    uint16_t in_c;    /* channels of an input pixel */
    uint16_t out_w;   /* pixels of an output row */
    uint16_t out_c;   /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t dilation_w;
    uint16_t pad_left;
    uint16_t groups;
} fedtiny_conv2d_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_f32_params) == 40, fedtiny_conv2d_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_f32_params, groups) == 36, fedtiny_conv2d_f32_params_last);

typedef struct {
    uint32_t weights;     /* offset of int8 (out_c / 4, kernel_h, kernel_w, in_c, 4), rounded up */
    uint32_t bias;        /* offset of int32 (out_c rounded up to 4), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t in_c;        /* channels of an input pixel */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t out_c;       /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t dilation_w;
    uint16_t pad_left;
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_conv2d_im2col_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_im2col_s8_params) == 40, fedtiny_conv2d_im2col_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_im2col_s8_params, output_max) == 39, fedtiny_conv2d_im2col_s8_params_last);

typedef struct {
    uint32_t counts;      /* offset of uint16 (out_c): entries of each output channel */
    uint32_t entries;     /* offset of uint8 (entries, 2): delta in the tile, int8 weight */
    uint32_t bias;        /* offset of int32 (out_c), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t in_c;        /* channels of an input pixel */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t out_c;       /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t pad_left;
    uint16_t phases;      /* of the stride, in the tile */
    uint16_t columns;     /* elements of one phase of one channel, in the tile */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_conv2d_csr_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_csr_s8_params) == 44, fedtiny_conv2d_csr_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_csr_s8_params, output_max) == 43, fedtiny_conv2d_csr_s8_params_last);

typedef struct {
    uint32_t counts;      /* offset of uint8 or uint16 (out_c): entries of each output channel */
    uint32_t entries;     /* offset of uint8 (entries, 2): delta in taps, int8 weight */
    uint32_t bias;        /* offset of int32 (out_c), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t in_c;        /* channels of an input pixel */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t out_c;       /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t dilation_w;
    uint16_t pad_left;
    uint16_t phases;      /* of the stride, in the tile */
    uint16_t columns;     /* elements of one phase of one channel, in the tile */
    uint16_t tile_words;  /* of 16 bits, in scratch before the table */
    uint8_t wide;         /* counts have two bytes */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_conv2d_csr_taps_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_csr_taps_s8_params) == 52, fedtiny_conv2d_csr_taps_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_csr_taps_s8_params, output_max) == 50, fedtiny_conv2d_csr_taps_s8_params_last);

typedef struct {
    uint32_t maps;        /* offset of uint32 (out_c, map_words): which weights are there, the first in the lowest bit */
    uint32_t weights;     /* offset of int8 (nonzeros) */
    uint32_t bias;        /* offset of int32 (out_c), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t in_c;        /* channels of an input pixel */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t out_c;       /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t dilation_w;
    uint16_t pad_left;
    uint16_t phases;      /* of the stride, in the tile */
    uint16_t columns;     /* elements of one phase of one channel, in the tile */
    uint16_t tile_words;  /* of 16 bits, in scratch before the table */
    uint16_t map_words;   /* of 32 bits, of an output channel */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_conv2d_bitmap_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_bitmap_s8_params) == 52, fedtiny_conv2d_bitmap_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_bitmap_s8_params, output_max) == 51, fedtiny_conv2d_bitmap_s8_params_last);

typedef struct {
    uint32_t counts;  /* offset of uint16 (out_c): nonzeros of each output channel */
    uint32_t offsets; /* offset of uint16 (nonzeros): in the tile */
    uint32_t values;  /* offset of float (nonzeros) */
    uint32_t bias;    /* offset of float (out_c) */
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
    uint16_t in_w;    /* pixels of an input row */
    uint16_t in_c;    /* channels of an input pixel */
    uint16_t out_w;   /* pixels of an output row */
    uint16_t out_c;   /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t pad_left;
    uint16_t phases;  /* of the stride, in the tile */
    uint16_t columns; /* elements of one phase of one channel, in the tile */
} fedtiny_conv2d_csr_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_conv2d_csr_f32_params) == 44, fedtiny_conv2d_csr_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_conv2d_csr_f32_params, columns) == 42, fedtiny_conv2d_csr_f32_params_last);

typedef struct {
    uint32_t stream;        /* offset of uint8: records, see src/pairs.h or src/lanes.h */
    uint32_t window_words;  /* int32 words of the window in scratch */
    uint32_t sums_bytes;    /* of the sums in scratch; plain form only */
    uint16_t in_w;          /* pixels of an input row */
    uint16_t in_c;          /* channels of an input pixel */
    uint16_t out_w;         /* pixels of an output row */
    uint16_t out_c;         /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t dilation_h;
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t pad_left;
    uint16_t reach_w;       /* columns from the first tap to the last */
    uint16_t phase_words;   /* words of a channel's columns of one remainder under the stride */
    uint16_t chunk_tiles;   /* tiles that one filling of the window serves */
    uint16_t dense_weights; /* of a record of the dense kinds */
    uint16_t rows;          /* output rows of a step */
    uint8_t joined;         /* the rows of a step are one row; kernels of one tap */
    uint8_t padded;         /* some words hold padding */
    uint8_t form;           /* FEDTINY_PAIRS_RELU, _SIGNED or _PLAIN */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;      /* clamp, inclusive */
    int8_t output_max;      /* clamp, inclusive */
} fedtiny_pairs_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_pairs_s8_params) == 48, fedtiny_pairs_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_pairs_s8_params, output_max) == 46, fedtiny_pairs_s8_params_last);

typedef struct {
    uint32_t weights;     /* offset of int8 (kernel_h, kernel_w, channels) */
    uint32_t bias;        /* offset of int32 (channels) */
    uint32_t multipliers; /* offset of int32 (channels) */
    uint32_t shifts;      /* offset of int8 (channels) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t channels;
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t dilation_w;
    uint16_t pad_left;
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_depthwise_conv2d_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_depthwise_conv2d_s8_params) == 40, fedtiny_depthwise_conv2d_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_depthwise_conv2d_s8_params, output_max) == 37, fedtiny_depthwise_conv2d_s8_params_last);

typedef struct {
    uint32_t weights;     /* offset of int8 (channels, taps) */
    uint32_t offsets;     /* offset of uint16 (taps): of a tap from its channel's plane in the tile */
    uint32_t bias;        /* offset of int32 (channels), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (channels) */
    uint32_t shifts;      /* offset of int8 (channels) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t channels;
    uint16_t taps;        /* kernel_h * kernel_w */
    uint16_t kernel_h;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t pad_left;
    uint16_t phases;      /* of the stride, in the tile */
    uint16_t columns;     /* elements of one phase of one channel, in the tile */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_depthwise_conv2d_tile_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_depthwise_conv2d_tile_s8_params) == 44, fedtiny_depthwise_conv2d_tile_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_depthwise_conv2d_tile_s8_params, output_max) == 43, fedtiny_depthwise_conv2d_tile_s8_params_last);

typedef struct {
    uint32_t constants; /* offset of by channel, see src/depthwise_3x3.h */
    uint16_t out_w;     /* pixels of an output row */
    uint16_t channels;  /* a multiple of 4 */
    uint16_t stride_w;
    uint16_t pad_left;
    uint16_t columns;   /* of padded input that an output row needs */
    uint16_t inner;     /* columns of the image among them */
    uint8_t form;       /* FEDTINY_DEPTHWISE_LINE or _ROUND */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;  /* clamp, inclusive */
    int8_t output_max;  /* clamp, inclusive */
} fedtiny_depthwise_conv2d_3x3_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_depthwise_conv2d_3x3_s8_params) == 24, fedtiny_depthwise_conv2d_3x3_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_depthwise_conv2d_3x3_s8_params, output_max) == 20, fedtiny_depthwise_conv2d_3x3_s8_params_last);

typedef struct {
    uint32_t weights; /* offset of float (kernel_h, kernel_w, channels) */
    uint32_t bias;    /* offset of float (channels) */
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
    uint16_t in_w;    /* pixels of an input row */
    uint16_t out_w;   /* pixels of an output row */
    uint16_t channels;
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t dilation_h;
    uint16_t dilation_w;
    uint16_t pad_left;
} fedtiny_depthwise_conv2d_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_depthwise_conv2d_f32_params) == 36, fedtiny_depthwise_conv2d_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_depthwise_conv2d_f32_params, pad_left) == 32, fedtiny_depthwise_conv2d_f32_params_last);

typedef struct {
    uint32_t weights;  /* offset of int8 (outputs, inputs) */
    uint32_t bias;     /* offset of int32 (outputs) */
    uint32_t scales;   /* offset of uint32 (outputs, 2): the words of the double s_in * s_w / s_out, low first */
    uint32_t inputs;
    uint32_t outputs;
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_fully_connected_double_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_double_s8_params) == 24, fedtiny_fully_connected_double_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_double_s8_params, output_max) == 23, fedtiny_fully_connected_double_s8_params_last);

typedef struct {
    uint32_t weights; /* offset of float (outputs, inputs) */
    uint32_t bias;    /* offset of float (outputs) */
    uint32_t inputs;
    uint32_t outputs;
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
} fedtiny_fully_connected_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_f32_params) == 24, fedtiny_fully_connected_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_f32_params, output_max) == 20, fedtiny_fully_connected_f32_params_last);

typedef struct {
    uint32_t weights;      /* offset of int8 (outputs, inputs) */
    uint32_t bias;         /* offset of int32 (outputs), less the input's zero point * sum of weights */
    int32_t multiplier;    /* out = (acc * multiplier + rounding) >> (32 + shift) */
    uint32_t rounding_low; /* low word of the int64; holds the output's zero point */
    int32_t rounding_high; /* high word */
    uint32_t inputs;
    uint32_t outputs;
    uint8_t shift;
    int8_t output_min;     /* clamp, inclusive */
    int8_t output_max;     /* clamp, inclusive */
} fedtiny_fully_connected_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_s8_params) == 32, fedtiny_fully_connected_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_s8_params, output_max) == 30, fedtiny_fully_connected_s8_params_last);

typedef struct {
    uint32_t weights;  /* offset of int8 (outputs, inputs) */
    uint32_t bias;     /* offset of int32 (outputs), less the input's zero point * sum of weights */
    uint32_t lines;    /* offset of int32 (outputs, 4): multiplier, rounding's low and high word, shift beyond 32 */
    uint32_t inputs;
    uint32_t outputs;
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_fully_connected_channels_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_channels_s8_params) == 24, fedtiny_fully_connected_channels_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_channels_s8_params, output_max) == 21, fedtiny_fully_connected_channels_s8_params_last);

typedef struct {
    uint32_t counts;       /* offset of uint16 (outputs): entries of each output */
    uint32_t entries;      /* offset of uint8 (entries, 2): delta in the input, int8 weight */
    uint32_t bias;         /* offset of int32 (outputs), less the input's zero point * sum of weights */
    int32_t multiplier;    /* out = (acc * multiplier + rounding) >> (32 + shift) */
    uint32_t rounding_low; /* low word of the int64; holds the output's zero point */
    int32_t rounding_high; /* high word */
    uint32_t inputs;
    uint32_t outputs;
    uint8_t shift;
    int8_t output_min;     /* clamp, inclusive */
    int8_t output_max;     /* clamp, inclusive */
} fedtiny_fully_connected_csr_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_csr_s8_params) == 36, fedtiny_fully_connected_csr_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_csr_s8_params, output_max) == 34, fedtiny_fully_connected_csr_s8_params_last);

typedef struct {
    uint32_t maps;         /* offset of uint32 (outputs, map_words): which weights are there, the first in the lowest bit */
    uint32_t weights;      /* offset of int8 (nonzeros) */
    uint32_t bias;         /* offset of int32 (outputs), less the input's zero point * sum of weights */
    int32_t multiplier;    /* out = (acc * multiplier + rounding) >> (32 + shift) */
    uint32_t rounding_low; /* low word of the int64; holds the output's zero point */
    int32_t rounding_high; /* high word */
    uint32_t map_words;    /* of 32 bits, of an output */
    uint32_t outputs;
    uint8_t shift;
    int8_t output_min;     /* clamp, inclusive */
    int8_t output_max;     /* clamp, inclusive */
} fedtiny_fully_connected_bitmap_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_bitmap_s8_params) == 36, fedtiny_fully_connected_bitmap_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_bitmap_s8_params, output_max) == 34, fedtiny_fully_connected_bitmap_s8_params_last);

typedef struct {
    uint32_t counts;  /* offset of uint16 (outputs): nonzeros of each output */
    uint32_t columns; /* offset of uint16 (nonzeros): the input */
    uint32_t values;  /* offset of float (nonzeros) */
    uint32_t bias;    /* offset of float (outputs) */
    uint32_t inputs;
    uint32_t outputs;
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
} fedtiny_fully_connected_csr_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_csr_f32_params) == 32, fedtiny_fully_connected_csr_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_csr_f32_params, output_max) == 28, fedtiny_fully_connected_csr_f32_params_last);

typedef struct {
    uint32_t stream;    /* offset of uint8: groups of weights, see src/fully_connected_mve.h */
    uint32_t bias;      /* offset of int32 (outputs rounded up to 4), folded */
    uint32_t more;      /* offset of uint16 (outputs rounded up to 4): groups after the first; dense: (1) */
    int32_t multiplier; /* out = ((sum * multiplier >> 31) + rounding) >> -left */
    int32_t rounding;   /* holds the output's zero point */
    uint32_t outputs;
    int8_t left;        /* negative */
    int8_t output_min;  /* clamp, inclusive */
    int8_t output_max;  /* clamp, inclusive */
} fedtiny_fully_connected_mve_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_mve_params) == 28, fedtiny_fully_connected_mve_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_mve_params, output_max) == 26, fedtiny_fully_connected_mve_params_last);

typedef struct {
    uint32_t weights;   /* offset of by 4 outputs: int32 (4) biases, int8 (inputs / 4 rounded up, 4 outputs, 4) */
    int32_t multiplier; /* out = (sum * multiplier + rounding * 2^32) >> (32 + shift) */
    int32_t rounding;   /* holds the output's zero point */
    uint32_t inputs;    /* at least 4 */
    uint32_t outputs;
    uint8_t shift;
    int8_t output_min;  /* clamp, inclusive */
    int8_t output_max;  /* clamp, inclusive */
} fedtiny_fully_connected_s8_dsp_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_s8_dsp_params) == 24, fedtiny_fully_connected_s8_dsp_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_s8_dsp_params, output_max) == 22, fedtiny_fully_connected_s8_dsp_params_last);

typedef struct {
    uint32_t entries;   /* offset of uint8 (entries, 2): delta in the input, int8 weight; even for each output */
    uint32_t bias;      /* offset of int32 (outputs), folded; see src/fully_connected.h */
    uint32_t counts;    /* offset of uint16 (outputs): words of two entries of each output */
    int32_t multiplier; /* out = (sum * multiplier + rounding * 2^32) >> (32 + shift) */
    int32_t rounding;   /* holds the output's zero point */
    uint32_t outputs;
    uint8_t shift;
    int8_t output_min;  /* clamp, inclusive */
    int8_t output_max;  /* clamp, inclusive */
} fedtiny_fully_connected_csr_s8_dsp_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_csr_s8_dsp_params) == 28, fedtiny_fully_connected_csr_s8_dsp_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_csr_s8_dsp_params, output_max) == 26, fedtiny_fully_connected_csr_s8_dsp_params_last);

typedef struct {
    uint32_t weights;   /* offset of int8 (blocks, 4) */
    uint32_t bias;      /* offset of int32 (outputs), folded; see src/fully_connected.h */
    uint32_t counts;    /* offset of uint16 (outputs): blocks of each output */
    uint32_t indices;   /* offset of uint8 (blocks): first input / 4 */
    int32_t multiplier; /* out = (sum * multiplier + rounding * 2^32) >> (32 + shift) */
    int32_t rounding;   /* holds the output's zero point */
    uint32_t outputs;
    uint8_t shift;
    int8_t output_min;  /* clamp, inclusive */
    int8_t output_max;  /* clamp, inclusive */
} fedtiny_fully_connected_block1x4_s8_dsp_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_block1x4_s8_dsp_params) == 32, fedtiny_fully_connected_block1x4_s8_dsp_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_block1x4_s8_dsp_params, output_max) == 30, fedtiny_fully_connected_block1x4_s8_dsp_params_last);

typedef struct {
    uint32_t elements;        /* of a row */
    uint32_t block;           /* elements after which an operand of one pixel begins again */
    uint32_t step_a;          /* elements from block to block of operand 0; 0 for one pixel */
    uint32_t step_b;          /* the same of operand 1 */
    uint32_t constant;        /* offset of int8: operand 1 where it is a constant */
    uint32_t constant_stride; /* bytes of the constant from row to row */
    int32_t offset_a;         /* minus the zero point of input 0 */
    int32_t multiplier_a;
    int32_t offset_b;         /* minus the zero point of input 1 */
    int32_t multiplier_b;
    int32_t offset_out;       /* zero point of the output */
    int32_t multiplier_out;
    int8_t left_shift;        /* of both inputs before they are scaled */
    int8_t shift_a;
    int8_t shift_b;
    int8_t shift_out;
    int8_t output_min;        /* clamp, inclusive */
    int8_t output_max;        /* clamp, inclusive */
} fedtiny_add_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_add_s8_params) == 56, fedtiny_add_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_add_s8_params, output_max) == 53, fedtiny_add_s8_params_last);

typedef struct {
    uint32_t table;    /* offset of int32 (256) */
    uint32_t elements; /* of a row */
    int32_t factor;    /* 2 * multiplier - 2^32 */
    int32_t divisor;   /* 2^(32 + shift) */
    uint8_t shifted;   /* which input is shifted; the other is looked up */
    uint8_t relu;      /* outputs below the zero point are clamped anyway */
    int8_t output_zero_point;
} fedtiny_add_table_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_add_table_s8_params) == 20, fedtiny_add_table_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_add_table_s8_params, output_zero_point) == 18, fedtiny_add_table_s8_params_last);

typedef struct {
    uint32_t elements; /* of a row */
    int32_t factor_a;  /* out = (a * factor_a + b * factor_b + addend) >> shift */
    int32_t factor_b;
    int32_t addend;    /* holds all zero points and the rounding */
    uint8_t shift;
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_add_line_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_add_line_s8_params) == 20, fedtiny_add_line_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_add_line_s8_params, output_max) == 18, fedtiny_add_line_s8_params_last);

typedef struct {
    uint16_t in_w;     /* pixels of an input row */
    uint16_t out_w;    /* pixels of an output row */
    uint16_t channels;
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t pad_left;
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_average_pool2d_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_average_pool2d_s8_params) == 16, fedtiny_average_pool2d_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_average_pool2d_s8_params, output_max) == 15, fedtiny_average_pool2d_s8_params_last);

typedef struct {
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
    uint16_t in_w;    /* pixels of an input row */
    uint16_t out_w;   /* pixels of an output row */
    uint16_t channels;
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t pad_left;
} fedtiny_average_pool2d_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_average_pool2d_f32_params) == 24, fedtiny_average_pool2d_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_average_pool2d_f32_params, pad_left) == 20, fedtiny_average_pool2d_f32_params_last);

typedef struct {
    uint16_t in_h;     /* rows of the input */
    uint16_t in_w;     /* pixels of an input row */
    uint16_t channels;
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_global_average_pool2d_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_global_average_pool2d_s8_params) == 8, fedtiny_global_average_pool2d_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_global_average_pool2d_s8_params, output_max) == 7, fedtiny_global_average_pool2d_s8_params_last);

typedef struct {
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
    uint16_t in_h;    /* rows of the input */
    uint16_t in_w;    /* pixels of an input row */
    uint16_t channels;
} fedtiny_global_average_pool2d_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_global_average_pool2d_f32_params) == 16, fedtiny_global_average_pool2d_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_global_average_pool2d_f32_params, channels) == 12, fedtiny_global_average_pool2d_f32_params_last);

typedef struct {
    uint32_t pixels;        /* of a row */
    int32_t multiplier;     /* scales differences of inputs to Q5.26 */
    int32_t difference_min; /* smaller differences to the greatest input count as nothing */
    uint16_t channels;
    uint8_t shift;
} fedtiny_softmax_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_softmax_s8_params) == 16, fedtiny_softmax_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_softmax_s8_params, shift) == 14, fedtiny_softmax_s8_params_last);

typedef struct {
    uint32_t pixels; /* of a row */
    float beta;      /* factor of the inputs */
    uint16_t channels;
} fedtiny_softmax_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_softmax_f32_params) == 12, fedtiny_softmax_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_softmax_f32_params, channels) == 8, fedtiny_softmax_f32_params_last);

typedef struct {
    uint32_t lead;     /* elements before plane 0 */
    uint32_t plane;    /* elements from plane to plane */
    uint32_t tail;     /* elements after the last plane */
    uint16_t height;
    uint16_t width;
    uint16_t channels;
    int8_t zero_point; /* what padding holds */
} fedtiny_convert_layout_params;
FEDTINY_ASSERT(sizeof(fedtiny_convert_layout_params) == 20, fedtiny_convert_layout_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_convert_layout_params, zero_point) == 18, fedtiny_convert_layout_params_last);

typedef struct {
    uint32_t counts;    /* offset of uint16 (out_c): nonzeros of each output channel */
    uint32_t offsets;   /* offset of uint32 (nonzeros): bytes from what tap 0 of pixel 0 reads */
    uint32_t values;    /* offset of float (nonzeros) */
    uint32_t bias;      /* offset of float (out_c) */
    float output_min;   /* clamp, inclusive */
    float output_max;   /* clamp, inclusive */
    uint32_t in_start;  /* element that tap 0 of pixel 0 reads */
    uint32_t in_plane;  /* elements from input plane to input plane */
    uint32_t out_lead;  /* elements before output plane 0 */
    uint32_t out_plane; /* elements from output plane to output plane */
    uint32_t out_tail;  /* elements after the last output plane */
    uint32_t part;      /* elements from part to part of an input plane in scratch */
    uint32_t compact;   /* element of the scratch where outputs without padding go; 0: none do */
    uint16_t in_c;
    uint16_t in_pitch;  /* elements of an input row */
    uint16_t in_rows;   /* that can be read from in_start on */
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t parts_h;   /* phases of the stride; 0 where taps point into the input itself */
    uint16_t parts_w;   /* phases of the stride, or columns of the window */
    uint16_t rows;      /* of one part of an input plane */
    uint16_t out_c;
    uint16_t out_h;
    uint16_t out_w;
} fedtiny_planes_conv_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_conv_f32_params) == 76, fedtiny_planes_conv_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_conv_f32_params, out_w) == 72, fedtiny_planes_conv_f32_params_last);

typedef struct {
    uint32_t starts;    /* offset of uint32 (blocks): element that a block's offsets count from */
    uint32_t channels;  /* offset of uint16 (blocks, out_c): output channels by their nonzeros */
    uint32_t counts;    /* offset of uint16 (blocks, out_c): nonzeros of each of these */
    uint32_t offsets;   /* offset of uint16 (nonzeros): elements from what tap 0 of pixel 0 reads */
    uint32_t values;    /* offset of float (nonzeros) */
    uint32_t bias;      /* offset of float (out_c) */
    uint32_t blocks;
    float output_min;   /* clamp, inclusive */
    float output_max;   /* clamp, inclusive */
    uint32_t in_start;  /* element that tap 0 of pixel 0 reads */
    uint32_t in_plane;  /* elements from input plane to input plane */
    uint32_t out_lead;  /* elements before output plane 0 */
    uint32_t out_plane; /* elements from output plane to output plane */
    uint32_t out_tail;  /* elements after the last output plane */
    uint32_t part;      /* elements from part to part of an input plane in scratch */
    uint32_t compact;   /* element of the scratch where outputs without padding go; 0: none do */
    uint16_t in_c;
    uint16_t in_pitch;  /* elements of an input row */
    uint16_t in_rows;   /* that can be read from in_start on */
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t parts_h;   /* phases of the stride; 0 where taps point into the input itself */
    uint16_t parts_w;   /* phases of the stride, or columns of the window */
    uint16_t rows;      /* of one part of an input plane */
    uint16_t out_c;
    uint16_t out_h;
    uint16_t out_w;
} fedtiny_planes_blocked_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_blocked_f32_params) == 88, fedtiny_planes_blocked_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_blocked_f32_params, out_w) == 84, fedtiny_planes_blocked_f32_params_last);

typedef struct {
    uint32_t offsets;   /* offset of uint32 (taps): bytes from what tap 0 of pixel 0 reads */
    uint32_t values;    /* offset of float (out_c / 4 rounded up, taps, 4) */
    uint32_t bias;      /* offset of float (out_c rounded up to 4) */
    uint32_t taps;
    float output_min;   /* clamp, inclusive */
    float output_max;   /* clamp, inclusive */
    uint32_t in_start;  /* element that tap 0 of pixel 0 reads */
    uint32_t in_plane;  /* elements from input plane to input plane */
    uint32_t out_lead;  /* elements before output plane 0 */
    uint32_t out_plane; /* elements from output plane to output plane */
    uint32_t out_tail;  /* elements after the last output plane */
    uint32_t part;      /* elements from part to part of an input plane in scratch */
    uint32_t compact;   /* element of the scratch where outputs without padding go; 0: none do */
    uint16_t in_c;
    uint16_t in_pitch;  /* elements of an input row */
    uint16_t in_rows;   /* that can be read from in_start on */
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t parts_h;   /* phases of the stride; 0 where taps point into the input itself */
    uint16_t parts_w;   /* phases of the stride, or columns of the window */
    uint16_t rows;      /* of one part of an input plane */
    uint16_t out_c;
    uint16_t out_h;
    uint16_t out_w;
} fedtiny_planes_dense_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_dense_f32_params) == 76, fedtiny_planes_dense_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_dense_f32_params, out_w) == 72, fedtiny_planes_dense_f32_params_last);

typedef struct {
    uint32_t elements; /* of a tensor, padding included */
    float output_min;  /* clamp, inclusive */
    float output_max;  /* clamp, inclusive */
} fedtiny_planes_add_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_add_f32_params) == 12, fedtiny_planes_add_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_add_f32_params, output_max) == 8, fedtiny_planes_add_f32_params_last);

typedef struct {
    uint32_t lead;    /* elements before plane 0 */
    uint32_t plane;   /* elements from plane to plane */
    uint32_t pixels;  /* of a plane */
    uint32_t channels;
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
} fedtiny_global_average_pool2d_planes_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_global_average_pool2d_planes_f32_params) == 24, fedtiny_global_average_pool2d_planes_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_global_average_pool2d_planes_f32_params, output_max) == 20, fedtiny_global_average_pool2d_planes_f32_params_last);

typedef struct {
    uint32_t elements;        /* of a row */
    uint32_t block;           /* elements after which an operand of one pixel begins again */
    uint32_t step_a;          /* elements from block to block of operand 0; 0 for one pixel */
    uint32_t step_b;          /* the same of operand 1 */
    uint32_t constant;        /* offset of int8: operand 1 where it is a constant */
    uint32_t constant_stride; /* bytes of the constant from row to row */
    int32_t offset_a;         /* minus the zero point of input 0 */
    int32_t multiplier_a;
    int32_t offset_b;         /* minus the zero point of input 1 */
    int32_t multiplier_b;
    int32_t offset_out;       /* zero point of the output */
    int32_t multiplier_out;
    uint8_t reverse;          /* operand 1 less operand 0 */
    int8_t left_shift;        /* of both inputs before they are scaled */
    int8_t shift_a;
    int8_t shift_b;
    int8_t shift_out;
    int8_t output_min;        /* clamp, inclusive */
    int8_t output_max;        /* clamp, inclusive */
} fedtiny_sub_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_sub_s8_params) == 56, fedtiny_sub_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_sub_s8_params, output_max) == 54, fedtiny_sub_s8_params_last);

typedef struct {
    uint32_t elements;        /* of a row */
    uint32_t block;           /* elements after which an operand of one pixel begins again */
    uint32_t step_a;          /* elements from block to block of operand 0; 0 for one pixel */
    uint32_t step_b;          /* the same of operand 1 */
    uint32_t constant;        /* offset of float: operand 1 where it is a constant */
    uint32_t constant_stride; /* bytes of the constant from row to row */
    uint32_t reverse;         /* operand 1 less operand 0 */
    float output_min;         /* clamp, inclusive */
    float output_max;         /* clamp, inclusive */
} fedtiny_sub_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_sub_f32_params) == 36, fedtiny_sub_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_sub_f32_params, output_max) == 32, fedtiny_sub_f32_params_last);

typedef struct {
    uint32_t elements;        /* of a row */
    uint32_t block;           /* elements after which an operand of one pixel begins again */
    uint32_t step_a;          /* elements from block to block of operand 0; 0 for one pixel */
    uint32_t step_b;          /* the same of operand 1 */
    uint32_t constant;        /* offset of int8: operand 1 where it is a constant */
    uint32_t constant_stride; /* bytes of the constant from row to row */
    int32_t offset_a;         /* minus the zero point of operand 0 */
    int32_t offset_b;         /* minus the zero point of operand 1 */
    int32_t offset_out;       /* zero point of the output */
    int32_t multiplier;
    int8_t shift;
    int8_t output_min;        /* clamp, inclusive */
    int8_t output_max;        /* clamp, inclusive */
} fedtiny_mul_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_mul_s8_params) == 44, fedtiny_mul_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_mul_s8_params, output_max) == 42, fedtiny_mul_s8_params_last);

typedef struct {
    uint32_t elements;        /* of a row */
    uint32_t block;           /* elements after which an operand of one pixel begins again */
    uint32_t step_a;          /* elements from block to block of operand 0; 0 for one pixel */
    uint32_t step_b;          /* the same of operand 1 */
    uint32_t constant;        /* offset of float: operand 1 where it is a constant */
    uint32_t constant_stride; /* bytes of the constant from row to row */
    float output_min;         /* clamp, inclusive */
    float output_max;         /* clamp, inclusive */
} fedtiny_binary_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_binary_f32_params) == 32, fedtiny_binary_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_binary_f32_params, output_max) == 28, fedtiny_binary_f32_params_last);

typedef struct {
    uint32_t table;    /* offset of int8 (256): the outputs of -128 .. 127 */
    uint32_t elements; /* of a row */
} fedtiny_unary_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_unary_s8_params) == 8, fedtiny_unary_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_unary_s8_params, elements) == 4, fedtiny_unary_s8_params_last);

typedef struct {
    uint32_t elements; /* of a row */
    uint32_t function; /* its number in unary_f32.c */
    float alpha;
    float beta;
} fedtiny_unary_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_unary_f32_params) == 16, fedtiny_unary_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_unary_f32_params, beta) == 12, fedtiny_unary_f32_params_last);

typedef struct {
    uint16_t in_w;     /* pixels of an input row */
    uint16_t out_w;    /* pixels of an output row */
    uint16_t channels;
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t pad_left;
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_max_pool2d_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_max_pool2d_s8_params) == 16, fedtiny_max_pool2d_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_max_pool2d_s8_params, output_max) == 15, fedtiny_max_pool2d_s8_params_last);

typedef struct {
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
    uint16_t in_w;    /* pixels of an input row */
    uint16_t out_w;   /* pixels of an output row */
    uint16_t channels;
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_w;
    uint16_t pad_left;
} fedtiny_max_pool2d_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_max_pool2d_f32_params) == 24, fedtiny_max_pool2d_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_max_pool2d_f32_params, pad_left) == 20, fedtiny_max_pool2d_f32_params_last);

typedef struct {
    uint16_t in_h;     /* rows of the input */
    uint16_t in_w;     /* pixels of an input row */
    uint16_t channels;
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_global_max_pool2d_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_global_max_pool2d_s8_params) == 8, fedtiny_global_max_pool2d_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_global_max_pool2d_s8_params, output_max) == 7, fedtiny_global_max_pool2d_s8_params_last);

typedef struct {
    float output_min; /* clamp, inclusive */
    float output_max; /* clamp, inclusive */
    uint16_t in_h;    /* rows of the input */
    uint16_t in_w;    /* pixels of an input row */
    uint16_t channels;
} fedtiny_global_max_pool2d_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_global_max_pool2d_f32_params) == 16, fedtiny_global_max_pool2d_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_global_max_pool2d_f32_params, channels) == 12, fedtiny_global_max_pool2d_f32_params_last);

typedef struct {
    uint32_t pixels;     /* of a row */
    uint32_t channels_a; /* of input 0 */
    uint32_t channels_b; /* of input 1 */
} fedtiny_concat_params;
FEDTINY_ASSERT(sizeof(fedtiny_concat_params) == 12, fedtiny_concat_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_concat_params, channels_b) == 8, fedtiny_concat_params_last);

typedef struct {
    int32_t offset_in;  /* minus the input's zero point for every value of a sum */
    int32_t multiplier;
    int32_t offset_out; /* zero point of the output */
    uint16_t in_h;      /* rows of the input */
    uint16_t in_w;      /* pixels of an input row */
    uint16_t channels;
    int8_t shift;
} fedtiny_mean_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_mean_s8_params) == 20, fedtiny_mean_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_mean_s8_params, shift) == 18, fedtiny_mean_s8_params_last);

typedef struct {
    uint16_t in_h; /* rows of the input */
    uint16_t in_w; /* pixels of an input row */
    uint16_t channels;
} fedtiny_mean_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_mean_f32_params) == 6, fedtiny_mean_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_mean_f32_params, channels) == 4, fedtiny_mean_f32_params_last);

typedef struct {
    uint32_t counts;       /* offset of uint8 (blocks, tables, groups): steps of each group */
    uint32_t steps;        /* offset of uint8 (steps, 2, 16): numbers of inputs, int8 weights */
    uint32_t bias;         /* offset of int32 (outputs, every block filled up to groups), folded, sorted */
    uint32_t where;        /* offset of uint8 (outputs): places in the sorted block */
    int32_t multiplier;
    uint32_t rounding_low; /* of an int64 */
    int32_t rounding_high;
    uint32_t inputs;
    uint32_t outputs;
    uint8_t shift;         /* beyond 32 */
    int8_t output_min;     /* clamp, inclusive */
    int8_t output_max;     /* clamp, inclusive */
} fedtiny_fully_connected_table_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_fully_connected_table_s8_params) == 40, fedtiny_fully_connected_table_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_fully_connected_table_s8_params, output_max) == 38, fedtiny_fully_connected_table_s8_params_last);

typedef struct {
    uint32_t elements; /* of an output row */
    uint32_t before;   /* elements before the first run */
    uint32_t run;      /* elements that are copied together */
    uint32_t between;  /* elements from run to run that are not copied */
    uint32_t runs;     /* of a row */
    int8_t value;      /* what padding holds */
} fedtiny_pad_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_pad_s8_params) == 24, fedtiny_pad_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_pad_s8_params, value) == 20, fedtiny_pad_s8_params_last);

typedef struct {
    uint32_t elements; /* of an output row */
    uint32_t before;   /* elements before the first run */
    uint32_t run;      /* elements that are copied together */
    uint32_t between;  /* elements from run to run that are not copied */
    uint32_t runs;     /* of a row */
    float value;       /* what padding holds */
} fedtiny_pad_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_pad_f32_params) == 24, fedtiny_pad_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_pad_f32_params, value) == 20, fedtiny_pad_f32_params_last);

typedef struct {
    uint32_t columns;   /* offset of uint16 (out_w): input column of every output column */
    uint32_t rows;      /* offset of uint16 (out_h): input row of every output row, in its step */
    uint16_t out_w;     /* pixels of an output row */
    uint16_t channels;
    uint16_t step_rows; /* output rows of a step */
} fedtiny_resize_nearest_params;
FEDTINY_ASSERT(sizeof(fedtiny_resize_nearest_params) == 16, fedtiny_resize_nearest_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_resize_nearest_params, step_rows) == 12, fedtiny_resize_nearest_params_last);

typedef struct {
    uint32_t columns;        /* offset of uint16 (out_w, 2): input columns of every output column */
    uint32_t rows;           /* offset of uint16 (out_h, 2): input rows of every output row, in its step */
    uint32_t column_weights; /* offset of int16 (out_w): of the second column */
    uint32_t row_weights;    /* offset of int16 (out_h): of the second row */
    uint16_t out_w;          /* pixels of an output row */
    uint16_t channels;
    uint16_t step_rows;      /* output rows of a step */
} fedtiny_resize_bilinear_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_resize_bilinear_s8_params) == 24, fedtiny_resize_bilinear_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_resize_bilinear_s8_params, step_rows) == 20, fedtiny_resize_bilinear_s8_params_last);

typedef struct {
    uint32_t columns;        /* offset of uint16 (out_w, 2): input columns of every output column */
    uint32_t rows;           /* offset of uint16 (out_h, 2): input rows of every output row, in its step */
    uint32_t column_weights; /* offset of float (out_w): of the second column */
    uint32_t row_weights;    /* offset of float (out_h): of the second row */
    uint16_t out_w;          /* pixels of an output row */
    uint16_t channels;
    uint16_t step_rows;      /* output rows of a step */
} fedtiny_resize_bilinear_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_resize_bilinear_f32_params) == 24, fedtiny_resize_bilinear_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_resize_bilinear_f32_params, step_rows) == 20, fedtiny_resize_bilinear_f32_params_last);

typedef struct {
    uint32_t step_stride;    /* elements from one output row to the next, in the input */
    uint32_t pixels;         /* of an output row */
    uint32_t pixel_stride;   /* elements from one output pixel to the next, in the input */
    uint32_t channels;       /* of an output pixel */
    uint32_t channel_stride; /* elements from one output channel to the next, in the input */
} fedtiny_strided_params;
FEDTINY_ASSERT(sizeof(fedtiny_strided_params) == 20, fedtiny_strided_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_strided_params, channel_stride) == 16, fedtiny_strided_params_last);

typedef struct {
    uint32_t weights;     /* offset of int8 (out_c, kernel_h, kernel_w, in_c / groups) */
    uint32_t bias;        /* offset of int32 (out_c) */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint16_t in_w;        /* pixels of an input row */
    uint16_t in_c;        /* channels of an input pixel */
    uint16_t out_w;       /* pixels of an output row */
    uint16_t out_c;       /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t crop_top;
    uint16_t crop_left;
    uint16_t groups;
    int16_t first_row;    /* of the input, that step 0 is given */
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_transpose_conv2d_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_transpose_conv2d_s8_params) == 44, fedtiny_transpose_conv2d_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_transpose_conv2d_s8_params, output_max) == 43, fedtiny_transpose_conv2d_s8_params_last);

typedef struct {
    uint32_t weights;  /* offset of float (out_c, kernel_h, kernel_w, in_c / groups) */
    uint32_t bias;     /* offset of float (out_c) */
    float output_min;  /* clamp, inclusive */
    float output_max;  /* clamp, inclusive */
    uint16_t in_w;     /* pixels of an input row */
    uint16_t in_c;     /* channels of an input pixel */
    uint16_t out_w;    /* pixels of an output row */
    uint16_t out_c;    /* channels of an output pixel */
    uint16_t kernel_h;
    uint16_t kernel_w;
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t crop_top;
    uint16_t crop_left;
    uint16_t groups;
    int16_t first_row; /* of the input, that step 0 is given */
} fedtiny_transpose_conv2d_f32_params;
FEDTINY_ASSERT(sizeof(fedtiny_transpose_conv2d_f32_params) == 40, fedtiny_transpose_conv2d_f32_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_transpose_conv2d_f32_params, first_row) == 38, fedtiny_transpose_conv2d_f32_params_last);

typedef struct {
    uint32_t groups;      /* offset of uint16 (out_c): groups of nonzeros of each output channel */
    uint32_t counts;      /* offset of uint16 (out_c): nonzeros of each output channel */
    uint32_t sizes;       /* offset of uint8 (groups): nonzeros of each group */
    uint32_t offsets;     /* offset of uint32 (nonzeros): bytes from what tap 0 of pixel 0 reads */
    uint32_t weights;     /* offset of int8 (nonzeros) */
    uint32_t bias;        /* offset of int32 (out_c), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint32_t in_start;    /* element that tap 0 of pixel 0 reads */
    uint32_t in_plane;    /* elements from input plane to input plane */
    uint32_t out_lead;    /* elements before output plane 0 */
    uint32_t out_plane;   /* elements from output plane to output plane */
    uint32_t out_tail;    /* elements after the last output plane */
    uint32_t part;        /* elements from part to part of an input plane in scratch */
    uint32_t compact;     /* element of the scratch where outputs without padding go; 0: none do */
    uint16_t in_c;
    uint16_t in_pitch;    /* elements of an input row */
    uint16_t in_rows;     /* that can be read from in_start on */
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t parts_h;     /* phases of the stride; 0 where taps point into the input itself */
    uint16_t parts_w;     /* phases of the stride, or columns of the window */
    uint16_t rows;        /* of one part of an input plane */
    uint16_t out_c;
    uint16_t out_h;
    uint16_t out_w;
    int8_t output_zero_point;
    int8_t ties;          /* 1 where the clamp does not hide halves of negative numbers */
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_planes_conv_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_conv_s8_params) == 88, fedtiny_planes_conv_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_conv_s8_params, output_max) == 85, fedtiny_planes_conv_s8_params_last);

typedef struct {
    uint32_t outputs;     /* offset of uint16 (out_c): output channels by their groups */
    uint32_t groups;      /* offset of uint16 (out_c, segments): groups of each of these */
    uint32_t offsets;     /* offset of uint16 (groups, pairs, 2): bytes from what tap 0 of pixel 0 reads */
    uint32_t weights;     /* offset of int8 (groups, pairs, 2, 2): the two of a pair, twice */
    uint32_t bias;        /* offset of int32 (out_c), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint32_t read;        /* bytes of the scratch that taps read */
    uint16_t pairs;       /* of a group, 1 to 4 */
    uint16_t segments;    /* of 65536 bytes that taps reach */
    uint32_t in_start;    /* element that tap 0 of pixel 0 reads */
    uint32_t in_plane;    /* elements from input plane to input plane */
    uint32_t out_lead;    /* elements before output plane 0 */
    uint32_t out_plane;   /* elements from output plane to output plane */
    uint32_t out_tail;    /* elements after the last output plane */
    uint32_t part;        /* elements from part to part of an input plane in scratch */
    uint32_t compact;     /* element of the scratch where outputs without padding go; 0: none do */
    uint16_t in_c;
    uint16_t in_pitch;    /* elements of an input row */
    uint16_t in_rows;     /* that can be read from in_start on */
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t parts_h;     /* phases of the stride; 0 where taps point into the input itself */
    uint16_t parts_w;     /* phases of the stride, or columns of the window */
    uint16_t rows;        /* of one part of an input plane */
    uint16_t out_c;
    uint16_t out_h;
    uint16_t out_w;
    int8_t output_zero_point;
    int8_t ties;          /* 1 where the clamp does not hide halves of negative numbers */
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_planes_pairs_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_pairs_s8_params) == 92, fedtiny_planes_pairs_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_pairs_s8_params, output_max) == 89, fedtiny_planes_pairs_s8_params_last);

typedef struct {
    uint32_t offsets;     /* offset of uint32 (groups, 4): bytes from what tap 0 of pixel 0 reads */
    uint32_t weights;     /* offset of int8 (out_c / 2 rounded up, groups, 2, 4) */
    uint32_t bias;        /* offset of int32 (out_c rounded up to 2), less input_zero_point * sum of weights */
    uint32_t multipliers; /* offset of int32 (out_c) */
    uint32_t shifts;      /* offset of int8 (out_c) */
    uint32_t groups;      /* of four taps */
    uint32_t mixed;       /* byte of the scratch where interleaved pixels begin */
    uint32_t in_start;    /* element that tap 0 of pixel 0 reads */
    uint32_t in_plane;    /* elements from input plane to input plane */
    uint32_t out_lead;    /* elements before output plane 0 */
    uint32_t out_plane;   /* elements from output plane to output plane */
    uint32_t out_tail;    /* elements after the last output plane */
    uint32_t part;        /* elements from part to part of an input plane in scratch */
    uint32_t compact;     /* element of the scratch where outputs without padding go; 0: none do */
    uint16_t in_c;
    uint16_t in_pitch;    /* elements of an input row */
    uint16_t in_rows;     /* that can be read from in_start on */
    uint16_t stride_h;
    uint16_t stride_w;
    uint16_t parts_h;     /* phases of the stride; 0 where taps point into the input itself */
    uint16_t parts_w;     /* phases of the stride, or columns of the window */
    uint16_t rows;        /* of one part of an input plane */
    uint16_t out_c;
    uint16_t out_h;
    uint16_t out_w;
    int8_t output_zero_point;
    int8_t ties;          /* 1 where the clamp does not hide halves of negative numbers */
    int8_t output_min;    /* clamp, inclusive */
    int8_t output_max;    /* clamp, inclusive */
} fedtiny_planes_dense_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_dense_s8_params) == 84, fedtiny_planes_dense_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_dense_s8_params, output_max) == 81, fedtiny_planes_dense_s8_params_last);

typedef struct {
    uint32_t elements; /* of a tensor, padding included */
    int32_t factor_a;
    int32_t factor_b;
    int32_t addend;
    int32_t shift;     /* 16 .. 31 */
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_planes_add_line_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_add_line_s8_params) == 24, fedtiny_planes_add_line_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_add_line_s8_params, output_max) == 21, fedtiny_planes_add_line_s8_params_last);

typedef struct {
    uint32_t elements;  /* of a tensor, padding included */
    int32_t offset_a;   /* minus the zero point of input 0 */
    int32_t multiplier_a;
    int32_t offset_b;   /* minus the zero point of input 1 */
    int32_t multiplier_b;
    int32_t offset_out; /* zero point of the output */
    int32_t multiplier_out;
    int8_t shift_a;
    int8_t shift_b;
    int8_t shift_out;
    int8_t ties;        /* 1 where the clamp does not hide halves of negative numbers */
    int8_t output_min;  /* clamp, inclusive */
    int8_t output_max;  /* clamp, inclusive */
} fedtiny_planes_add_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_planes_add_s8_params) == 36, fedtiny_planes_add_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_planes_add_s8_params, output_max) == 33, fedtiny_planes_add_s8_params_last);

typedef struct {
    uint32_t lead;     /* elements before plane 0 */
    uint32_t plane;    /* elements from plane to plane */
    uint32_t pixels;   /* of a plane */
    uint32_t channels;
    int8_t zero_point; /* of the input: what padding holds */
    int8_t output_min; /* clamp, inclusive */
    int8_t output_max; /* clamp, inclusive */
} fedtiny_global_average_pool2d_planes_s8_params;
FEDTINY_ASSERT(sizeof(fedtiny_global_average_pool2d_planes_s8_params) == 20, fedtiny_global_average_pool2d_planes_s8_params_size);
FEDTINY_ASSERT(offsetof(fedtiny_global_average_pool2d_planes_s8_params, output_max) == 18, fedtiny_global_average_pool2d_planes_s8_params_last);


fedtiny_status fedtiny_conv2d_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_f32(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_im2col_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_csr_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_csr_taps_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_bitmap_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_csr_f32(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_pairs_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_pairs_lean_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_pairs_rows_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_pairs_rows_lean_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_dense_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_lanes_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_lanes_rows_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_gather_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_gather_rows_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_block1x4_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_block1x4_rows_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_dense_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_dense_rows_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_s8(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_f32(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_tile_s8(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_pairs_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_pairs_rows_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_3x3_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_lanes_s8(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_lanes_rows_s8(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_rows_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_double_s8(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_f32(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_s8(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_channels_s8(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_csr_s8(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_bitmap_s8(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_csr_f32(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_csr_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_block1x4_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_gather_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_block1x4_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_dense_s8_mve(const fedtiny_call *call);
fedtiny_status fedtiny_add_s8(const fedtiny_call *call);
fedtiny_status fedtiny_add_f32(const fedtiny_call *call);
fedtiny_status fedtiny_add_table_s8_dsp(const fedtiny_call *call);
fedtiny_status fedtiny_add_line_s8(const fedtiny_call *call);
fedtiny_status fedtiny_average_pool2d_s8(const fedtiny_call *call);
fedtiny_status fedtiny_average_pool2d_f32(const fedtiny_call *call);
fedtiny_status fedtiny_global_average_pool2d_s8(const fedtiny_call *call);
fedtiny_status fedtiny_global_average_pool2d_f32(const fedtiny_call *call);
fedtiny_status fedtiny_softmax_s8(const fedtiny_call *call);
fedtiny_status fedtiny_softmax_f32(const fedtiny_call *call);
fedtiny_status fedtiny_hwc_to_chw_f32(const fedtiny_call *call);
fedtiny_status fedtiny_chw_to_hwc_f32(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_planes_f32(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_planes_blocked_f32(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_planes_dense_f32(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_planes_f32(const fedtiny_call *call);
fedtiny_status fedtiny_add_planes_f32(const fedtiny_call *call);
fedtiny_status fedtiny_global_average_pool2d_planes_f32(const fedtiny_call *call);
fedtiny_status fedtiny_sub_s8(const fedtiny_call *call);
fedtiny_status fedtiny_sub_f32(const fedtiny_call *call);
fedtiny_status fedtiny_mul_s8(const fedtiny_call *call);
fedtiny_status fedtiny_mul_f32(const fedtiny_call *call);
fedtiny_status fedtiny_unary_s8(const fedtiny_call *call);
fedtiny_status fedtiny_unary_f32(const fedtiny_call *call);
fedtiny_status fedtiny_max_pool2d_s8(const fedtiny_call *call);
fedtiny_status fedtiny_max_pool2d_f32(const fedtiny_call *call);
fedtiny_status fedtiny_global_max_pool2d_s8(const fedtiny_call *call);
fedtiny_status fedtiny_global_max_pool2d_f32(const fedtiny_call *call);
fedtiny_status fedtiny_concat_s8(const fedtiny_call *call);
fedtiny_status fedtiny_concat_f32(const fedtiny_call *call);
fedtiny_status fedtiny_mean_s8(const fedtiny_call *call);
fedtiny_status fedtiny_mean_f32(const fedtiny_call *call);
fedtiny_status fedtiny_fully_connected_table_s8(const fedtiny_call *call);
fedtiny_status fedtiny_pad_s8(const fedtiny_call *call);
fedtiny_status fedtiny_pad_f32(const fedtiny_call *call);
fedtiny_status fedtiny_resize_nearest_s8(const fedtiny_call *call);
fedtiny_status fedtiny_resize_nearest_f32(const fedtiny_call *call);
fedtiny_status fedtiny_resize_bilinear_s8(const fedtiny_call *call);
fedtiny_status fedtiny_resize_bilinear_f32(const fedtiny_call *call);
fedtiny_status fedtiny_transpose_s8(const fedtiny_call *call);
fedtiny_status fedtiny_transpose_f32(const fedtiny_call *call);
fedtiny_status fedtiny_broadcast_s8(const fedtiny_call *call);
fedtiny_status fedtiny_broadcast_f32(const fedtiny_call *call);
fedtiny_status fedtiny_transpose_conv2d_s8(const fedtiny_call *call);
fedtiny_status fedtiny_transpose_conv2d_f32(const fedtiny_call *call);
fedtiny_status fedtiny_hwc_to_chw_s8(const fedtiny_call *call);
fedtiny_status fedtiny_chw_to_hwc_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_planes_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_planes_dense_s8_dot(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_planes_s8(const fedtiny_call *call);
fedtiny_status fedtiny_conv2d_planes_pairs_s8(const fedtiny_call *call);
fedtiny_status fedtiny_depthwise_conv2d_planes_pairs_s8(const fedtiny_call *call);
fedtiny_status fedtiny_add_planes_s8(const fedtiny_call *call);
fedtiny_status fedtiny_add_planes_line_s8(const fedtiny_call *call);
fedtiny_status fedtiny_global_average_pool2d_planes_s8(const fedtiny_call *call);

#ifdef __cplusplus
}
#endif

#endif
