/* conv2d, int8, over blocks of four input channels (src/gather.h). Any stride and
 * padding; groups = 1. */
#include "fedtiny/parts.h"
#include "src/gather.h"

fedtiny_status fedtiny_conv2d_block1x4_s8_mve(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_BLOCKS_RELU
    if (p->relu) {
        function = fedtiny_gather_blocks_relu;
    }
#endif
#if FEDTINY_PART_GATHER_BLOCKS
    if (!p->relu) {
        function = fedtiny_gather_blocks;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_columns);
}
