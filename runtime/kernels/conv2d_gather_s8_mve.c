/* conv2d, int8, over nonzeros: narrow groups where a patch has at most 256 bytes, else wide ones
 * (src/gather.h). Any stride and padding; groups = 1. */
#include "fedtiny/parts.h"
#include "src/gather.h"

fedtiny_status fedtiny_conv2d_gather_s8_mve(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_NARROW_RELU
    if (p->kind == FEDTINY_GATHER_NARROW && p->relu) {
        function = fedtiny_gather_narrow_relu;
    }
#endif
#if FEDTINY_PART_GATHER_NARROW
    if (p->kind == FEDTINY_GATHER_NARROW && !p->relu) {
        function = fedtiny_gather_narrow;
    }
#endif
#if FEDTINY_PART_GATHER_WIDE_RELU
    if (p->kind == FEDTINY_GATHER_WIDE && p->relu) {
        function = fedtiny_gather_wide_relu;
    }
#endif
#if FEDTINY_PART_GATHER_WIDE
    if (p->kind == FEDTINY_GATHER_WIDE && !p->relu) {
        function = fedtiny_gather_wide;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_columns);
}
