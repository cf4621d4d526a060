/* depthwise_conv2d, float, the plain definition: any stride, padding and dilation. */
#include "src/kernel.h"

fedtiny_status fedtiny_depthwise_conv2d_f32(const fedtiny_call *call) {
    const fedtiny_depthwise_conv2d_f32_params *p = call->params;
    const float *weights = fedtiny_constant(call, p->weights);
    const float *bias = fedtiny_constant(call, p->bias);
    float *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            float acc = bias[c];
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const float *row = call->in[ky * p->dilation_h];
                for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                    const int32_t column = x * p->stride_w + kx * p->dilation_w - p->pad_left;
                    if (row == NULL || column < 0 || column >= p->in_w) {
                        continue;
                    }
                    const float w = weights[(ky * p->kernel_w + kx) * p->channels + c];
                    acc += w * row[column * p->channels + c];
                }
            }
            *out++ = fedtiny_clamp_f32(acc, p->output_min, p->output_max);
        }
    }
    return FEDTINY_OK;
}
