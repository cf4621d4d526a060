/* conv2d, int8, over blocks of four input channels (src/gather.h). Any stride and
 * padding; groups = 1. */
#include "src/gather_layers.h"

fedtiny_status fedtiny_conv2d_block1x4_s8_mve(const fedtiny_call *call) {
    return fedtiny_gather_block1x4_layer(call);
}
