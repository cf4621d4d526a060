/* conv2d over nonzeros, int8, without groups: any stride, padding and dilation. As conv2d_csr_s8,
 * but the distance from a nonzero to the next counts taps of the kernel, which need fewer bytes
 * than the elements between them in the tile; a table behind the tile says where a tap lies. */
#include "src/requantize.h"
#include "src/taps.h"

/* acc[l] = start + sum over entries of weight * tile[*tap + l]; returns the next entry. */
static const uint8_t *accumulate(const int8_t *tile, const uint16_t *tap, const uint8_t *entry,
                                 uint32_t count, int32_t start, int32_t acc[FEDTINY_LANES]) {
    FEDTINY_SUMS8(start);
    for (const uint8_t *end = entry + 2 * count; entry != end; entry += 2) {
        const int32_t weight = (int8_t)entry[1];
        tap += entry[0];
        const int8_t *in = tile + *tap;
        FEDTINY_ADD8(weight, in);
    }
    FEDTINY_GET8(acc);
    return entry;
}

fedtiny_status fedtiny_conv2d_csr_taps_s8(const fedtiny_call *call) {
    const fedtiny_conv2d_csr_taps_s8_params *p = call->params;
    const uint8_t *counts = fedtiny_constant(call, p->counts);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const int32_t low = p->output_min, high = p->output_max, zero_point = p->output_zero_point;
    const fedtiny_tile shape = {p->in_w,     p->in_c,   p->kernel_h, p->dilation_h,
                                p->stride_w, p->phases, p->columns};
    uint16_t *const table = (uint16_t *)call->scratch + p->tile_words;
    int8_t *out = call->out[0];
    fedtiny_tap_table(&shape, p->kernel_w, p->dilation_w, table);
    for (int32_t x = 0; x < p->out_w; x += FEDTINY_LANES, out += FEDTINY_LANES * p->out_c) {
        const int32_t valid = p->out_w - x < FEDTINY_LANES ? p->out_w - x : FEDTINY_LANES;
        const uint8_t *entry = fedtiny_constant(call, p->entries);
        fedtiny_gather_tile(&shape, call->in, x * p->stride_w - p->pad_left, p->input_zero_point,
                            call->scratch);
        for (int32_t o = 0; o < p->out_c; o++) {
            const uint8_t *count = counts + (o << p->wide);
            const uint32_t entries = p->wide ? (uint32_t)(count[0] | count[1] << 8) : count[0];
            int32_t acc[FEDTINY_LANES];
            entry = accumulate(call->scratch, table, entry, entries, bias[o], acc);
            fedtiny_store_channel(acc, valid, multipliers[o], shifts[o], zero_point, low, high,
                                  out + o, p->out_c);
        }
    }
    return FEDTINY_OK;
}
