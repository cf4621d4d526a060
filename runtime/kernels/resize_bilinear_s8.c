/* resize, int8: a mean of four pixels, weights in units of 1 / 1024, halves away from zero. */
#include "src/kernel.h"

#define UNIT 1024
#define HALF (UNIT * UNIT / 2)

fedtiny_status fedtiny_resize_bilinear_s8(const fedtiny_call *call) {
    const fedtiny_resize_bilinear_s8_params *p = call->params;
    const uint16_t *columns = fedtiny_constant(call, p->columns);
    const uint16_t *rows = fedtiny_constant(call, p->rows);
    const int16_t *across = fedtiny_constant(call, p->column_weights);
    const int16_t *down = fedtiny_constant(call, p->row_weights);
    rows += 2 * call->step * p->step_rows;
    down += call->step * p->step_rows;
    for (int32_t y = 0; y < p->step_rows; y++) {
        const int8_t *top = call->in[rows[2 * y]], *bottom = call->in[rows[2 * y + 1]];
        int8_t *out = call->out[y];
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t left = columns[2 * x] * p->channels;
            const int32_t right = columns[2 * x + 1] * p->channels;
            const int32_t w00 = (UNIT - down[y]) * (UNIT - across[x]);
            const int32_t w01 = (UNIT - down[y]) * across[x];
            const int32_t w10 = down[y] * (UNIT - across[x]);
            const int32_t w11 = down[y] * across[x];
            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t sum = top[left + c] * w00 + top[right + c] * w01 +
                                    bottom[left + c] * w10 + bottom[right + c] * w11;
                *out++ = (int8_t)((sum + (sum > 0 ? HALF : -HALF)) / (UNIT * UNIT));
            }
        }
    }
    return FEDTINY_OK;
}
