/* depthwise_conv2d, int8, as a block-diagonal sparse convolution, two output pixels per accumulator
 * (src/pairs.h), several output rows a step. Any stride, padding and dilation. */
#include "src/pairs.h"

fedtiny_status fedtiny_depthwise_conv2d_pairs_rows_s8_dsp(const fedtiny_call *call) {
    return fedtiny_pairs_step(call, call->params);
}
