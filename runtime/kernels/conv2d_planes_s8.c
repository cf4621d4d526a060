/* conv2d on channel planes, int8; see src/planes_conv_s8.c. */
#include "src/kernel.h"
#include "src/planes_conv_s8.h"

fedtiny_status fedtiny_conv2d_planes_s8(const fedtiny_call *call) {
    return fedtiny_planes_conv_s8(call);
}
