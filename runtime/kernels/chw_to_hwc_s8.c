/* convert_layout from padded channel planes to interleaved channels, int8. */
#include "src/kernel.h"

fedtiny_status fedtiny_chw_to_hwc_s8(const fedtiny_call *call) {
    const fedtiny_convert_layout_params *p = call->params;
    const int8_t *planes = (const int8_t *)call->in[0] + p->lead;
    int8_t *pixels = call->out[0];
    for (size_t c = 0; c < p->channels; c++, planes += p->plane) {
        const int8_t *from = planes;
        int8_t *to = pixels + c;
        for (size_t y = 0; y < p->height; y++, from++) {
            for (size_t x = 0; x < p->width; x++, to += p->channels) {
                *to = *from++;
            }
        }
    }
    return FEDTINY_OK;
}
