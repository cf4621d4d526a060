/* convert_layout from padded channel planes to interleaved channels, float. */
#include "src/kernel.h"

fedtiny_status fedtiny_chw_to_hwc_f32(const fedtiny_call *call) {
    const fedtiny_convert_layout_params *p = call->params;
    const float *planes = (const float *)call->in[0] + p->lead;
    float *pixels = call->out[0];
    for (size_t c = 0; c < p->channels; c++, planes += p->plane) {
        const float *from = planes;
        float *to = pixels + c;
        for (size_t y = 0; y < p->height; y++, from++) {
            for (size_t x = 0; x < p->width; x++, to += p->channels) {
                *to = *from++;
            }
        }
    }
    return FEDTINY_OK;
}
