/* conv2d on channel planes with every weight, float: four output channels at a time, so that what
 * is read once serves all four. */
#include "src/kernel.h"
#include "src/planes.h"
#include "src/simd.h"

#include <float.h>

enum { OUTPUTS = 4, TILE = FEDTINY_TILE / OUTPUTS };

typedef struct {
    const float *in; /* what tap 0 of output pixel 0 reads */
    float *out;      /* pixel 0 of plane 0 */
    const uint32_t *offsets;
    const float *values;
    const float *bias;
    const float *low, *high; /* clamp, inclusive; high may be NULL */
    size_t taps;
    size_t channels;
    size_t plane; /* elements from output plane to output plane */
} job_t;

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count) {
    const uint8_t *in = (const uint8_t *)(job->in + first);
    const float *value = job->values;
    const fedtiny_v low = fedtiny_v_all(job->low);
    for (size_t c = 0; c < job->channels; c += OUTPUTS) {
        fedtiny_v sum[OUTPUTS][TILE];
        FEDTINY_UNROLL
        for (size_t k = 0; k < OUTPUTS; k++) {
            const fedtiny_v start = fedtiny_v_all(&job->bias[c + k]);
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[k][i] = start;
            }
        }
        const uint32_t *const end = job->offsets + job->taps;
        for (const uint32_t *offset = job->offsets; offset < end; offset++, value += OUTPUTS) {
            const float *x = (const float *)(const void *)(in + *offset);
            const fedtiny_weights w = fedtiny_weights_load(value);
            fedtiny_v run[TILE];
            fedtiny_v_load_run(x, run, count);
            FEDTINY_UNROLL
            for (int k = 0; k < OUTPUTS; k++) {
                FEDTINY_UNROLL
                for (int i = 0; i < count; i++) {
                    sum[k][i] = fedtiny_v_fma_weight(sum[k][i], run[i], w, k);
                }
            }
        }
        float *out = job->out + first + c * job->plane;
        FEDTINY_UNROLL
        for (size_t k = 0; k < OUTPUTS; k++) {
            if (c + k < job->channels) {
                fedtiny_v_store_clamped(out + k * job->plane, sum[k], count, low, job->high);
            }
        }
    }
}

#define TILE_CASE(n)                                                                               \
    case n:                                                                                        \
        run_tile(job, first, n);                                                                   \
        break;

/* All pixels, in tiles of about equal size. */
static void run_tiles(const job_t *job, size_t pixels) {
    const size_t vectors = (pixels + FEDTINY_LANES - 1) / FEDTINY_LANES;
    const size_t tiles = (vectors + TILE - 1) / TILE;
    size_t done = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t count = (vectors - done) / (tiles - tile), first = done * FEDTINY_LANES;
        switch (count) {
            FEDTINY_TILES_4(TILE_CASE)
        default:
            FEDTINY_PORTABLE(run_tile(job, first, (int)count);)
            break;
        }
        done += count;
    }
}

fedtiny_status fedtiny_conv2d_planes_dense_f32(const fedtiny_call *call) {
    const fedtiny_planes_dense_f32_params *p = call->params;
    const fedtiny_planes planes = FEDTINY_PLANES(p);
    const fedtiny_planes_run run =
        fedtiny_planes_begin(&planes, (const float *)call->in[0] + p->in_start, call->scratch,
                             call->out[0], sizeof(float));
    const job_t job = {run.in,
                       run.out,
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->values),
                       fedtiny_constant(call, p->bias),
                       &p->output_min,
                       p->output_max < FLT_MAX ? &p->output_max : NULL,
                       p->taps,
                       p->out_c,
                       run.plane};
    run_tiles(&job, run.pixels);
    fedtiny_planes_end(&planes, &run, call->out[0], 0, sizeof(float));
    return FEDTINY_OK;
}
