/* The loops of gather.h in C. */
#include "src/gather.h"

#if !FEDTINY_MVE
#include "src/memory.h"
#include "src/requantize.h"

/* Adds a group's products to the sums, and returns the next one. */
typedef const uint8_t *(*group_function)(const uint8_t *group, const int8_t **patch, int32_t *sums);

static const uint8_t *narrow(const uint8_t *group, const int8_t **patch, int32_t *sums) {
    const int8_t *weights = (const int8_t *)group + FEDTINY_GATHER_LANES;
    for (int32_t i = 0; i < FEDTINY_GATHER_LANES; i++) {
        for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
            sums[x] += weights[i] * patch[x][group[i]];
        }
    }
    return group + 2 * FEDTINY_GATHER_LANES;
}

static const uint8_t *wide(const uint8_t *group, const int8_t **patch, int32_t *sums) {
    for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
        patch[x] += group[0] | group[1] << 8;
    }
    return narrow(group + 2, patch, sums);
}

static const uint8_t *blocks(const uint8_t *group, const int8_t **patch, int32_t *sums) {
    const int8_t *weights = (const int8_t *)group + 2 * FEDTINY_GATHER_BLOCKS;
    for (int32_t i = 0; i < FEDTINY_GATHER_LANES; i++) {
        const uint8_t *place = group + 2 * (i / 4);
        const int32_t at = 4 * (place[0] | place[1] << 8) + i % 4;
        for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
            sums[x] += weights[i] * patch[x][at];
        }
    }
    return group + 2 * FEDTINY_GATHER_BLOCKS + FEDTINY_GATHER_LANES;
}

static const uint8_t *dense(const uint8_t *group, const int8_t **patch, int32_t *sums) {
    for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
        for (int32_t i = 0; i < FEDTINY_GATHER_LANES; i++) {
            sums[x] += ((const int8_t *)group)[i] * *patch[x]++;
        }
    }
    return group + FEDTINY_GATHER_LANES;
}

static void finish(const fedtiny_gather_tile *tile, int32_t c, const int32_t *sums) {
    const fedtiny_gather_channel *channel = tile->channels + c;
    for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
        const int32_t value = fedtiny_multiply(sums[x], channel->multiplier, channel->shift);
        tile->out[x][c] = (int8_t)fedtiny_clamp_s32(value + tile->zero_point, INT8_MIN, INT8_MAX);
    }
}

static void run_tile(const fedtiny_gather_tile *tile, group_function add) {
    const uint8_t *group = tile->stream;
    for (int32_t c = 0; c < 4 * tile->fours; c++) {
        const fedtiny_gather_channel *channel = tile->channels + c;
        const int8_t *patch[FEDTINY_GATHER_PIXELS];
        int32_t sums[FEDTINY_GATHER_PIXELS];
        for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
            patch[x] = tile->patch[x];
            sums[x] = channel->bias;
        }
        for (int32_t i = 0; i <= channel->more; i++) {
            group = add(group, patch, sums);
        }
        finish(tile, c, sums);
    }
}

static void move_on(fedtiny_gather_tile *tile) {
    for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
        tile->patch[x] += tile->patch_step;
        tile->out[x] += tile->out_step;
    }
}

static void run(const fedtiny_gather_tile *tiles, group_function add) {
    fedtiny_gather_tile tile = *tiles;
    for (int32_t left = tiles->tiles; left > 0; left--) {
        run_tile(&tile, add);
        if (left > 1) {
            move_on(&tile);
        }
    }
}

void fedtiny_gather_narrow(const fedtiny_gather_tile *tile) {
    run(tile, narrow);
}

void fedtiny_gather_narrow_relu(const fedtiny_gather_tile *tile) {
    run(tile, narrow);
}

void fedtiny_gather_wide(const fedtiny_gather_tile *tile) {
    run(tile, wide);
}

void fedtiny_gather_wide_relu(const fedtiny_gather_tile *tile) {
    run(tile, wide);
}

void fedtiny_gather_blocks(const fedtiny_gather_tile *tile) {
    run(tile, blocks);
}

void fedtiny_gather_blocks_relu(const fedtiny_gather_tile *tile) {
    run(tile, blocks);
}

void fedtiny_gather_dense(const fedtiny_gather_tile *tile) {
    run(tile, dense);
}

void fedtiny_gather_dense_relu(const fedtiny_gather_tile *tile) {
    run(tile, dense);
}

static void run_depthwise_tile(const fedtiny_gather_tile *tile) {
    const int8_t *weights = (const int8_t *)tile->stream;
    for (int32_t c = 0; c < 4 * tile->fours; c++, weights += FEDTINY_GATHER_LANES) {
        int32_t sums[FEDTINY_GATHER_PIXELS];
        for (int32_t x = 0; x < FEDTINY_GATHER_PIXELS; x++) {
            sums[x] = tile->channels[c].bias;
            for (int32_t i = 0; i < FEDTINY_GATHER_LANES; i++) {
                if (weights[i] != 0) { /* there may be nothing where there is no weight */
                    sums[x] += weights[i] * tile->patch[x][tile->places[i / 4] + 4 * c + i % 4];
                }
            }
        }
        finish(tile, c, sums);
    }
}

static void run_depthwise(const fedtiny_gather_tile *tiles) {
    fedtiny_gather_tile tile = *tiles;
    for (int32_t left = tiles->tiles; left > 0; left--) {
        run_depthwise_tile(&tile);
        if (left > 1) {
            move_on(&tile);
        }
    }
}

void fedtiny_gather_depthwise(const fedtiny_gather_tile *tile) {
    run_depthwise(tile);
}

void fedtiny_gather_depthwise_relu(const fedtiny_gather_tile *tile) {
    run_depthwise(tile);
}

void fedtiny_gather_columns(int8_t *to, const int8_t *from, int32_t count, int32_t bytes,
                            int32_t to_stride, int32_t from_stride) {
    for (; count > 0; count--, to += to_stride, from += from_stride) {
        fedtiny_copy(to, from, (size_t)bytes);
    }
}

void fedtiny_gather_interleave(int8_t *to, const fedtiny_gather_rows *rows, int32_t count) {
    for (int32_t k = 0; k < FEDTINY_GATHER_ROWS; k++) {
        for (int32_t i = 0; i < count; i++) {
            const int32_t at = rows->step[k] > 0 ? i : i % FEDTINY_GATHER_LANES;
            to[4 * i + k] = rows->row[k][at];
        }
    }
}
#endif
