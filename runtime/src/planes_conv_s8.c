/* Convolution over nonzeros on padded channel planes, int8; its geometry is planes_conv_f32.c's.
 *
 * Nonzeros come in groups whose weights have magnitudes of at most 255 in sum, so that a group's
 * products add up in 16 bits. Padding holds the input's zero point, the bias what that adds.
 *
 * Cores with dot products take the nonzeros of an output four at a time, whatever their group: the
 * pixels of four are interleaved, and a dot product adds four products to each of four sums. Both
 * ways give the same numbers from the same constants. */
#include "src/planes_conv_s8.h"
#include "src/features.h"
#include "src/planes.h"
#include "src/simd_s8_dot.h"

enum { TILE = 4 }; /* vectors of pixels: 4 * 4 sums of 32 bits and 4 * 2 of 16 stay in registers */

typedef struct {
    const int8_t *in; /* what tap 0 of output pixel 0 reads */
    int8_t *out;      /* pixel 0 of plane 0 */
    const uint16_t *groups;
    const uint16_t *counts; /* nonzeros of each output channel */
    const uint8_t *sizes;
    const uint32_t *offsets;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
    fedtiny_scaling scaling; /* multiplier and shift are those of a channel */
    size_t channels;
    size_t plane; /* elements from output plane to output plane */
} job_t;

/* sums += weight * a run of pixels. */
FEDTINY_INLINE void add_tap(fedtiny_sum16 *sum, const int8_t *x, fedtiny_weight w, int count) {
    fedtiny_pixels run[TILE];
    fedtiny_pixels_load_run(x, run, count);
    FEDTINY_UNROLL
    for (int i = 0; i < count; i++) {
        fedtiny_add_products(&sum[i], run[i], w);
    }
}

/* Where a kernel stands in the nonzeros. */
typedef struct {
    const uint8_t *size;
    const uint32_t *offset;
    const int8_t *weight;
} place_t;

/* The products of the next group. */
FEDTINY_INLINE void add_group(fedtiny_sum16 *sum, const int8_t *in, place_t *at, int count) {
    fedtiny_pixels run[TILE];
    const fedtiny_weight w = fedtiny_weight_next(&at->weight);
    fedtiny_pixels_load_run(in + *at->offset++, run, count);
    FEDTINY_UNROLL
    for (int i = 0; i < count; i++) {
        sum[i] = fedtiny_products(run[i], w);
    }
    size_t left = *at->size++;
    if (left % 2 != 0) {
        add_tap(sum, in + *at->offset++, fedtiny_weight_next(&at->weight), count);
    }
    for (left /= 2; left > 0; left--) {
        add_tap(sum, in + *at->offset++, fedtiny_weight_next(&at->weight), count);
        add_tap(sum, in + *at->offset++, fedtiny_weight_next(&at->weight), count);
    }
}

/* The pixels of a channel from their sums. */
FEDTINY_INLINE void store_run(int8_t *out, const fedtiny_sum32 *sum, int count, const job_t *job,
                              size_t channel, fedtiny_scaling scaling) {
    scaling.multiplier = job->multipliers[channel];
    scaling.shift = job->shifts[channel];
    FEDTINY_UNROLL
    for (int i = 0; i < count; i++) {
        fedtiny_store_pixels(out + i * FEDTINY_PIXELS, &sum[i], &scaling);
    }
}

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count, int ties) {
    const int8_t *in = job->in + first;
    place_t at = {job->sizes, job->offsets, job->weights};
    int8_t *out = job->out + first;
    fedtiny_scaling scaling = job->scaling;
    scaling.ties = ties;
    FEDTINY_ONE_REGISTER(in);
    for (size_t c = 0; c < job->channels; c++, out += job->plane) {
        const fedtiny_sum32 start = fedtiny_start(job->bias[c]);
        fedtiny_sum32 sum[TILE];
        size_t groups = job->groups[c];
        if (groups == 0) {
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[i] = start;
            }
        } else {
            fedtiny_sum16 part[TILE];
            add_group(part, in, &at, count);
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[i] = fedtiny_with(start, part[i]);
            }
            while (--groups > 0) {
                fedtiny_sum16 more[TILE];
                add_group(more, in, &at, count);
                FEDTINY_UNROLL
                for (int i = 0; i < count; i++) {
                    sum[i] = fedtiny_with(sum[i], more[i]);
                }
            }
        }
        store_run(out, sum, count, job, c, scaling);
    }
}

/* The same by dot products. */
FEDTINY_DOT_INLINE void run_tile_dot(const job_t *job, size_t first, int count, int ties) {
    const int8_t *in = job->in + first;
    const uint32_t *offset = job->offsets;
    const int8_t *weight = job->weights;
    int8_t *out = job->out + first;
    fedtiny_scaling scaling = job->scaling;
    scaling.ties = ties;
    FEDTINY_ONE_REGISTER(in);
    for (size_t c = 0; c < job->channels; c++, out += job->plane) {
        fedtiny_sum32 sum[TILE];
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            sum[i] = fedtiny_start(job->bias[c]);
        }
        size_t left = job->counts[c];
        for (; left >= 4; left -= 4, offset += 4) {
            const fedtiny_four w = fedtiny_weights4(&weight);
            fedtiny_pixels run[4][TILE];
            FEDTINY_UNROLL
            for (int k = 0; k < 4; k++) {
                fedtiny_pixels_load_run(in + offset[k], run[k], count);
            }
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                const fedtiny_mixed mixed = fedtiny_mix(run[0][i], run[1][i], run[2][i], run[3][i]);
                sum[i] = fedtiny_dot(sum[i], mixed, w);
            }
        }
        while (left > 0) { /* the products of two still fit 16 bits */
            fedtiny_pixels run[TILE];
            fedtiny_sum16 part[TILE];
            const fedtiny_weight w = fedtiny_weight_next(&weight);
            fedtiny_pixels_load_run(in + *offset++, run, count);
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                part[i] = fedtiny_products(run[i], w);
            }
            if (--left > 0) {
                add_tap(part, in + *offset++, fedtiny_weight_next(&weight), count);
                left--;
            }
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[i] = fedtiny_with(sum[i], part[i]);
            }
        }
        store_run(out, sum, count, job, c, scaling);
    }
}

/* A tile of 1 to TILE vectors. */
#define CHOOSE(run, count, ties)                                                                   \
    switch (count) {                                                                               \
    case 1:                                                                                        \
        run(job, first, 1, ties);                                                                  \
        break;                                                                                     \
    case 2:                                                                                        \
        run(job, first, 2, ties);                                                                  \
        break;                                                                                     \
    case 3:                                                                                        \
        run(job, first, 3, ties);                                                                  \
        break;                                                                                     \
    default:                                                                                       \
        run(job, first, TILE, ties);                                                               \
        break;                                                                                     \
    }

static void run_plain(const job_t *job, size_t first, size_t count) {
    if (job->scaling.ties) {
        CHOOSE(run_tile, count, 1)
    } else {
        CHOOSE(run_tile, count, 0)
    }
}

FEDTINY_DOT static void run_dot(const job_t *job, size_t first, size_t count) {
    if (job->scaling.ties) {
        CHOOSE(run_tile_dot, count, 1)
    } else {
        CHOOSE(run_tile_dot, count, 0)
    }
}

/* All pixels, in tiles of about equal size. */
static void run_tiles(const job_t *job, size_t pixels) {
    const size_t vectors = (pixels + FEDTINY_PIXELS - 1) / FEDTINY_PIXELS;
    const size_t tiles = (vectors + TILE - 1) / TILE;
    size_t done = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t count = (vectors - done) / (tiles - tile), first = done * FEDTINY_PIXELS;
        if (fedtiny_has_dot_products()) {
            run_dot(job, first, count);
        } else {
            run_plain(job, first, count);
        }
        done += count;
    }
}

fedtiny_status fedtiny_planes_conv_s8(const fedtiny_call *call) {
    const fedtiny_planes_conv_s8_params *p = call->params;
    const fedtiny_planes planes = FEDTINY_PLANES(p);
    const fedtiny_planes_run run = fedtiny_planes_begin(
        &planes, (const int8_t *)call->in[0] + p->in_start, call->scratch, call->out[0], 1);
    const job_t job = {run.in,
                       run.out,
                       fedtiny_constant(call, p->groups),
                       fedtiny_constant(call, p->counts),
                       fedtiny_constant(call, p->sizes),
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->weights),
                       fedtiny_constant(call, p->bias),
                       fedtiny_constant(call, p->multipliers),
                       fedtiny_constant(call, p->shifts),
                       {0, 0, p->output_zero_point, p->output_min, p->output_max, p->ties},
                       p->out_c,
                       run.plane};
    run_tiles(&job, run.pixels);
    fedtiny_planes_end(&planes, &run, call->out[0], (uint8_t)p->output_zero_point * 0x01010101u, 1);
    return FEDTINY_OK;
}
