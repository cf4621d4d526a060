/* average_pool2d, int8, the plain definition; padding is not counted. */
#include "src/requantize.h"

fedtiny_status fedtiny_average_pool2d_s8(const fedtiny_call *call) {
    const fedtiny_average_pool2d_s8_params *p = call->params;
    int8_t *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            int32_t sum = 0, count = 0;
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const int8_t *row = call->in[ky];
                for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                    const int32_t column = x * p->stride_w + kx - p->pad_left;
                    if (row != NULL && column >= 0 && column < p->in_w) {
                        sum += row[column * p->channels + c];
                        count++;
                    }
                }
            }
            *out++ =
                (int8_t)fedtiny_clamp_s32(fedtiny_mean(sum, count), p->output_min, p->output_max);
        }
    }
    return FEDTINY_OK;
}
