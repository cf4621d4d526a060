/* average_pool2d over whole channel planes, int8, to one pixel: the padding's sum is taken off. */
#include "src/simd_s8.h"

fedtiny_status fedtiny_global_average_pool2d_planes_s8(const fedtiny_call *call) {
    const fedtiny_global_average_pool2d_planes_s8_params *p = call->params;
    const int8_t *plane = (const int8_t *)call->in[0] + p->lead;
    const int32_t padding = ((int32_t)p->plane - (int32_t)p->pixels) * p->zero_point;
    const int8_t unit = 1;
    const fedtiny_weight one = fedtiny_weight_all(&unit);
    int8_t *out = call->out[0];
    for (size_t c = 0; c < p->channels; c++, plane += p->plane) {
        fedtiny_sum32 sum = fedtiny_start(0);
        for (size_t i = 0; i < p->plane; i += FEDTINY_PIXELS) {
            sum = fedtiny_with(sum, fedtiny_products(fedtiny_pixels_load(plane + i), one));
        }
        const int32_t mean = fedtiny_mean(fedtiny_total(&sum) - padding, (int32_t)p->pixels);
        out[c] = (int8_t)fedtiny_clamp_s32(mean, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
