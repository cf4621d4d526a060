/* What a step of training is made of. Python lays these structs out and owns all their memory. */
#ifndef FEDTINY_TRAINING_LAYERS_H
#define FEDTINY_TRAINING_LAYERS_H

#include "lanes.h"

#define GROUP 4 /* output channels of a dense tile */
#define TAPS  3 /* of a tile of weight gradients */

/* An activation of all samples: [block][channel][height + borders][width + borders][LANES]. */
typedef struct {
    float *data;
    float *gradient; /* the same layout; NULL where none is needed */
    int32_t channels, height, width;
    int32_t border_y, border_x; /* zeros on either side, which nothing writes */
} tensor;

/* Batch normalization of one tensor's channels. */
typedef struct {
    const float *scale, *shift;
    const float
        *bias; /* of the convolution before it, which only the running mean shows; or NULL */
    float *scale_gradient, *shift_gradient;
    float *running_mean, *running_variance;
    float *sums;          /* [channels][2][LANES]: of y and y * y over what was computed so far */
    float *gradient_sums; /* [channels][2][LANES]: of g and g * y */
    float *a, *b;         /* normalized = a * y + b */
    float *mean, *inverse;
    float *from_g, *from_y, *constant; /* gradient of y = from_g * g + from_y * y + constant */
    float momentum, epsilon;
    int32_t channels;
    int32_t values; /* of each channel in one sample */
} norm;

/* Where a tile's vectors lie: `count` rows of `width` positions. */
typedef struct {
    int32_t rows, width;
    int32_t row_step, step; /* floats from one position to the next */
} grid;

/* A set of weights to run over a grid, as nonzeros by output channel or as a dense block. */
typedef struct {
    const int32_t *starts;  /* sparse: [outputs + 1]; NULL where dense */
    const int32_t *offsets; /* floats from a position's origin; dense: one a tap */
    float *weights;         /* sparse: one an offset; dense: [outputs / 4][taps][4] */
    float *products;        /* sparse, backward: [nonzeros][LANES], sums of X * dY */
    const int32_t *source;  /* of each weight its place in the parameter; -1 is a zero */
    int32_t outputs, taps, weights_count;
    int32_t origin; /* floats from the source's start to the first position's origin */
    int32_t target; /* floats from the target's start to the first position */
    int32_t plane;  /* of the target: floats from one channel to the next */
    grid source_grid, target_grid;
} gather;

/* Buffers and strides of a dense 3 x 3 convolution of stride 1 in tiles of 2 x 2 outputs. */
typedef struct {
    float *forward, *turned; /* transformed weights, of both passes */
    float *input, *output;   /* transformed tiles: [16][channels][tiles][LANES] */
    const int32_t *offsets;  /* of channels in these, a multiple of TAPS */
    int32_t tiles, strip;    /* most tiles at once, in so many rows of them */
    int32_t down, across;    /* rows of tiles, tiles of a row */
    int32_t height, width;
    int32_t source_row, source_plane, target_row, target_plane; /* set for each pass */
    int32_t gradient_row, gradient_plane;
} winograd;

/* A convolution, of any groups, stride and size, or a linear layer. */
typedef struct {
    const float *weight;
    float *weight_gradient;
    const float *bias; /* NULL where there is none */
    float *bias_gradient;
    int32_t input, output;  /* tensors */
    int32_t normalized;     /* norm that reads the output, -1 for none */
    int32_t followed;       /* tensor whose gradient the norm's is made from */
    int32_t input_gradient; /* 0 none, 1 store, 2 add */
    gather forward;
    int32_t phases; /* of the input's positions, which differ in the taps that reach them */
    gather *backward;
    float *scratch; /* gradient of the output with zeros around it, one block */
    int32_t scratch_border_y, scratch_border_x;
    const int32_t *taps;   /* dense: offsets of all taps in the input, a multiple of TAPS */
    int32_t tap_count;     /* without what fills up */
    float *products;       /* dense: [outputs / 4][taps / 3][4][3][LANES] */
    const winograd *tiled; /* dense: how it is computed in tiles; NULL where it is not */
    const float *kept;     /* dense under a mask: 1 or 0 a weight; NULL keeps all */
} convolution;

/* act(sum of terms), each term a tensor that may be normalized. */
typedef struct {
    int32_t output, count;
    int32_t terms[2], norms[2]; /* norm -1 for none */
    int32_t adds[2];            /* a plain term's gradient: 0 none, 1 store, 2 add */
    int32_t rectified;
    float ceiling; /* of a rectified sum; infinite for none */
} combination;

typedef struct {
    int32_t input, output;
    int32_t kernel_y, kernel_x, stride_y, stride_x, pad_y, pad_x;
    int32_t maximum; /* else the mean */
    int32_t adds;    /* 1 store, 2 add */
} pooling;

/* What is in the last block: sums of all lanes count `samples` only. */
typedef struct {
    int32_t samples, blocks;
    const float *valid; /* [blocks][LANES]: 1 where there is a sample */
} batch;

long tensor_block(const tensor *t);
long tensor_origin(const tensor *t);

void gather_forward(const gather *g, const float *source, float *target, int add, float *sums);
void gather_backward(const gather *g, const float *gradient, const float *input, float *target,
                     int how);
void dense_products(float *sums, const int32_t *taps, int tap_count, int outputs,
                    const float *gradient, long gradient_plane, long gradient_row,
                    long gradient_step, const float *input, long input_row, long input_step,
                    int rows, int width);
void winograd_forward(const winograd *w, const float *weights, int inputs, int outputs,
                      const float *source, float *target, int add, float *sums);
void winograd_products(const winograd *w, float *sums, int inputs, int outputs, const float *source,
                       const float *gradient);
void winograd_pack(float *to, const float *weight, int inputs, int outputs, int turned);
void winograd_collect(float *sums, float *gradient, int inputs, int outputs);
void collect_gradient(convolution *c);
void pack_weights(convolution *c);

void combine_forward(const combination *c, const tensor *tensors, const norm *norms,
                     const batch *batch, int block);
void combine_backward(const combination *c, const tensor *tensors, const norm *norms, int block);
void output_gradient(const convolution *c, const tensor *tensors, const norm *norms,
                     const batch *batch, int block, float *scratch);
void add_bias(const convolution *c, const tensor *tensors, const batch *batch, int block);
void norm_forward(norm *n, int samples);
void norm_evaluate(norm *n);
void norm_backward(norm *n, int samples);
void pool_forward(const pooling *p, const tensor *tensors, int block);
void pool_backward(const pooling *p, const tensor *tensors, int block);

#endif
