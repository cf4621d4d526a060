/* Convolution over nonzeros on padded channel planes, float.
 *
 * The planes' padding turns every tap into an offset: a nonzero is one weight times a run of
 * consecutive floats, and a run may cross the ends of image rows. Output pixels are computed in
 * tiles of up to FEDTINY_TILE vectors that stay in registers while the nonzeros of one output
 * channel pass by. What comes out between the image rows is padding and is overwritten at the end.
 *
 * Few pixels leave registers free: nonzeros then take turns between two or four sets of sums, so
 * that one need not wait for another. How many depends on the pixels alone, and so does the order
 * in which floats are added. */
#include "src/planes_conv_f32.h"
#include "src/kernel.h"
#include "src/planes.h"
#include "src/simd.h"

#include <float.h>

enum { FOUR_SETS_PIXELS = 24, TWO_SETS_PIXELS = 48 };

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

/* sum += one of four weights times a run of inputs. */
FEDTINY_INLINE void add_tap(fedtiny_v *sum, const uint8_t *at, fedtiny_weights w, int which,
                            int count) {
    const float *x = (const float *)(const void *)at;
    FEDTINY_UNROLL
    for (int i = 0; i + 1 < count; i += 2) {
        fedtiny_v a, b;
        fedtiny_v_load2(x, i * FEDTINY_LANES, &a, &b);
        sum[i] = fedtiny_v_fma_weight(sum[i], a, w, which);
        sum[i + 1] = fedtiny_v_fma_weight(sum[i + 1], b, w, which);
    }
    if (count % 2 != 0) {
        const fedtiny_v last = fedtiny_v_load(x + (count - 1) * FEDTINY_LANES);
        sum[count - 1] = fedtiny_v_fma_weight(sum[count - 1], last, w, which);
    }
}

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count, int sets) {
    const uint8_t *in = (const uint8_t *)(job->in + first);
    const uint32_t *offset = job->offsets;
    const float *value = job->values;
    const float nothing = 0.0f;
    const fedtiny_v low = fedtiny_v_all(job->low), none = fedtiny_v_all(&nothing);
    float *out = job->out + first;
    for (size_t c = 0; c < job->channels; c++, out += job->plane) {
        fedtiny_v sum[4][FEDTINY_TILE];
        const fedtiny_v start = fedtiny_v_all(&job->bias[c]);
        FEDTINY_UNROLL
        for (int set = 0; set < sets; set++) {
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[set][i] = set == 0 ? start : none;
            }
        }
        size_t left = job->counts[c];
        for (; left >= 4; left -= 4, offset += 4, value += 4) {
            const fedtiny_weights w = fedtiny_weights_load(value);
            size_t at[4];
            fedtiny_offsets4(offset, at);
            add_tap(sum[0], in + at[0], w, 0, count);
            add_tap(sum[1 % sets], in + at[1], w, 1, count);
            add_tap(sum[2 % sets], in + at[2], w, 2, count);
            add_tap(sum[3 % sets], in + at[3], w, 3, count);
        }
        for (; left > 0; left--) {
            add_tap(sum[0], in + *offset++, fedtiny_weights_one(value++), 0, count);
        }
        FEDTINY_UNROLL
        for (int set = 1; set < sets; set++) {
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[0][i] = fedtiny_v_add(sum[0][i], sum[set][i]);
            }
        }
        fedtiny_v_store_clamped(out, sum[0], count, low, job->high);
    }
}

#define ONE_SET(n)                                                                                 \
    case n:                                                                                        \
        run_tile(job, first, n, 1);                                                                \
        break;
#define TWO_SETS(n)                                                                                \
    case n:                                                                                        \
        run_tile(job, first, n, 2);                                                                \
        break;
#define FOUR_SETS(n)                                                                               \
    case n:                                                                                        \
        run_tile(job, first, n, 4);                                                                \
        break;

/* One tile of a plane of that many pixels. */
static void choose_tile(const job_t *job, size_t first, size_t count, size_t pixels) {
    if (pixels > TWO_SETS_PIXELS) {
        switch (count) {
            FEDTINY_TILES_1(ONE_SET)
        default:
            FEDTINY_PORTABLE(run_tile(job, first, (int)count, 1);)
            break;
        }
    } else if (pixels > FOUR_SETS_PIXELS) {
        switch (count) {
            FEDTINY_TILES_2(TWO_SETS)
        default:
            FEDTINY_PORTABLE(run_tile(job, first, (int)count, 2);)
            break;
        }
    } else {
        switch (count) {
            FEDTINY_TILES_4(FOUR_SETS)
        default:
            FEDTINY_PORTABLE(run_tile(job, first, (int)count, 4);)
            break;
        }
    }
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
