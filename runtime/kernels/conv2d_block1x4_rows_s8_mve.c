/* conv2d, int8, as kernels/conv2d_block1x4_s8_mve.c, several output rows a step. */
#include "src/gather_layers.h"

fedtiny_status fedtiny_conv2d_block1x4_rows_s8_mve(const fedtiny_call *call) {
    return fedtiny_gather_block1x4_layer(call);
}
