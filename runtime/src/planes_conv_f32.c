/* Convolution over nonzeros on padded channel planes, float.
 *
 * The planes' padding turns every tap into an offset: a nonzero is one weight times a run of
 * consecutive floats, and a run may cross the ends of image rows. Output pixels are computed in
 * tiles of up to FEDTINY_TILE vectors that stay in registers while the nonzeros of one output
 * channel pass by. What comes out between the image rows is padding and is cleared at the end.
 *
 * A window with a stride first splits its input into scratch: one plane for every phase, in which
 * neighbouring output pixels have neighbouring inputs. */
#include "src/planes_conv_f32.h"
#include "src/kernel.h"
#include "src/simd.h"

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
} job_t;

/* sum += value * a run of inputs. */
FEDTINY_INLINE void add_tap(fedtiny_v *sum, const uint8_t *at, const float *value, int count) {
    const fedtiny_v weight = fedtiny_v_all(value);
    const float *x = (const float *)(const void *)at;
    FEDTINY_UNROLL
    for (int i = 0; i + 1 < count; i += 2) {
        fedtiny_v a, b;
        fedtiny_v_load2(x, i * FEDTINY_LANES, &a, &b);
        sum[i] = fedtiny_v_fma(sum[i], a, weight);
        sum[i + 1] = fedtiny_v_fma(sum[i + 1], b, weight);
    }
    if (count % 2 != 0) {
        const fedtiny_v a = fedtiny_v_load(x + (count - 1) * FEDTINY_LANES);
        sum[count - 1] = fedtiny_v_fma(sum[count - 1], a, weight);
    }
}

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count) {
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
        size_t left = job->counts[c];
        for (; left >= 4; left -= 4, offset += 4, value += 4) {
            add_tap(sum, in + offset[0], value, count);
            add_tap(sum, in + offset[1], value + 1, count);
            add_tap(sum, in + offset[2], value + 2, count);
            add_tap(sum, in + offset[3], value + 3, count);
        }
        for (; left > 0; left--) {
            add_tap(sum, in + *offset++, value++, count);
        }
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            fedtiny_v_store(out + i * FEDTINY_LANES, fedtiny_v_clamp(sum[i], low, high));
        }
    }
}

#define TILES(X)      X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#define MORE_TILES(X) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24)

#define TILE_CASE(n)                                                                               \
    case n:                                                                                        \
        run_tile(job, first, n);                                                                   \
        break;

/* All pixels, in tiles of about equal size. */
static void run_tiles(const job_t *job, size_t pixels) {
    const size_t vectors = (pixels + FEDTINY_LANES - 1) / FEDTINY_LANES;
    const size_t tiles = (vectors + FEDTINY_TILE - 1) / FEDTINY_TILE;
    size_t done = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t count = (vectors - done) / (tiles - tile);
        const size_t first = done * FEDTINY_LANES;
        switch (count) {
            TILES(TILE_CASE)
#if defined(__aarch64__)
            MORE_TILES(TILE_CASE)
#endif
        default:
            break;
        }
        done += count;
    }
}

/* Phases `0 .. phases - 1` of one row: to[phase * distance + i] = from[i * stride + phase]. Up to a
 * vector more than `count` is written. */
static void split_row(float *to, size_t distance, const float *from, size_t count, size_t stride,
                      size_t phases) {
    if (stride == 2) {
        for (size_t i = 0; i < count; i += FEDTINY_LANES) {
            fedtiny_v even, odd;
            fedtiny_v_split(from + 2 * i, &even, &odd);
            fedtiny_v_store(to + i, even);
            if (phases == 2) {
                fedtiny_v_store(to + distance + i, odd);
            }
        }
        return;
    }
    for (size_t phase = 0; phase < phases; phase++) {
        for (size_t i = 0; i < count; i++) {
            to[phase * distance + i] = from[i * stride + phase];
        }
    }
}

/* Scratch becomes (in_c, phases_h, phases_w, phase); a phase is (rows, pitch) and some room. */
static void split(const fedtiny_planes_conv_f32_params *p, const float *in, float *to) {
    const size_t pitch = p->out_w + 1u, size = p->phase;
    for (size_t c = 0; c < p->in_c; c++, in += p->in_plane) {
        for (size_t top = 0; top < p->phases_h; top++, to += p->phases_w * size) {
            for (size_t row = 0; row < p->rows; row++) {
                const size_t from = row * p->stride_h + top;
                if (from < p->in_rows) {
                    split_row(to + row * pitch, size, in + from * p->in_pitch, pitch, p->stride_w,
                              p->phases_w);
                }
            }
        }
    }
}

static void zero(float *to, size_t count) {
    const float nothing = 0.0f;
    const fedtiny_v none = fedtiny_v_all(&nothing);
    for (; count >= FEDTINY_LANES; count -= FEDTINY_LANES, to += FEDTINY_LANES) {
        fedtiny_v_store(to, none);
    }
    for (; count > 0; count--) {
        *to++ = 0.0f;
    }
}

/* Padding right of every image row, and from the last image row to the next plane. */
static void clear(float *out, size_t height, size_t width, size_t plane, size_t channels) {
    const size_t pitch = width + 1;
    for (size_t c = 0; c < channels; c++, out += plane) {
        for (size_t row = 0; row < height; row++) {
            out[row * pitch + width] = 0.0f;
        }
        zero(out + height * pitch, plane - height * pitch);
    }
}

fedtiny_status fedtiny_planes_conv_f32(const fedtiny_call *call) {
    const fedtiny_planes_conv_f32_params *p = call->params;
    const float *in = (const float *)call->in[0] + p->in_start;
    float *out = call->out[0];
    const float limits[2] = {p->output_min, p->output_max};
    if (p->phases_h != 0) {
        split(p, in, call->scratch);
        in = call->scratch;
    }
    const job_t job = {in,
                       out + p->out_lead,
                       fedtiny_constant(call, p->counts),
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->values),
                       fedtiny_constant(call, p->bias),
                       limits,
                       p->out_c,
                       p->out_plane};
    run_tiles(&job, (size_t)p->out_h * (p->out_w + 1u));
    zero(out, p->out_lead);
    clear(out + p->out_lead, p->out_h, p->out_w, p->out_plane, p->out_c);
    zero(out + p->out_lead + (size_t)p->out_c * p->out_plane, p->out_tail);
    return FEDTINY_OK;
}
