/* depthwise_conv2d, int8, four pixels of a channel at a time (src/gather.h). Kernels of at most
 * three rows and four columns; any stride, padding and vertical dilation. */
#include "fedtiny/parts.h"
#include "src/gather.h"

fedtiny_status fedtiny_depthwise_conv2d_s8_mve(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_DEPTHWISE_RELU
    if (p->relu) {
        function = fedtiny_gather_depthwise_relu;
    }
#endif
#if FEDTINY_PART_GATHER_DEPTHWISE
    if (!p->relu) {
        function = fedtiny_gather_depthwise;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_depthwise);
}
