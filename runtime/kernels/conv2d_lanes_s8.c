/* conv2d, int8, sparse or dense, two output pixels per 32-bit accumulator (src/lanes.h).
 * Any stride, padding and dilation. */
#include "src/lanes.h"

fedtiny_status fedtiny_conv2d_lanes_s8(const fedtiny_call *call) {
    return fedtiny_lanes_step(call, call->params);
}
