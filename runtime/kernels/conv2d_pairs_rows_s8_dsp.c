/* conv2d, int8, sparse or dense, two output pixels per accumulator (src/pairs.h), several output
 * rows a step: fewer instructions, more rows of input and output in memory. Any stride, padding,
 * dilation and groups. */
#include "src/pairs.h"

fedtiny_status fedtiny_conv2d_pairs_rows_s8_dsp(const fedtiny_call *call) {
    return fedtiny_pairs_step(call, call->params);
}
