/* average_pool2d, float, the plain definition; padding is not counted. */
#include "src/kernel.h"

fedtiny_status fedtiny_average_pool2d_f32(const fedtiny_call *call) {
    const fedtiny_average_pool2d_f32_params *p = call->params;
    float *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            float sum = 0.0f, count = 0.0f;
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const float *row = call->in[ky];
                for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                    const int32_t column = x * p->stride_w + kx - p->pad_left;
                    if (row != NULL && column >= 0 && column < p->in_w) {
                        sum += row[column * p->channels + c];
                        count += 1.0f;
                    }
                }
            }
            *out++ = fedtiny_clamp_f32(sum / count, p->output_min, p->output_max);
        }
    }
    return FEDTINY_OK;
}
