/* conv2d over nonzeros on channel planes, float, in blocks of input channels: what one tile reads
 * of a block stays in the first-level cache while the nonzeros of all output channels pass by.
 *
 * Geometry is planes_conv_f32.c's. A block adds to what earlier ones left in the output. Output
 * channels are in the order of their nonzeros in a block, so that a processor foresees when a loop
 * ends. */
#include "src/kernel.h"
#include "src/planes.h"
#include "src/planes_nonzeros_f32.h"

#include <float.h>

enum { AHEAD = 1024 }; /* bytes of weights and offsets that are asked for early */

typedef struct {
    const float *in; /* what tap 0 of output pixel 0 reads */
    float *out;      /* pixel 0 of plane 0 */
    const uint32_t *starts;
    const uint16_t *channels, *counts, *offsets;
    const float *values;
    const float *bias;
    const float *low, *high; /* clamp, inclusive; high may be NULL */
    size_t blocks;
    size_t out_c;
    size_t plane; /* elements from output plane to output plane */
} job_t;

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count, int sets) {
    const uint16_t *channel = job->channels, *nonzeros = job->counts, *offset = job->offsets;
    const float *value = job->values;
    const fedtiny_v low = fedtiny_v_all(job->low);
    for (size_t block = 0; block < job->blocks; block++) {
        const float *in = job->in + job->starts[block] + first;
        for (size_t k = 0; k < job->out_c; k++) {
            const size_t c = *channel++;
            float *out = job->out + c * job->plane + first;
            fedtiny_v sum[FEDTINY_MOST_SETS][FEDTINY_TILE];
            if (block == 0) {
                const fedtiny_v start = fedtiny_v_all(&job->bias[c]);
                FEDTINY_UNROLL
                for (int i = 0; i < count; i++) {
                    sum[0][i] = start;
                }
            } else {
                fedtiny_v_load_run(out, sum[0], count);
            }
            fedtiny_clear_sets(sum, count, sets);
            size_t left = *nonzeros++;
            for (; left >= 4; left -= 4, offset += 4, value += 4) {
                const fedtiny_weights w = fedtiny_weights_load(value);
                fedtiny_prefetch(value, AHEAD);
                fedtiny_prefetch(offset, AHEAD / 2);
                FEDTINY_UNROLL
                for (int i = 0; i < 4; i++) {
                    fedtiny_add_tap(sum[i % sets], (const uint8_t *)(in + offset[i]), w, i, count);
                }
            }
            for (; left > 0; left--) {
                const fedtiny_weights w = fedtiny_weights_one(value++);
                fedtiny_add_tap(sum[0], (const uint8_t *)(in + *offset++), w, 0, count);
            }
            fedtiny_join_sets(sum, count, sets);
            if (block + 1 == job->blocks) {
                fedtiny_v_store_clamped(out, sum[0], count, low, job->high);
            } else {
                fedtiny_v_store_run(out, sum[0], count);
            }
        }
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

fedtiny_status fedtiny_conv2d_planes_blocked_f32(const fedtiny_call *call) {
    const fedtiny_planes_blocked_f32_params *p = call->params;
    const fedtiny_planes planes = FEDTINY_PLANES(p);
    const fedtiny_planes_run run =
        fedtiny_planes_begin(&planes, (const float *)call->in[0] + p->in_start, call->scratch,
                             call->out[0], sizeof(float));
    const job_t job = {run.in,
                       run.out,
                       fedtiny_constant(call, p->starts),
                       fedtiny_constant(call, p->channels),
                       fedtiny_constant(call, p->counts),
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->values),
                       fedtiny_constant(call, p->bias),
                       &p->output_min,
                       p->output_max < FLT_MAX ? &p->output_max : NULL,
                       p->blocks,
                       p->out_c,
                       run.plane};
    run_tiles(&job, run.pixels);
    fedtiny_planes_end(&planes, &run, call->out[0], 0, sizeof(float));
    return FEDTINY_OK;
}
