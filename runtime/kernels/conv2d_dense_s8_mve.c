/* conv2d, int8, dense (src/gather.h). Any stride and
 * padding; groups = 1. */
#include "src/gather_layers.h"

fedtiny_status fedtiny_conv2d_dense_s8_mve(const fedtiny_call *call) {
    return fedtiny_gather_dense_layer(call);
}
