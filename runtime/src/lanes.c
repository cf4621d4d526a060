/* Convolutions that compute two output pixels per 32-bit accumulator (see lanes.h): rows of one
 * step, and the loops in plain C. */
#include "lanes.h"

#include "memory.h"
#include "requantize.h"

enum { TILE = 3 };

#if !FEDTINY_LANES_THUMB

static int8_t scale(int32_t sum, const fedtiny_lanes_record *record, int32_t zero) {
    const int32_t high = fedtiny_multiply_high(sum, record->multiplier) + (sum >> 31);
    const int32_t rounding = zero * (1 << record->right_less_1);
    return (int8_t)fedtiny_clamp_s32((high + rounding) >> (record->right_less_1 + 1), INT8_MIN,
                                     INT8_MAX);
}

static void run_tile(const fedtiny_lanes_tile_call *call, int32_t words) {
    const uint8_t *stream = call->stream;
    int8_t *out = call->out;
    int32_t *sums = call->out;
    for (const fedtiny_lanes_record *record = call->record; record != call->end; record++, out++) {
        const uint32_t bias = (uint32_t)record->bias;
        const int32_t *word = call->window;
        uint32_t high[TILE], total[TILE];
        int is_last = 0;
        for (int32_t i = 0; i < words; i++) {
            high[i] = bias;
            total[i] = bias + (bias << 16) - ((uint32_t)record->groups << 15);
        }
        while (!is_last) {
            int32_t sum[TILE] = {1 << 15, 1 << 15, 1 << 15};
            const int32_t entries = stream[2] >> 2;
            is_last = stream[2] & 1;
            for (int32_t entry = 0; entry < entries; entry++) {
                const int32_t weight = (int8_t)stream[1];
                word += stream[0];
                for (int32_t i = 0; i < words; i++) {
                    sum[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)weight * (uint32_t)word[i]);
                }
                stream += entry == 0 ? 3 : 2;
            }
            for (int32_t i = 0; i < words; i++) {
                high[i] += (uint32_t)(sum[i] >> 16);
                total[i] += (uint32_t)sum[i];
            }
        }
        for (int32_t i = 0; i < words; i++) {
            const int32_t a = (int32_t)(total[i] - (high[i] << 16)), b = (int32_t)high[i];
            if (call->plain) {
                *sums++ = a;
                *sums++ = b;
            } else {
                out[i * call->stride] = scale(a, record, call->zero);
                out[i * call->stride + call->distance] = scale(b, record, call->zero);
            }
        }
    }
}

void fedtiny_lanes_tile2(const fedtiny_lanes_tile_call *call) {
    run_tile(call, 2);
}

void fedtiny_lanes_tile3(const fedtiny_lanes_tile_call *call) {
    run_tile(call, 3);
}

void fedtiny_lanes_pack(const fedtiny_pairs_pack_call *call) {
    const int32_t plane = call->plane / (int32_t)sizeof(int32_t);
    const int8_t *a = call->a, *b = call->b;
    for (int32_t column = 0; column < call->columns; column++) {
        int32_t *to = call->to + column;
        for (int32_t channel = 0; channel < call->channels; channel++, to += plane) {
            *to = (int32_t)((uint32_t)(int32_t)*a++ + ((uint32_t)(int32_t)*b++ << 16));
        }
        a += call->skip_a;
        b += call->skip_b;
    }
}

#endif

/* The tiles of a row: threes, then as many twos as leave nothing over. */
static int32_t twos(int32_t pairs) {
    return pairs == 1 ? 1 : (3 - pairs % 3) % 3;
}

static int32_t threes(int32_t pairs) {
    return pairs == 1 ? 0 : (pairs - 2 * twos(pairs)) / 3;
}

static int32_t tile_start(int32_t tile, int32_t pairs) {
    const int32_t over = tile - threes(pairs);
    return 3 * tile - (over > 0 ? over : 0);
}

/* The end of the plain form: scales the sums of a tile. */
static FEDTINY_SEPARATE void scale_lane_sums(const fedtiny_pairs_s8_params *p,
                                             const fedtiny_lanes_record *record,
                                             const int32_t *sums, int32_t width, int32_t first,
                                             int32_t words, int8_t *out) {
    const int32_t distance = width - fedtiny_pairs_of(width);
    for (int32_t channel = 0; channel < p->out_c; channel++, record++) {
        for (int32_t i = 0; i < 2 * words; i++) {
            const int32_t pixel = first + i / 2 + i % 2 * distance;
            const int32_t scaled =
                fedtiny_multiply(*sums++, record->multiplier, record->shift) + p->output_zero_point;
            if (pixel < width) {
                out[pixel * p->out_c + channel] =
                    (int8_t)fedtiny_clamp_s32(scaled, p->output_min, p->output_max);
            }
        }
    }
}

/* The pixel of padding. */
static int8_t *after_window(const fedtiny_call *call, const fedtiny_pairs_s8_params *p) {
    return (int8_t *)call->scratch + p->window_words * sizeof(int32_t);
}

/* Sums of the plain form, then staged rows. */
static int8_t *after_pad(const fedtiny_call *call, const fedtiny_pairs_s8_params *p) {
    return after_window(call, p) + ((p->in_c + 3) & ~3);
}

/* Computes tiles, which the window holds, of one row. */
static FEDTINY_SEPARATE void run_tiles(const fedtiny_call *call, const fedtiny_pairs_s8_params *p,
                                       fedtiny_lanes_tile_call *tile,
                                       const fedtiny_pairs_span *span, int8_t *out) {
    const int32_t *const window = call->scratch;
    int32_t *const sums = (int32_t *)(void *)after_pad(call, p);
    for (int32_t start = span->first, end = start + span->words; start < end;) {
        const int32_t words = start < tile->first_two ? 3 : 2;
        tile->window = window + (start - span->first);
        tile->out = tile->plain ? (void *)sums : (void *)(out + start * p->out_c);
        if (words == 3) {
            fedtiny_lanes_tile3(tile);
        } else {
            fedtiny_lanes_tile2(tile);
        }
        if (tile->plain) {
            scale_lane_sums(p, tile->record, sums, span->width, start, words, out);
        }
        start += words;
    }
}

/* Copies rows from where they were staged, if they were, and clamps them. */
static FEDTINY_SEPARATE void finish_rows(const fedtiny_call *call, const fedtiny_pairs_s8_params *p,
                                         int32_t rows, const int8_t *staged) {
    const int32_t row_bytes = p->out_w * p->out_c;
    for (int32_t row = 0; row < rows; row++) {
        if (staged != NULL) {
            fedtiny_copy(call->out[row], staged + row * row_bytes, (size_t)row_bytes);
        }
        if (FEDTINY_PART_PAIRS_CLAMP && p->sums_bytes == 0) {
            fedtiny_pairs_clamp_row(p, call->out[row]);
        }
    }
}

fedtiny_status fedtiny_lanes_step(const fedtiny_call *call, const fedtiny_pairs_s8_params *p) {
    const int plain = p->sums_bytes != 0;
    const int is_joined = FEDTINY_PART_PAIRS_JOINED && p->joined;
    int32_t rows = 1;
    while (rows < p->rows && call->out[rows] != NULL) {
        rows++;
    }
    fedtiny_pairs_span span;
    span.pack = fedtiny_lanes_pack;
    span.pad = after_window(call, p);
    if (p->padded) {
        fedtiny_fill(after_window(call, p), p->input_zero_point, p->in_c);
    }
    span.width = is_joined ? rows * p->out_w : p->out_w;
    span.plane = fedtiny_pairs_smaller(p->stride_w, p->reach_w) * p->phase_words;
    const int32_t pairs = fedtiny_pairs_of(span.width);
    const int32_t tiles = threes(pairs) + twos(pairs);
    int8_t *const staged =
        (is_joined && !fedtiny_pairs_contiguous(call, rows, p->out_w * p->out_c)) ||
                (!plain && pairs == 1)
            ? after_pad(call, p) + p->sums_bytes
            : NULL;
    fedtiny_lanes_tile_call tile;
    tile.distance = (span.width - pairs) * p->out_c;
    tile.stride = p->out_c;
    tile.zero = 2 * p->output_zero_point + 1;
    tile.least = plain ? 0 : -(p->output_zero_point + 128) * (1 << 7);
    tile.start = tile.zero * (1 << 21) + 3 * (1 << 15) + tile.least;
    tile.record = fedtiny_constant(call, p->stream);
    tile.end = tile.record + p->out_c;
    tile.plain = plain;
    tile.first_two = 3 * threes(pairs);
    tile.stream = (const uint8_t *)tile.end;
    for (int32_t chunk = 0; chunk < tiles; chunk += p->chunk_tiles) {
        const int32_t end = fedtiny_pairs_smaller(chunk + p->chunk_tiles, tiles);
        span.first = tile_start(chunk, pairs);
        span.words = tile_start(end, pairs) - span.first;
        for (int32_t pass = 0; pass < (is_joined ? 1 : rows); pass++) {
            int8_t *const out = staged != NULL ? staged : call->out[pass];
            fedtiny_pairs_fill(call, p, &span, pass);
            run_tiles(call, p, &tile, &span, out);
            if (staged != NULL && !is_joined) {
                fedtiny_copy(call->out[pass], staged, (size_t)(p->out_w * p->out_c));
            }
        }
    }
    finish_rows(call, p, rows, is_joined ? staged : NULL);
    return FEDTINY_OK;
}
