/* conv2d, float, the plain definition: any stride, padding, dilation and groups. */
#include "src/kernel.h"

fedtiny_status fedtiny_conv2d_f32(const fedtiny_call *call) {
    const fedtiny_conv2d_f32_params *p = call->params;
    const float *weights = fedtiny_constant(call, p->weights);
    const float *bias = fedtiny_constant(call, p->bias);
    const int32_t group_in = p->in_c / p->groups, group_out = p->out_c / p->groups;
    float *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x++) {
        const float *w = weights; /* OHWI: read once from front to back for every pixel */
        for (int32_t o = 0; o < p->out_c; o++) {
            const int32_t first_in = o / group_out * group_in;
            float acc = bias[o];
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const float *row = call->in[ky * p->dilation_h];
                for (int32_t kx = 0; kx < p->kernel_w; kx++, w += group_in) {
                    const int32_t column = x * p->stride_w + kx * p->dilation_w - p->pad_left;
                    if (row == NULL || column < 0 || column >= p->in_w) {
                        continue;
                    }
                    const float *pixel = row + column * p->in_c + first_in;
                    for (int32_t i = 0; i < group_in; i++) {
                        acc += w[i] * pixel[i];
                    }
                }
            }
            *out++ = fedtiny_clamp_f32(acc, p->output_min, p->output_max);
        }
    }
    return FEDTINY_OK;
}
