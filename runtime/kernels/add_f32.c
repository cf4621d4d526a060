/* add, float, the plain definition. The output row may be an input row of its size. */
#include "src/binary.h"

fedtiny_status fedtiny_add_f32(const fedtiny_call *call) {
    const fedtiny_binary_f32_params *p = call->params;
    const float *a = call->in[0];
    const float *b = fedtiny_second_operand(call, p->constant, p->constant_stride);
    float *out = call->out[0];
    for (uint32_t done = 0; done < p->elements; done += p->block) {
        for (uint32_t i = 0; i < p->block; i++) {
            const float value = a[i] + b[i];
            out[i] = fedtiny_clamp_f32(value, p->output_min, p->output_max);
        }
        a += p->step_a;
        b += p->step_b;
        out += p->block;
    }
    return FEDTINY_OK;
}
