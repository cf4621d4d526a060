/* conv2d, int8, dense (src/gather.h). Any stride and
 * padding; groups = 1. */
#include "fedtiny/parts.h"
#include "src/gather.h"

fedtiny_status fedtiny_conv2d_dense_s8_mve(const fedtiny_call *call) {
    const fedtiny_gather_s8_params *p = call->params;
    fedtiny_gather_function function = NULL;
#if FEDTINY_PART_GATHER_DENSE_RELU
    if (p->relu) {
        function = fedtiny_gather_dense_relu;
    }
#endif
#if FEDTINY_PART_GATHER_DENSE
    if (!p->relu) {
        function = fedtiny_gather_dense;
    }
#endif
    return fedtiny_gather_step(call, function, fedtiny_gather_fill_columns);
}
