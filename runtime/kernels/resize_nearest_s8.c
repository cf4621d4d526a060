/* resize, int8, to the nearest pixel: tables say which row and which column. */
#include "src/kernel.h"

#include <string.h>

fedtiny_status fedtiny_resize_nearest_s8(const fedtiny_call *call) {
    const fedtiny_resize_nearest_params *p = call->params;
    const uint16_t *columns = fedtiny_constant(call, p->columns);
    const uint16_t *rows = fedtiny_constant(call, p->rows);
    rows += call->step * p->step_rows;
    for (uint32_t y = 0; y < p->step_rows; y++) {
        const int8_t *in = call->in[rows[y]];
        int8_t *out = call->out[y];
        if (y > 0 && rows[y] == rows[y - 1]) {
            memcpy(out, call->out[y - 1], p->out_w * p->channels * sizeof *out);
            continue;
        }
        for (uint32_t x = 0; x < p->out_w; x++, out += p->channels) {
            const int8_t *pixel = in + columns[x] * p->channels;
            for (uint32_t c = 0; c < p->channels; c++) {
                out[c] = pixel[c];
            }
        }
    }
    return FEDTINY_OK;
}
