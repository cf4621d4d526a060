/* What convolutions over nonzeros on channel planes share, float: sums of one output channel. */
#ifndef FEDTINY_PLANES_NONZEROS_F32_H
#define FEDTINY_PLANES_NONZEROS_F32_H

#include "src/simd.h"

/* Few pixels leave registers free: nonzeros then take turns between two or four sets of sums, so
 * that one need not wait for another. How many depends on the pixels alone, and so does the order
 * in which floats are added. */
enum { FEDTINY_FOUR_SETS_PIXELS = 24, FEDTINY_TWO_SETS_PIXELS = 48, FEDTINY_MOST_SETS = 4 };

/* sum += one of four weights times a run of inputs. */
FEDTINY_INLINE void fedtiny_add_tap(fedtiny_v *sum, const uint8_t *at, fedtiny_weights w, int which,
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

/* Sets 1 and on begin at nothing. */
FEDTINY_INLINE void fedtiny_clear_sets(fedtiny_v sum[][FEDTINY_TILE], int count, int sets) {
    const float nothing = 0.0f;
    const fedtiny_v none = fedtiny_v_all(&nothing);
    FEDTINY_UNROLL
    for (int set = 1; set < sets; set++) {
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            sum[set][i] = none;
        }
    }
}

/* Set 0 becomes the sum of all. */
FEDTINY_INLINE void fedtiny_join_sets(fedtiny_v sum[][FEDTINY_TILE], int count, int sets) {
    FEDTINY_UNROLL
    for (int set = 1; set < sets; set++) {
        FEDTINY_UNROLL
        for (int i = 0; i < count; i++) {
            sum[0][i] = fedtiny_v_add(sum[0][i], sum[set][i]);
        }
    }
}

/* Calls run_tile(job, first, count, sets), which the file that includes this has, with constants:
 * the sets that a plane of so many pixels takes, and the vectors of a tile. */
#define FEDTINY_TILE_OF_1(n)                                                                       \
    case n:                                                                                        \
        run_tile(job, first, n, 1);                                                                \
        break;
#define FEDTINY_TILE_OF_2(n)                                                                       \
    case n:                                                                                        \
        run_tile(job, first, n, 2);                                                                \
        break;
#define FEDTINY_TILE_OF_4(n)                                                                       \
    case n:                                                                                        \
        run_tile(job, first, n, 4);                                                                \
        break;
#define FEDTINY_CHOOSE_TILE(job, first, count, pixels)                                             \
    if ((pixels) > FEDTINY_TWO_SETS_PIXELS) {                                                      \
        switch (count) {                                                                           \
            FEDTINY_TILES_1(FEDTINY_TILE_OF_1)                                                     \
        default:                                                                                   \
            FEDTINY_PORTABLE(run_tile(job, first, (int)(count), 1);)                               \
            break;                                                                                 \
        }                                                                                          \
    } else if ((pixels) > FEDTINY_FOUR_SETS_PIXELS) {                                              \
        switch (count) {                                                                           \
            FEDTINY_TILES_2(FEDTINY_TILE_OF_2)                                                     \
        default:                                                                                   \
            FEDTINY_PORTABLE(run_tile(job, first, (int)(count), 2);)                               \
            break;                                                                                 \
        }                                                                                          \
    } else {                                                                                       \
        switch (count) {                                                                           \
            FEDTINY_TILES_4(FEDTINY_TILE_OF_4)                                                     \
        default:                                                                                   \
            FEDTINY_PORTABLE(run_tile(job, first, (int)(count), 4);)                               \
            break;                                                                                 \
        }                                                                                          \
    }

#endif
