/* convert_layout from interleaved channels to padded channel planes, int8. */
#include "src/kernel.h"

#include <string.h>

fedtiny_status fedtiny_hwc_to_chw_s8(const fedtiny_call *call) {
    const fedtiny_convert_layout_params *p = call->params;
    const int8_t *pixels = call->in[0];
    int8_t *out = call->out[0];
    memset(out, p->zero_point, p->size);
    for (size_t c = 0; c < p->channels; c++) {
        int8_t *to = out + p->lead + c * p->plane;
        const int8_t *from = pixels + c;
        for (size_t y = 0; y < p->height; y++, to++) {
            for (size_t x = 0; x < p->width; x++, from += p->channels) {
                *to++ = *from;
            }
        }
    }
    return FEDTINY_OK;
}
