/* depthwise_conv2d, int8, as kernels/depthwise_conv2d_s8_mve.c, several output rows a step. */
#include "src/gather_layers.h"

fedtiny_status fedtiny_depthwise_conv2d_rows_s8_mve(const fedtiny_call *call) {
    return fedtiny_gather_depthwise_layer(call);
}
