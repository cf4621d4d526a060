/* conv2d over nonzeros on channel planes, float; see src/planes_conv_f32.c. */
#include "src/planes_conv_f32.h"

fedtiny_status fedtiny_conv2d_planes_f32(const fedtiny_call *call) {
    return fedtiny_planes_conv_f32(call);
}
