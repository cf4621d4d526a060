/* Convolution over nonzeros on padded channel planes, float; for conv2d and depthwise_conv2d.
 *
 * The planes' padding turns every tap into an offset: a nonzero is one weight times a run of
 * consecutive floats, and a run may cross the ends of image rows. Output pixels are computed in
 * tiles of up to FEDTINY_TILE vectors that stay in registers while the nonzeros of one output
 * channel pass by. What comes out between the image rows is padding and is cleared at the end.
 *
 * A window with a stride first splits its input into scratch: one plane for every phase, in which
 * neighbouring output pixels have neighbouring inputs. */
#ifndef FEDTINY_PLANES_CONV_F32_H
#define FEDTINY_PLANES_CONV_F32_H

#include "kernel.h"
#include "simd.h"

#include <string.h>

typedef struct {
    const float *in; /* what tap 0 of output pixel 0 reads */
    float *out;      /* pixel 0 of plane 0 */
    const uint16_t *counts;
    const uint32_t *offsets;
    const float *values;
    const float *bias;
    const float *limits; /* clamp, inclusive: low, high */
    size_t channels;
    size_t plane; /* elements from output plane to output plane */
} fedtiny_planes_job;

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void fedtiny_planes_tile(const fedtiny_planes_job *job, size_t first, int count) {
    const uint8_t *in = (const uint8_t *)(job->in + first);
    const uint32_t *offset = job->offsets;
    const float *value = job->values;
    const fedtiny_v low = fedtiny_v_all(&job->limits[0]), high = fedtiny_v_all(&job->limits[1]);
    float *out = job->out + first;
    for (size_t c = 0; c < job->channels; c++, out += job->plane) {
        fedtiny_v sum[FEDTINY_TILE];
        const fedtiny_v start = fedtiny_v_all(&job->bias[c]);
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            sum[i] = start;
        }
        for (const float *end = value + job->counts[c]; value != end; value++) {
            const fedtiny_v weight = fedtiny_v_all(value);
            const float *x = (const float *)(const void *)(in + *offset++);
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                sum[i] = fedtiny_v_fma(sum[i], fedtiny_v_load(x + i * FEDTINY_LANES), weight);
            }
        }
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            fedtiny_v_store(out + i * FEDTINY_LANES, fedtiny_v_clamp(sum[i], low, high));
        }
    }
}

#define FEDTINY_TILES(X)                                                                           \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#define FEDTINY_MORE_TILES(X)                                                                      \
    X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24)

#define FEDTINY_TILE_CASE(n)                                                                       \
    case n:                                                                                        \
        fedtiny_planes_tile(job, first, n);                                                        \
        break;

/* All pixels, in tiles of about equal size. */
static inline void fedtiny_planes_tiles(const fedtiny_planes_job *job, size_t pixels) {
    const size_t vectors = (pixels + FEDTINY_LANES - 1) / FEDTINY_LANES;
    const size_t tiles = (vectors + FEDTINY_TILE - 1) / FEDTINY_TILE;
    size_t done = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t count = (vectors - done) / (tiles - tile);
        const size_t first = done * FEDTINY_LANES;
        switch (count) {
            FEDTINY_TILES(FEDTINY_TILE_CASE)
#if defined(__aarch64__)
            FEDTINY_MORE_TILES(FEDTINY_TILE_CASE)
#endif
        default:
            break;
        }
        done += count;
    }
}

/* to[i] = from[i * stride]; up to a vector more than `count` is written. */
static inline void fedtiny_planes_skip(float *to, const float *from, size_t count, size_t stride) {
    if (stride == 2) {
        for (size_t i = 0; i < count; i += FEDTINY_LANES) {
            fedtiny_v_store(to + i, fedtiny_v_even(from + 2 * i));
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i * stride];
    }
}

/* Scratch becomes (in_c, phases_h, phases_w, rows, pitch). */
static inline void fedtiny_planes_split(const fedtiny_planes_conv_f32_params *p, const float *in,
                                        float *to) {
    const size_t pitch = p->out_w + 1u;
    for (size_t c = 0; c < p->in_c; c++, in += p->in_plane) {
        for (size_t i = 0; i < (size_t)p->phases_h * p->phases_w; i++) {
            const size_t top = i / p->phases_w, left = i % p->phases_w;
            for (size_t row = 0; row < p->rows; row++, to += pitch) {
                const size_t from = row * p->stride_h + top;
                if (from < p->in_rows) {
                    fedtiny_planes_skip(to, in + from * p->in_pitch + left, pitch, p->stride_w);
                }
            }
        }
    }
}

/* Padding right of every image row, and from the last image row to the next plane. */
static inline void fedtiny_planes_clear(float *out, size_t height, size_t width, size_t plane,
                                        size_t channels) {
    const size_t pitch = width + 1;
    for (size_t c = 0; c < channels; c++, out += plane) {
        for (size_t row = 0; row < height; row++) {
            out[row * pitch + width] = 0.0f;
        }
        memset(out + height * pitch, 0, (plane - height * pitch) * sizeof(float));
    }
}

static inline fedtiny_status fedtiny_planes_conv_f32(const fedtiny_call *call) {
    const fedtiny_planes_conv_f32_params *p = call->params;
    const float *in = (const float *)call->in[0] + p->in_start;
    float *out = call->out[0];
    const float limits[2] = {p->output_min, p->output_max};
    if (p->phases_h != 0) {
        fedtiny_planes_split(p, in, call->scratch);
        in = call->scratch;
    }
    const fedtiny_planes_job job = {in,
                                    out + p->out_lead,
                                    fedtiny_constant(call, p->counts),
                                    fedtiny_constant(call, p->offsets),
                                    fedtiny_constant(call, p->values),
                                    fedtiny_constant(call, p->bias),
                                    limits,
                                    p->out_c,
                                    p->out_plane};
    fedtiny_planes_tiles(&job, (size_t)p->out_h * (p->out_w + 1u));
    memset(out, 0, p->out_lead * sizeof(float));
    fedtiny_planes_clear(out + p->out_lead, p->out_h, p->out_w, p->out_plane, p->out_c);
    memset(out + p->out_lead + (size_t)p->out_c * p->out_plane, 0, p->out_tail * sizeof(float));
    return FEDTINY_OK;
}

#endif
