/* resize, float: a mean of four pixels. */
#include "src/kernel.h"

fedtiny_status fedtiny_resize_bilinear_f32(const fedtiny_call *call) {
    const fedtiny_resize_bilinear_f32_params *p = call->params;
    const uint16_t *columns = fedtiny_constant(call, p->columns);
    const uint16_t *rows = fedtiny_constant(call, p->rows);
    const float *across = fedtiny_constant(call, p->column_weights);
    const float *down = fedtiny_constant(call, p->row_weights);
    rows += 2 * call->step * p->step_rows;
    down += call->step * p->step_rows;
    for (int32_t y = 0; y < p->step_rows; y++) {
        const float *top = call->in[rows[2 * y]], *bottom = call->in[rows[2 * y + 1]];
        float *out = call->out[y];
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t left = columns[2 * x] * p->channels;
            const int32_t right = columns[2 * x + 1] * p->channels;
            const float w00 = (1.0f - down[y]) * (1.0f - across[x]);
            const float w01 = (1.0f - down[y]) * across[x];
            const float w10 = down[y] * (1.0f - across[x]);
            const float w11 = down[y] * across[x];
            for (int32_t c = 0; c < p->channels; c++) {
                *out++ = top[left + c] * w00 + top[right + c] * w01 + bottom[left + c] * w10 +
                         bottom[right + c] * w11;
            }
        }
    }
    return FEDTINY_OK;
}
