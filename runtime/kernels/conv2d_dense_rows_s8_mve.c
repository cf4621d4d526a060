/* conv2d, int8, as kernels/conv2d_dense_s8_mve.c, several output rows a step. */
#include "src/gather_layers.h"

fedtiny_status fedtiny_conv2d_dense_rows_s8_mve(const fedtiny_call *call) {
    return fedtiny_gather_dense_layer(call);
}
