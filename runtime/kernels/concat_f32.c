/* concat, float: in every pixel the channels of input 0, then those of input 1.
 *
 * Side by side, rows are pixels; one above the other, a step has a row of one input alone.
 */
#include "src/kernel.h"
#include "src/memory.h"

fedtiny_status fedtiny_concat_f32(const fedtiny_call *call) {
    const fedtiny_concat_params *p = call->params;
    const float *a = call->in[0], *b = call->in[1];
    float *out = call->out[0];
    if (a == NULL || b == NULL) {
        fedtiny_copy(out, a == NULL ? b : a, p->channels_a * sizeof *out);
        return FEDTINY_OK;
    }
    for (uint32_t x = 0; x < p->pixels; x++) {
        fedtiny_copy(out, a, p->channels_a * sizeof *out);
        fedtiny_copy(out + p->channels_a, b, p->channels_b * sizeof *out);
        a += p->channels_a;
        b += p->channels_b;
        out += p->channels_a + p->channels_b;
    }
    return FEDTINY_OK;
}
