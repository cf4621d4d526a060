/* transpose_conv2d, float, the plain definition: a step makes one output row a row of stride. */
#include "src/kernel.h"

fedtiny_status fedtiny_transpose_conv2d_f32(const fedtiny_call *call) {
    const fedtiny_transpose_conv2d_f32_params *p = call->params;
    const float *weights = fedtiny_constant(call, p->weights);
    const float *bias = fedtiny_constant(call, p->bias);
    const int32_t group_in = p->in_c / p->groups, group_out = p->out_c / p->groups;
    for (int32_t y = 0; y < p->stride_h && call->out[y] != NULL; y++) {
        const int32_t below = y + p->crop_top;
        float *out = call->out[y];
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t behind = x + p->crop_left;
            for (int32_t o = 0; o < p->out_c; o++) {
                const int32_t first_in = o / group_out * group_in;
                float acc = bias[o];
                for (int32_t ky = below % p->stride_h; ky < p->kernel_h; ky += p->stride_h) {
                    const float *row = call->in[(below - ky) / p->stride_h - p->first_row];
                    for (int32_t kx = behind % p->stride_w; kx < p->kernel_w; kx += p->stride_w) {
                        const int32_t column = (behind - kx) / p->stride_w;
                        if (row == NULL || column < 0 || column >= p->in_w) {
                            continue; /* no input pixel reaches here */
                        }
                        const float *pixel = row + column * p->in_c + first_in;
                        const float *w =
                            weights + ((o * p->kernel_h + ky) * p->kernel_w + kx) * group_in;
                        for (int32_t i = 0; i < group_in; i++) {
                            acc += w[i] * pixel[i];
                        }
                    }
                }
                *out++ = fedtiny_clamp_f32(acc, p->output_min, p->output_max);
            }
        }
    }
    return FEDTINY_OK;
}
