/* conv2d over pairs of nonzeros on channel planes, int8; see src/planes_pairs_s8.c. */
#include "src/planes_pairs_s8.h"

fedtiny_status fedtiny_conv2d_planes_pairs_s8(const fedtiny_call *call) {
    return fedtiny_planes_pairs_s8(call);
}
