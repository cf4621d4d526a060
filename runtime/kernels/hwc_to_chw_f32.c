/* convert_layout from interleaved channels to padded channel planes, float. */
#include "src/kernel.h"

#include <string.h>

fedtiny_status fedtiny_hwc_to_chw_f32(const fedtiny_call *call) {
    const fedtiny_convert_layout_params *p = call->params;
    const float *pixels = call->in[0];
    float *out = call->out[0];
    memset(out, 0, p->size * sizeof(float));
    for (size_t c = 0; c < p->channels; c++) {
        float *to = out + p->lead + c * p->plane;
        const float *from = pixels + c;
        for (size_t y = 0; y < p->height; y++, to++) {
            for (size_t x = 0; x < p->width; x++, from += p->channels) {
                *to++ = *from;
            }
        }
    }
    return FEDTINY_OK;
}
