/* conv2d, int8, sparse, two output pixels per accumulator (src/pairs.h), one output row a step,
 * 4-bit distances of weights: fewer bytes, some more instructions. Kernels of one column; any
 * stride and padding. */
#include "src/pairs.h"

fedtiny_status fedtiny_conv2d_pairs_lean_s8_dsp(const fedtiny_call *call) {
    return fedtiny_pairs_step(call, call->params);
}
