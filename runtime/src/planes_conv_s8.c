/* Convolution over nonzeros on padded channel planes, int8; its geometry is planes_conv_f32.c's.
 *
 * Nonzeros come in groups whose weights have magnitudes of at most 255 in sum, so that a group's
 * products add up in 16 bits. Padding holds the input's zero point, the bias what that adds. */
#include "src/planes_conv_s8.h"
#include "src/simd_s8.h"

enum { TILE = 4 }; /* vectors of pixels: 4 * 4 sums of 32 bits and 4 * 2 of 16 stay in registers */

typedef struct {
    const fedtiny_planes_conv_s8_params *params;
    const int8_t *in; /* what tap 0 of output pixel 0 reads */
    int8_t *out;      /* pixel 0 of plane 0 */
    const uint16_t *groups;
    const uint8_t *sizes;
    const uint32_t *offsets;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
} job_t;

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count) {
    const fedtiny_planes_conv_s8_params *p = job->params;
    const int8_t *in = job->in + first;
    const uint8_t *size = job->sizes;
    const uint32_t *offset = job->offsets;
    const int8_t *weight = job->weights;
    int8_t *out = job->out + first;
    for (size_t c = 0; c < p->out_c; c++, out += p->out_plane) {
        fedtiny_sum32 sum[TILE];
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            sum[i] = fedtiny_start(job->bias[c]);
        }
        for (size_t group = job->groups[c]; group > 0; group--) {
            fedtiny_sum16 part[TILE];
            const int8_t *x = in + *offset++;
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                part[i] = fedtiny_products(x + i * FEDTINY_PIXELS, *weight);
            }
            weight++;
            for (size_t left = *size++; left > 1; left--, weight++) {
                x = in + *offset++;
                FEDTINY_UNROLL
                for (int i = 0; i < count; i++) {
                    fedtiny_add_products(&part[i], x + i * FEDTINY_PIXELS, *weight);
                }
            }
            FEDTINY_UNROLL
            for (int i = 0; i < count; i++) {
                fedtiny_add_sum(&sum[i], part[i]);
            }
        }
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            fedtiny_store_pixels(out + i * FEDTINY_PIXELS, &sum[i], job->multipliers[c],
                                 job->shifts[c], p->output_zero_point, p->output_min,
                                 p->output_max);
        }
    }
}

/* All pixels, in tiles of about equal size. */
static void run_tiles(const job_t *job, size_t pixels) {
    const size_t vectors = (pixels + FEDTINY_PIXELS - 1) / FEDTINY_PIXELS;
    const size_t tiles = (vectors + TILE - 1) / TILE;
    size_t done = 0;
    for (size_t tile = 0; tile < tiles; tile++) {
        const size_t count = (vectors - done) / (tiles - tile);
        const size_t first = done * FEDTINY_PIXELS;
        switch (count) {
        case 1:
            run_tile(job, first, 1);
            break;
        case 2:
            run_tile(job, first, 2);
            break;
        case 3:
            run_tile(job, first, 3);
            break;
        default:
            run_tile(job, first, TILE);
            break;
        }
        done += count;
    }
}

/* Phases `0 .. phases - 1` of one row: to[phase * distance + i] = from[i * stride + phase]. Up to a
 * vector more than `count` is written. */
static void split_row(int8_t *to, size_t distance, const int8_t *from, size_t count, size_t stride,
                      size_t phases) {
    if (stride == 2) {
        for (size_t i = 0; i < count; i += FEDTINY_PIXELS) {
            fedtiny_split_pixels(to + i, phases == 2 ? to + distance + i : NULL, from + 2 * i);
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
static void split(const fedtiny_planes_conv_s8_params *p, const int8_t *in, int8_t *to) {
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

static void zero(int8_t *to, size_t count, int8_t value) {
    const fedtiny_sum32 none = fedtiny_start(0);
    for (; count >= FEDTINY_PIXELS; count -= FEDTINY_PIXELS, to += FEDTINY_PIXELS) {
        fedtiny_store_pixels(to, &none, 0, 0, value, value, value);
    }
    for (; count > 0; count--) {
        *to++ = value;
    }
}

/* Padding right of every image row, and from the last image row to the next plane. */
static void clear(const fedtiny_planes_conv_s8_params *p, int8_t *out) {
    const size_t pitch = p->out_w + 1u, pixels = p->out_h * pitch;
    for (size_t c = 0; c < p->out_c; c++, out += p->out_plane) {
        for (size_t row = 0; row < p->out_h; row++) {
            out[row * pitch + p->out_w] = p->output_zero_point;
        }
        zero(out + pixels, p->out_plane - pixels, p->output_zero_point);
    }
}

fedtiny_status fedtiny_planes_conv_s8(const fedtiny_call *call) {
    const fedtiny_planes_conv_s8_params *p = call->params;
    const int8_t *in = (const int8_t *)call->in[0] + p->in_start;
    int8_t *out = call->out[0];
    if (p->phases_h != 0) {
        split(p, in, call->scratch);
        in = call->scratch;
    }
    const job_t job = {p,
                       in,
                       out + p->out_lead,
                       fedtiny_constant(call, p->groups),
                       fedtiny_constant(call, p->sizes),
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->weights),
                       fedtiny_constant(call, p->bias),
                       fedtiny_constant(call, p->multipliers),
                       fedtiny_constant(call, p->shifts)};
    run_tiles(&job, (size_t)p->out_h * (p->out_w + 1u));
    zero(out, p->out_lead, p->output_zero_point);
    clear(p, out + p->out_lead);
    zero(out + p->out_lead + (size_t)p->out_c * p->out_plane, p->out_tail, p->output_zero_point);
    return FEDTINY_OK;
}
