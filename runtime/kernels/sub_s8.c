/* sub, int8, the plain definition. The output row may be an input row of its size. */
#include "src/binary.h"
#include "src/requantize.h"

fedtiny_status fedtiny_sub_s8(const fedtiny_call *call) {
    const fedtiny_sub_s8_params *p = call->params;
    const int8_t *a = call->in[0];
    const int8_t *b = fedtiny_second_operand(call, p->constant, p->constant_stride);
    int8_t *out = call->out[0];
    for (uint32_t done = 0; done < p->elements; done += p->block) {
        for (uint32_t i = 0; i < p->block; i++) {
            const int32_t x = (a[i] + p->offset_a) * (1 << p->left_shift);
            const int32_t y = (b[i] + p->offset_b) * (1 << p->left_shift);
            const int32_t difference = fedtiny_multiply(x, p->multiplier_a, p->shift_a) -
                                       fedtiny_multiply(y, p->multiplier_b, p->shift_b);
            const int32_t scaled = fedtiny_multiply(p->reverse ? -difference : difference,
                                                    p->multiplier_out, p->shift_out) +
                                   p->offset_out;
            out[i] = (int8_t)fedtiny_clamp_s32(scaled, p->output_min, p->output_max);
        }
        a += p->step_a;
        b += p->step_b;
        out += p->block;
    }
    return FEDTINY_OK;
}
