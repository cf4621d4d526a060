/* Convolution over pairs of nonzeros on padded channel planes, int8; planes_conv_f32.c has the
 * geometry.
 *
 * Nonzeros come in groups of 1 to 4 pairs, as many in every group of a layer: 16 bits hold the sum
 * of a group's products, and no loop inside a group ends where a processor does not expect it.
 * Missing nonzeros have weight 0. Taps read a copy of the input with unsigned pixels; the bias
 * makes up for the difference. Offsets have 16 bits; what lies further is another segment of the
 * copy, with groups of its own. Outputs are in the order of their groups. */
#include "src/planes_pairs_s8.h"
#include "src/planes.h"
#include "src/simd_s8_pairs.h"

enum { TILE = 2, SEGMENT = 1 << 16, AHEAD = 512, MOST_PAIRS = 4 };

typedef struct {
    const uint8_t *in; /* what tap 0 of output pixel 0 reads */
    int8_t *out;       /* pixel 0 of plane 0 */
    const uint16_t *outputs;
    const uint16_t *groups; /* of each output and segment */
    const uint16_t *offsets;
    const int8_t *weights; /* of a pair twice */
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
    fedtiny_scaling scaling; /* multiplier and shift are those of a channel */
    size_t channels;
    size_t segments;
    size_t plane; /* elements from output plane to output plane */
    size_t pixels;
} job_t;

/* Where a kernel stands in the nonzeros. */
typedef struct {
    const uint16_t *offset;
    const int8_t *weight;
} place_t;

/* The products of the next group. */
FEDTINY_INLINE void next_group(fedtiny_wide16 *sum, const uint8_t *in, place_t *at, int count,
                               int pairs) {
    FEDTINY_UNROLL
    for (int k = 0; k < pairs; k++) {
        const uint8_t *a = in + at->offset[2 * k], *b = in + at->offset[2 * k + 1];
        const fedtiny_weight_pair w = fedtiny_weight_pair_load(at->weight + 4 * k);
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            const fedtiny_wide16 products =
                fedtiny_pair_products(a + i * FEDTINY_WIDE, b + i * FEDTINY_WIDE, w);
            sum[i] = k == 0 ? products : fedtiny_wide16_add(sum[i], products);
        }
    }
    fedtiny_prefetch(at->offset, AHEAD);
    fedtiny_prefetch(at->weight, AHEAD);
    at->offset += 2 * pairs;
    at->weight += 4 * pairs;
}

/* `count` vectors of pixels from pixel `first` on, of every output channel. */
FEDTINY_INLINE void run_tile(const job_t *job, size_t first, int count, int pairs, int ties) {
    const uint8_t *const in = job->in + first;
    const uint16_t *groups = job->groups;
    const int half = job->pixels - first <= (size_t)(count - 1) * FEDTINY_WIDE + FEDTINY_WIDE / 2;
    place_t at = {job->offsets, job->weights};
    fedtiny_scaling scaling = job->scaling;
    scaling.ties = ties;
    for (size_t k = 0; k < job->channels; k++) {
        const size_t c = job->outputs[k];
        int8_t *out = job->out + c * job->plane + first;
        fedtiny_wide32 sum[TILE];
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            sum[i] = fedtiny_wide32_start(job->bias[c]);
        }
        for (size_t segment = 0; segment < job->segments; segment++) {
            const uint8_t *const from = in + segment * SEGMENT;
            size_t left = *groups++;
            for (; left >= 2; left -= 2) {
                fedtiny_wide16 a[TILE], b[TILE];
                next_group(a, from, &at, count, pairs);
                next_group(b, from, &at, count, pairs);
                FEDTINY_UNROLL
                for (int i = 0; i < count; i++) {
                    sum[i] = fedtiny_wide32_with(sum[i], a[i], b[i]);
                }
            }
            if (left > 0) {
                fedtiny_wide16 a[TILE];
                next_group(a, from, &at, count, pairs);
                FEDTINY_UNROLL
                for (int i = 0; i < count; i++) {
                    sum[i] = fedtiny_wide32_with(sum[i], a[i], fedtiny_wide16_none());
                }
            }
        }
        scaling.multiplier = job->multipliers[c];
        scaling.shift = job->shifts[c];
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            fedtiny_wide32_store(out + i * FEDTINY_WIDE, sum[i], half && i == count - 1, &scaling);
        }
    }
}

#define CHOOSE(count, ties)                                                                        \
    switch (pairs) {                                                                               \
    case 1:                                                                                        \
        run_tile(job, first, count, 1, ties);                                                      \
        break;                                                                                     \
    case 2:                                                                                        \
        run_tile(job, first, count, 2, ties);                                                      \
        break;                                                                                     \
    case 3:                                                                                        \
        run_tile(job, first, count, 3, ties);                                                      \
        break;                                                                                     \
    default:                                                                                       \
        run_tile(job, first, count, MOST_PAIRS, ties);                                             \
        break;                                                                                     \
    }

static void run_one(const job_t *job, size_t first, size_t pairs) {
    if (job->scaling.ties) {
        CHOOSE(1, 1)
    } else {
        CHOOSE(1, 0)
    }
}

static void run_two(const job_t *job, size_t first, size_t pairs) {
    if (job->scaling.ties) {
        CHOOSE(TILE, 1)
    } else {
        CHOOSE(TILE, 0)
    }
}

fedtiny_status fedtiny_planes_pairs_s8(const fedtiny_call *call) {
    const fedtiny_planes_pairs_s8_params *p = call->params;
    const fedtiny_planes planes = FEDTINY_PLANES(p);
    fedtiny_planes_run run = fedtiny_planes_begin(
        &planes, (const int8_t *)call->in[0] + p->in_start, call->scratch, call->out[0], 1);
    uint8_t *const copy = call->scratch;
    if (p->parts_h == 0) {
        fedtiny_make_unsigned(copy, call->in[0], p->read);
        run.in = copy + p->in_start;
    } else {
        fedtiny_make_unsigned(copy, copy, p->read);
    }
    const job_t job = {run.in,
                       run.out,
                       fedtiny_constant(call, p->outputs),
                       fedtiny_constant(call, p->groups),
                       fedtiny_constant(call, p->offsets),
                       fedtiny_constant(call, p->weights),
                       fedtiny_constant(call, p->bias),
                       fedtiny_constant(call, p->multipliers),
                       fedtiny_constant(call, p->shifts),
                       {0, 0, p->output_zero_point, p->output_min, p->output_max, p->ties},
                       p->out_c,
                       p->segments,
                       run.plane,
                       run.pixels};
    size_t first = 0;
    for (; first + FEDTINY_WIDE < run.pixels; first += TILE * FEDTINY_WIDE) {
        run_two(&job, first, p->pairs);
    }
    if (first < run.pixels) {
        run_one(&job, first, p->pairs);
    }
    fedtiny_planes_end(&planes, &run, call->out[0], (uint8_t)p->output_zero_point * 0x01010101u, 1);
    return FEDTINY_OK;
}
