/* conv2d, int8, over nonzeros: narrow groups where a patch has at most 256 bytes, else wide ones
 * (src/gather.h). Any stride and padding; groups = 1. */
#include "src/gather_layers.h"

fedtiny_status fedtiny_conv2d_gather_s8_mve(const fedtiny_call *call) {
    return fedtiny_gather_sparse_layer(call);
}
