/* broadcast, float: one row of the output a step, of pixels or channels that are read again. */
#include "src/strided.h"

fedtiny_status fedtiny_broadcast_f32(const fedtiny_call *call) {
    fedtiny_gather_f32(call->params, call->in[0], call->out[0]);
    return FEDTINY_OK;
}
