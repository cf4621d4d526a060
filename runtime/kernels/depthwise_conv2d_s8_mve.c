/* depthwise_conv2d, int8, four pixels of a channel at a time (src/gather.h). Kernels of at most
 * three rows and four columns; any stride, padding and vertical dilation. */
#include "src/gather_layers.h"

fedtiny_status fedtiny_depthwise_conv2d_s8_mve(const fedtiny_call *call) {
    return fedtiny_gather_depthwise_layer(call);
}
