/* conv2d, int8, the plain definition: any stride, padding, dilation and groups. */
#include "src/requantize.h"

fedtiny_status fedtiny_conv2d_s8(const fedtiny_call *call) {
    const fedtiny_conv2d_s8_params *p = call->params;
    const int8_t *weights = fedtiny_constant(call, p->weights);
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const int32_t *multipliers = fedtiny_constant(call, p->multipliers);
    const int8_t *shifts = fedtiny_constant(call, p->shifts);
    const int32_t group_in = p->in_c / p->groups, group_out = p->out_c / p->groups;
    int8_t *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x++) {
        const int8_t *w = weights; /* OHWI: read once from front to back for every pixel */
        for (int32_t o = 0; o < p->out_c; o++) {
            const int32_t first_in = o / group_out * group_in;
            int32_t acc = bias[o];
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const int8_t *row = call->in[ky * p->dilation_h];
                for (int32_t kx = 0; kx < p->kernel_w; kx++, w += group_in) {
                    const int32_t column = x * p->stride_w + kx * p->dilation_w - p->pad_left;
                    if (row == NULL || column < 0 || column >= p->in_w) {
                        continue; /* padding is real 0 */
                    }
                    const int8_t *pixel = row + column * p->in_c + first_in;
                    for (int32_t i = 0; i < group_in; i++) {
                        acc += w[i] * (pixel[i] - p->input_zero_point);
                    }
                }
            }
            acc = fedtiny_multiply(acc, multipliers[o], shifts[o]) + p->output_zero_point;
            *out++ = (int8_t)fedtiny_clamp_s32(acc, p->output_min, p->output_max);
        }
    }
    return FEDTINY_OK;
}
