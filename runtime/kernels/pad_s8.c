/* pad, int8: a row of padding, or the input's row with values before, between and behind its runs.
 */
#include "src/kernel.h"
#include "src/memory.h"

fedtiny_status fedtiny_pad_s8(const fedtiny_call *call) {
    const fedtiny_pad_s8_params *p = call->params;
    const int8_t *in = call->in[0];
    int8_t *out = call->out[0];
    fedtiny_fill(out, p->value, p->elements);
    if (in == NULL) {
        return FEDTINY_OK;
    }
    out += p->before;
    for (uint32_t i = 0; i < p->runs; i++) {
        fedtiny_copy(out, in, p->run);
        in += p->run;
        out += p->run + p->between;
    }
    return FEDTINY_OK;
}
