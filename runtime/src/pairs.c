/* Convolutions that compute two output pixels per accumulator (see pairs.h): one output row. */
#include "pairs.h"

#include "requantize.h"

#include <string.h>

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* Words that every kind of tile may touch: rows narrower than a tile still fill one. */
static int32_t words_of(int32_t pairs) {
    return pairs < FEDTINY_PAIRS_TILE ? FEDTINY_PAIRS_TILE : pairs;
}

/* First word of a tile. The last one overlaps its neighbour rather than leave the row. */
static int32_t tile_start(int32_t tile, int32_t pairs) {
    return smaller(tile * FEDTINY_PAIRS_TILE, words_of(pairs) - FEDTINY_PAIRS_TILE);
}

/* How many columns from x on, a stride apart, are all inside the row or all outside. */
static int32_t alike(int32_t x, int32_t in_w, int32_t stride) {
    if (x >= in_w) {
        return INT32_MAX;
    }
    return ((x < 0 ? -x : in_w - x) + stride - 1) / stride;
}

/* Columns x, x + stride, ... of one kernel row, and their partners, to the words from `to` on. */
static void pack_columns(const fedtiny_pairs_s8_params *p, const int8_t *row, const int8_t *pad,
                         int32_t x, int32_t columns, int32_t plane, int32_t *to) {
    const int32_t in_c = p->in_c, step = p->stride_w * in_c;
    const int32_t partner = (p->out_w - (p->out_w + 1) / 2) * p->stride_w;
    fedtiny_pairs_pack_call pack;
    pack.plane = plane * (int32_t)sizeof *to;
    pack.channels = in_c;
    pack.rewind = (int32_t)sizeof *to - in_c * pack.plane;
    while (columns > 0) {
        const int32_t y = x + partner;
        const int in_a = row != NULL && x >= 0 && x < p->in_w;
        const int in_b = row != NULL && y >= 0 && y < p->in_w;
        pack.columns = columns;
        if (row != NULL) {
            pack.columns = smaller(pack.columns, alike(x, p->in_w, p->stride_w));
            pack.columns = smaller(pack.columns, alike(y, p->in_w, p->stride_w));
        }
        pack.to = to;
        pack.a = in_a ? row + x * in_c : pad;
        pack.b = in_b ? row + y * in_c : pad;
        pack.skip_a = in_a ? step - in_c : -in_c;
        pack.skip_b = in_b ? step - in_c : -in_c;
        fedtiny_pairs_pack(&pack);
        x += pack.columns * p->stride_w;
        to += pack.columns;
        columns -= pack.columns;
    }
}

/* The columns that output words first .. first + words - 1 need, of all kernel rows. */
static void pack_window(const fedtiny_call *call, const fedtiny_pairs_s8_params *p,
                        const int8_t *pad, int32_t first, int32_t words) {
    const int32_t phases = smaller(p->stride_w, p->reach_w);
    const int32_t plane = phases * p->phase_words;
    int32_t *to = call->scratch;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, to += plane * p->in_c) {
        const int8_t *row = call->in[ky * p->dilation_h];
        for (int32_t phase = 0; phase < phases; phase++) {
            const int32_t more = (p->reach_w - 1 - phase) / p->stride_w;
            pack_columns(p, row, pad, first * p->stride_w + phase - p->pad_left, words + more,
                         plane, to + phase * p->phase_words);
        }
    }
}

/* The end of the plain form: adds up each channel's records and scales the sums of a tile. */
static void scale_sums(const fedtiny_call *call, const fedtiny_pairs_s8_params *p,
                       const int32_t *sums, int32_t first) {
    const uint8_t *stream = fedtiny_constant(call, p->stream);
    const int32_t distance = p->out_w - (p->out_w + 1) / 2;
    int8_t *out = call->out[0];
    for (int32_t channel = 0; channel < p->out_c; channel++) {
        uint32_t total[2 * FEDTINY_PAIRS_TILE] = {0};
        struct {
            int32_t multiplier;
            int16_t shift, more;
            int32_t bias;
        } end;
        do {
            uint16_t list[2]; /* passes, entry */
            memcpy(list, stream + 8, sizeof list);
            const int32_t narrow = list[1] < FEDTINY_PAIRS_WIDE;
            const int32_t entries =
                list[1] == FEDTINY_PAIRS_EMPTY ? 0 : list[0] * 8 - list[1] % 8;
            stream += 12 + entries * (narrow ? 2 : 3);
            memcpy(&end, stream, sizeof end);
            stream += sizeof end;
            for (int32_t i = 0; i < 2 * FEDTINY_PAIRS_TILE; i++) {
                total[i] += (uint32_t)*sums++;
            }
        } while (end.more);
        for (int32_t i = 0; i < 2 * FEDTINY_PAIRS_TILE; i++) {
            const int32_t pixel = first + i / 2 + i % 2 * distance;
            if (pixel < p->out_w) {
                const int32_t sum = (int32_t)(total[i] + (uint32_t)end.bias);
                const int32_t scaled =
                    fedtiny_multiply(sum, end.multiplier, end.shift) + p->output_zero_point;
                out[pixel * p->out_c + channel] =
                    (int8_t)fedtiny_clamp_s32(scaled, p->output_min, p->output_max);
            }
        }
    }
}

static void clamp_row(const fedtiny_pairs_s8_params *p, int8_t *out) {
    if (p->output_min == INT8_MIN && p->output_max == INT8_MAX) {
        return; /* the tile saturates */
    }
    for (int32_t i = 0; i < p->out_w * p->out_c; i++) {
        out[i] = (int8_t)fedtiny_clamp_s32(out[i], p->output_min, p->output_max);
    }
}

fedtiny_status fedtiny_pairs_step(const fedtiny_call *call, const fedtiny_pairs_s8_params *p) {
    int32_t *const window = call->scratch;
    int8_t *const pad = (int8_t *)(window + p->window_words); /* one pixel of padding */
    int8_t *const staging = pad + ((p->in_c + 3) & ~3);
    const int32_t pairs = (p->out_w + 1) / 2;
    const int32_t tiles = (words_of(pairs) + FEDTINY_PAIRS_TILE - 1) / FEDTINY_PAIRS_TILE;
    const int plain = p->form == FEDTINY_PAIRS_PLAIN;
    const int staged = plain || pairs < FEDTINY_PAIRS_TILE;
    int8_t *const row = staged ? staging : call->out[0];
    fedtiny_pairs_tile_call tile;
    tile.zero_point = p->output_zero_point;
    tile.distance = (p->out_w - pairs) * p->out_c - 1;
    tile.stride = p->out_c;
    tile.form = p->form;
    tile.stream = fedtiny_constant(call, p->stream);
    memset(pad, p->input_zero_point, p->in_c);
    for (int32_t chunk = 0; chunk < tiles; chunk += p->chunk_tiles) {
        const int32_t end = smaller(chunk + p->chunk_tiles, tiles);
        const int32_t first = tile_start(chunk, pairs);
        pack_window(call, p, pad, first, tile_start(end - 1, pairs) + FEDTINY_PAIRS_TILE - first);
        for (int32_t t = chunk; t < end; t++) {
            const int32_t start = tile_start(t, pairs);
            tile.window = window + (start - first);
            tile.out = plain ? row : row + start * p->out_c;
            fedtiny_pairs_tile(&tile);
            if (plain) {
                scale_sums(call, p, (const int32_t *)(void *)staging, start);
            }
        }
    }
    if (!plain) {
        if (staged) {
            memcpy(call->out[0], staging, (size_t)p->out_w * p->out_c);
        }
        clamp_row(p, call->out[0]);
    }
    return FEDTINY_OK;
}
