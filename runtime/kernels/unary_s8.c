/* unary, int8: a table of all inputs. The output row may be the input row. */
#include "src/kernel.h"

fedtiny_status fedtiny_unary_s8(const fedtiny_call *call) {
    const fedtiny_unary_s8_params *p = call->params;
    const int8_t *table = fedtiny_constant(call, p->table);
    const int8_t *in = call->in[0];
    int8_t *out = call->out[0];
    for (uint32_t i = 0; i < p->elements; i++) {
        out[i] = table[in[i] + 128];
    }
    return FEDTINY_OK;
}
