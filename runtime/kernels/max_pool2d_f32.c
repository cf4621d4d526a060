/* max_pool2d, float; padding never wins. */
#include "src/kernel.h"

fedtiny_status fedtiny_max_pool2d_f32(const fedtiny_call *call) {
    const fedtiny_max_pool2d_f32_params *p = call->params;
    float *out = call->out[0];
    for (int32_t x = 0; x < p->out_w; x++, out += p->channels) {
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = p->output_min;
        }
        for (int32_t ky = 0; ky < p->kernel_h; ky++) {
            const float *row = call->in[ky];
            for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                const int32_t column = x * p->stride_w + kx - p->pad_left;
                if (row == NULL || column < 0 || column >= p->in_w) {
                    continue;
                }
                const float *in = row + column * p->channels;
                for (int32_t c = 0; c < p->channels; c++) {
                    out[c] = in[c] > out[c] ? in[c] : out[c];
                }
            }
        }
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = out[c] < p->output_max ? out[c] : p->output_max;
        }
    }
    return FEDTINY_OK;
}
