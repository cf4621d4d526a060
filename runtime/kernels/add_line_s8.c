/* add, int8, as one linear form. The packing proves that it equals TensorFlow Lite's four
 * roundings on all 65,536 pairs of inputs. */
#include "src/saturate.h"

static inline int8_t line(int32_t a, int32_t b, int32_t factor_a, int32_t factor_b, int32_t addend,
                          int32_t shift) {
    return fedtiny_saturate_s8((addend + a * factor_a + b * factor_b) >> shift);
}

fedtiny_status fedtiny_add_line_s8(const fedtiny_call *call) {
    const fedtiny_add_line_s8_params *p = call->params;
    const int8_t *a = call->in[0], *b = call->in[1];
    int8_t *out = call->out[0]; /* may be a or b */
    const int32_t factor_a = p->factor_a, factor_b = p->factor_b;
    const int32_t addend = p->addend, shift = p->shift;
    const int8_t *const end = out + p->elements;
    for (const int8_t *const whole = out + (p->elements & ~3u); out != whole; out += 4) {
        out[0] = line(a[0], b[0], factor_a, factor_b, addend, shift);
        out[1] = line(a[1], b[1], factor_a, factor_b, addend, shift);
        out[2] = line(a[2], b[2], factor_a, factor_b, addend, shift);
        out[3] = line(a[3], b[3], factor_a, factor_b, addend, shift);
        a += 4;
        b += 4;
    }
    while (out != end) {
        *out++ = line(*a++, *b++, factor_a, factor_b, addend, shift);
    }
    return FEDTINY_OK;
}
