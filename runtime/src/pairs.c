/* Convolutions that compute two output pixels per accumulator (see pairs.h): rows of one step. */
#include "pairs.h"

#include "memory.h"
#include "requantize.h"

#include <string.h>

/* Words of a tile of rows of so many words. Rows of one or two words fill a tile with waste. */
static int32_t tile_words(int32_t pairs) {
    return pairs == 3 ? 3 : FEDTINY_PAIRS_TILE;
}

/* First word of a tile. The last one overlaps its neighbour rather than leave the row. */
static int32_t tile_start(int32_t tile, int32_t pairs) {
    return pairs < FEDTINY_PAIRS_TILE
               ? 0
               : fedtiny_pairs_smaller(tile * FEDTINY_PAIRS_TILE, pairs - FEDTINY_PAIRS_TILE);
}

/* The end of the plain form: adds up each channel's records and scales the sums of a tile. Its
 * totals must not take stack while other forms run. */
static FEDTINY_SEPARATE void scale_sums(const fedtiny_pairs_s8_params *p, const uint8_t *stream,
                                        const int32_t *sums, int32_t width, int32_t first,
                                        int8_t *out) {
    const int32_t distance = width - fedtiny_pairs_of(width);
    for (int32_t channel = 0; channel < p->out_c; channel++) {
        uint32_t total[2 * FEDTINY_PAIRS_TILE] = {0};
        struct {
            int32_t multiplier;
            int16_t shift, more;
            int32_t bias;
        } end;
        do {
            stream += FEDTINY_PAIRS_HEADER + fedtiny_pairs_weights_bytes(stream, p->dense_weights);
            memcpy(&end, stream, sizeof end);
            stream += sizeof end;
            for (int32_t i = 0; i < 2 * FEDTINY_PAIRS_TILE; i++) {
                total[i] += (uint32_t)*sums++;
            }
        } while (end.more);
        for (int32_t i = 0; i < 2 * tile_words(fedtiny_pairs_of(width)); i++) {
            const int32_t pixel = first + i / 2 + i % 2 * distance;
            if (pixel < width) {
                const int32_t sum = (int32_t)(total[i] + (uint32_t)end.bias);
                const int32_t scaled =
                    fedtiny_multiply(sum, end.multiplier, end.shift) + p->output_zero_point;
                out[pixel * p->out_c + channel] =
                    (int8_t)fedtiny_clamp_s32(scaled, p->output_min, p->output_max);
            }
        }
    }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif

fedtiny_status fedtiny_pairs_step(const fedtiny_call *call, const fedtiny_pairs_s8_params *p) {
    int8_t *const pad = (int8_t *)call->scratch + p->window_words * sizeof(int32_t);
    int8_t *const staging = pad + ((p->in_c + 3) & ~3);
    const int32_t row_bytes = p->out_w * p->out_c;
    const int plain = FEDTINY_PAIRS_SUMS && p->form == FEDTINY_PAIRS_PLAIN;
    int32_t rows = 1;
    while (rows < p->rows && call->out[rows] != NULL) {
        rows++;
    }
    const int is_joined = FEDTINY_PART_PAIRS_JOINED && p->joined;
    const int32_t passes = is_joined ? 1 : rows; /* over joined rows, or over each */
    fedtiny_pairs_span span;
    span.pack = fedtiny_pairs_pack;
    span.pad = pad;
    if (p->padded) {
        fedtiny_fill(pad, p->input_zero_point, p->in_c);
    }
    span.width = is_joined ? rows * p->out_w : p->out_w;
    span.plane = fedtiny_pairs_smaller(p->stride_w, p->reach_w) * p->phase_words;
    const int32_t pairs = fedtiny_pairs_of(span.width);
    const int32_t tiles = (pairs + FEDTINY_PAIRS_TILE - 1) / FEDTINY_PAIRS_TILE;
    const int scattered = is_joined && !fedtiny_pairs_contiguous(call, rows, row_bytes);
    const int staged = scattered || (!plain && pairs < tile_words(pairs));
    int32_t *const sums = (int32_t *)(void *)staging; /* plain form */
    int8_t *const joined = staging + (plain ? p->sums_bytes : 0);
    fedtiny_pairs_tile_call tile;
    tile.zero_point = p->output_zero_point;
    tile.distance = (span.width - pairs) * p->out_c - 1;
    tile.stride = p->out_c;
    tile.form = p->form;
    tile.group = p->phase_words * (int32_t)sizeof(int32_t);
    tile.dense = p->dense_weights;
    tile.stream = fedtiny_constant(call, p->stream);
    for (int32_t chunk = 0; chunk < tiles; chunk += p->chunk_tiles) {
        const int32_t end = fedtiny_pairs_smaller(chunk + p->chunk_tiles, tiles);
        span.first = tile_start(chunk, pairs);
        span.words = tile_start(end - 1, pairs) + tile_words(pairs) - span.first;
        for (int32_t pass = 0; pass < passes; pass++) {
            int8_t *const out = staged ? joined : call->out[pass];
            fedtiny_pairs_fill(call, p, &span, pass);
            for (int32_t t = chunk; t < end; t++) {
                const int32_t start = tile_start(t, pairs);
                tile.window = (const int32_t *)call->scratch + (start - span.first);
                tile.out = plain ? (void *)sums : (void *)(out + start * p->out_c);
#if FEDTINY_PAIRS_TILE3
                if (pairs == 3) {
                    fedtiny_pairs_tile3(&tile);
                }
#endif
#if FEDTINY_PAIRS_TILE4
                if (pairs != 3) {
                    fedtiny_pairs_tile(&tile);
                }
#endif
                if (plain) {
                    scale_sums(p, tile.stream, sums, span.width, start, out);
                }
            }
            if (staged && !is_joined) {
                fedtiny_copy(call->out[pass], joined, (size_t)row_bytes);
            }
        }
    }
    for (int32_t row = 0; row < rows; row++) {
        if (staged && is_joined) {
            fedtiny_copy(call->out[row], joined + row * row_bytes, (size_t)row_bytes);
        }
        if (FEDTINY_PART_PAIRS_CLAMP && !plain) {
            fedtiny_pairs_clamp_row(p, call->out[row]);
        }
    }
    return FEDTINY_OK;
}
