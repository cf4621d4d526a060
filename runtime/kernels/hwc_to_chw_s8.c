/* convert_layout from interleaved channels to padded channel planes, int8. */
#include "src/kernel.h"
#include "src/planes.h"

fedtiny_status fedtiny_hwc_to_chw_s8(const fedtiny_call *call) {
    const fedtiny_convert_layout_params *p = call->params;
    const fedtiny_planes planes = FEDTINY_OUT_PLANES(p);
    fedtiny_planes_from_pixels(&planes, call->in[0], call->out[0],
                               (uint8_t)p->zero_point * 0x01010101u, 1);
    return FEDTINY_OK;
}
