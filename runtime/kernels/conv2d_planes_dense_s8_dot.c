/* conv2d on channel planes with every weight, int8, on cores with dot products.
 *
 * Four taps of sixteen pixels are interleaved once for all output channels, so that a dot product
 * adds four products to the sum of each of four pixels. */
#include "src/planes.h"
#include "src/simd_s8_dot.h"

enum { OUTPUTS = 2, TILE = 2, TAPS = 4 };

typedef struct {
    const int8_t *in; /* what tap 0 of output pixel 0 reads */
    int8_t *out;      /* pixel 0 of plane 0 */
    int8_t *mixed;    /* (groups, TILE, 64): pixels of four taps, interleaved */
    const uint32_t *offsets;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
    fedtiny_scaling scaling; /* multiplier and shift are those of a channel */
    size_t groups;           /* of four taps */
    size_t channels;
    size_t plane; /* elements from output plane to output plane */
} job_t;

FEDTINY_DOT_INLINE void mix(const job_t *job, size_t first, int count) {
    const int8_t *in = job->in + first;
    const uint32_t *offset = job->offsets;
    int8_t *to = job->mixed;
    for (size_t group = 0; group < job->groups; group++, offset += TAPS) {
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++, to += TAPS * FEDTINY_PIXELS) {
            const int8_t *x = in + i * FEDTINY_PIXELS;
            const fedtiny_mixed mixed =
                fedtiny_mix(fedtiny_pixels_load(x + offset[0]), fedtiny_pixels_load(x + offset[1]),
                            fedtiny_pixels_load(x + offset[2]), fedtiny_pixels_load(x + offset[3]));
            fedtiny_mixed_store(to, mixed);
        }
    }
}

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_DOT_INLINE void run_tile(const job_t *job, size_t first, int count) {
    const int8_t *weight = job->weights;
    fedtiny_scaling scaling = job->scaling;
    mix(job, first, count);
    for (size_t c = 0; c < job->channels; c += OUTPUTS, weight += job->groups * TAPS * OUTPUTS) {
        fedtiny_sum32 sum[OUTPUTS][TILE];
        FEDTINY_UNROLL
        for (int k = 0; k < OUTPUTS; k++) {
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[k][i] = fedtiny_start(job->bias[c + (size_t)k]);
            }
        }
        const int8_t *from = job->mixed, *w = weight;
        for (size_t group = 0; group < job->groups; group++) {
            const fedtiny_four w0 = fedtiny_weights4(&w), w1 = fedtiny_weights4(&w);
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++, from += TAPS * FEDTINY_PIXELS) {
                const fedtiny_mixed mixed = fedtiny_mixed_load(from);
                sum[0][i] = fedtiny_dot(sum[0][i], mixed, w0);
                sum[1][i] = fedtiny_dot(sum[1][i], mixed, w1);
            }
        }
        int8_t *out = job->out + first + c * job->plane;
        FEDTINY_UNROLL
        for (size_t k = 0; k < OUTPUTS; k++) {
            if (c + k < job->channels) {
                scaling.multiplier = job->multipliers[c + k];
                scaling.shift = job->shifts[c + k];
                FEDTINY_UNROLL
                for (int i = 0; i < count; i++) {
                    fedtiny_store_pixels(out + k * job->plane + i * FEDTINY_PIXELS, &sum[k][i],
                                         &scaling);
                }
            }
        }
    }
}

/* All pixels, in tiles of about equal size. */
FEDTINY_DOT static void run_tiles(const job_t *job, size_t pixels) {
    const size_t vectors = (pixels + FEDTINY_PIXELS - 1) / FEDTINY_PIXELS;
    size_t done = 0;
    for (; done + TILE <= vectors; done += TILE) {
        run_tile(job, done * FEDTINY_PIXELS, TILE);
    }
    if (done < vectors) {
        run_tile(job, done * FEDTINY_PIXELS, 1);
    }
}

fedtiny_status fedtiny_conv2d_planes_dense_s8_dot(const fedtiny_call *call) {
    const fedtiny_planes_dense_s8_params *p = call->params;
    const fedtiny_planes planes = FEDTINY_PLANES(p);
    const fedtiny_planes_run run = fedtiny_planes_begin(
        &planes, (const int8_t *)call->in[0] + p->in_start, call->scratch, call->out[0], 1);
    const job_t job = {run.in,
                       run.out,
                       (int8_t *)call->scratch + p->mixed,
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->weights),
                       fedtiny_constant(call, p->bias),
                       fedtiny_constant(call, p->multipliers),
                       fedtiny_constant(call, p->shifts),
                       {0, 0, p->output_zero_point, p->output_min, p->output_max, p->ties},
                       p->groups,
                       p->out_c,
                       run.plane};
    run_tiles(&job, run.pixels);
    fedtiny_planes_end(&planes, &run, call->out[0], (uint8_t)p->output_zero_point * 0x01010101u, 1);
    return FEDTINY_OK;
}
