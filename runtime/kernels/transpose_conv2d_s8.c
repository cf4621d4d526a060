/* transpose_conv2d, int8, the plain definition: a step makes one output row a row of stride. */
#include "src/requantize.h"

fedtiny_status fedtiny_transpose_conv2d_s8(const fedtiny_call *call) {
    const fedtiny_transpose_conv2d_s8_params *p = call->params;
    const int8_t *weights = fedtiny_constant(call, p->weights);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const int32_t group_in = p->in_c / p->groups, group_out = p->out_c / p->groups;
    for (int32_t y = 0; y < p->stride_h && call->out[y] != NULL; y++) {
        const int32_t below = y + p->crop_top;
        int8_t *out = call->out[y];
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t behind = x + p->crop_left;
            for (int32_t o = 0; o < p->out_c; o++) {
                const int32_t first_in = o / group_out * group_in;
                int32_t acc = bias[o];
                for (int32_t ky = below % p->stride_h; ky < p->kernel_h; ky += p->stride_h) {
                    const int8_t *row = call->in[(below - ky) / p->stride_h - p->first_row];
                    for (int32_t kx = behind % p->stride_w; kx < p->kernel_w; kx += p->stride_w) {
                        const int32_t column = (behind - kx) / p->stride_w;
                        if (row == NULL || column < 0 || column >= p->in_w) {
                            continue; /* no input pixel reaches here */
                        }
                        const int8_t *pixel = row + column * p->in_c + first_in;
                        const int8_t *w =
                            weights + ((o * p->kernel_h + ky) * p->kernel_w + kx) * group_in;
                        for (int32_t i = 0; i < group_in; i++) {
                            acc += w[i] * (pixel[i] - p->input_zero_point);
                        }
                    }
                }
                acc = fedtiny_multiply(acc, multipliers[o], shifts[o]) + p->output_zero_point;
                *out++ = (int8_t)fedtiny_clamp_s32(acc, p->output_min, p->output_max);
            }
        }
    }
    return FEDTINY_OK;
}
