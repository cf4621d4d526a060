/* Convolution over nonzeros on padded channel planes, float.
 *
 * The planes' padding turns every tap into an offset: a nonzero is one weight times a run of
 * consecutive floats, and a run may cross the ends of image rows. Output pixels are computed in
 * tiles of up to FEDTINY_TILE vectors that stay in registers while the nonzeros of one output
 * channel pass by. What comes out between the image rows is padding and is overwritten at the end.
 */
#include "src/planes_conv_f32.h"
#include "src/kernel.h"
#include "src/planes.h"
#include "src/planes_nonzeros_f32.h"

#include <float.h>

typedef struct {
    const float *in; /* what tap 0 of output pixel 0 reads */
    float *out;      /* pixel 0 of plane 0 */
    const uint16_t *counts;
    const uint32_t *offsets;
    const float *values;
    const float *bias;
    const float *low, *high; /* clamp, inclusive; high may be NULL */
    size_t channels;
    size_t plane; /* elements from output plane to output plane */
} job_t;

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count, int sets) {
    const uint8_t *in = (const uint8_t *)(job->in + first);
    const uint32_t *offset = job->offsets;
    const float *value = job->values;
    const fedtiny_v low = fedtiny_v_all(job->low);
    float *out = job->out + first;
    for (size_t c = 0; c < job->channels; c++, out += job->plane) {
        fedtiny_v sum[FEDTINY_MOST_SETS][FEDTINY_TILE];
        const fedtiny_v start = fedtiny_v_all(&job->bias[c]);
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            sum[0][i] = start;
        }
        fedtiny_clear_sets(sum, count, sets);
        size_t left = job->counts[c];
        for (; left >= 4; left -= 4, offset += 4, value += 4) {
            const fedtiny_weights w = fedtiny_weights_load(value);
            size_t at[4];
            fedtiny_offsets4(offset, at);
            fedtiny_add_tap(sum[0], in + at[0], w, 0, count);
            fedtiny_add_tap(sum[1 % sets], in + at[1], w, 1, count);
            fedtiny_add_tap(sum[2 % sets], in + at[2], w, 2, count);
            fedtiny_add_tap(sum[3 % sets], in + at[3], w, 3, count);
        }
        for (; left > 0; left--) {
            fedtiny_add_tap(sum[0], in + *offset++, fedtiny_weights_one(value++), 0, count);
        }
        fedtiny_join_sets(sum, count, sets);
        fedtiny_v_store_clamped(out, sum[0], count, low, job->high);
    }
}

/* One tile of a plane of that many pixels. */
static void choose_tile(const job_t *job, size_t first, size_t count, size_t pixels) {
    FEDTINY_CHOOSE_TILE(job, first, count, pixels)
}

/* All pixels, in tiles of about equal size. */
static void run_tiles(const job_t *job, size_t pixels) {
    const size_t vectors = (pixels + FEDTINY_LANES - 1) / FEDTINY_LANES;
    const size_t tiles = (vectors + FEDTINY_TILE - 1) / FEDTINY_TILE;
    size_t done = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t count = (vectors - done) / (tiles - tile);
        choose_tile(job, done * FEDTINY_LANES, count, pixels);
        done += count;
    }
}

fedtiny_status fedtiny_planes_conv_f32(const fedtiny_call *call) {
    const fedtiny_planes_conv_f32_params *p = call->params;
    const fedtiny_planes planes = FEDTINY_PLANES(p);
    const fedtiny_planes_run run =
        fedtiny_planes_begin(&planes, (const float *)call->in[0] + p->in_start, call->scratch,
                             call->out[0], sizeof(float));
    const job_t job = {run.in,
                       run.out,
                       fedtiny_constant(call, p->counts),
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->values),
                       fedtiny_constant(call, p->bias),
                       &p->output_min,
                       p->output_max < FLT_MAX ? &p->output_max : NULL,
                       p->out_c,
                       run.plane};
    run_tiles(&job, run.pixels);
    fedtiny_planes_end(&planes, &run, call->out[0], 0, sizeof(float));
    return FEDTINY_OK;
}
