/* pad, float: a row of padding, or the input's row with values before, between and behind its runs.
 */
#include "src/kernel.h"
#include "src/memory.h"

fedtiny_status fedtiny_pad_f32(const fedtiny_call *call) {
    const fedtiny_pad_f32_params *p = call->params;
    const float *in = call->in[0];
    float *out = call->out[0];
    for (uint32_t i = 0; i < p->elements; i++) {
        out[i] = p->value;
    }
    if (in == NULL) {
        return FEDTINY_OK;
    }
    out += p->before;
    for (uint32_t i = 0; i < p->runs; i++) {
        fedtiny_copy(out, in, p->run * sizeof *out);
        in += p->run;
        out += p->run + p->between;
    }
    return FEDTINY_OK;
}
