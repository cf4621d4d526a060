/* add, int8, as one linear form. The packing proves that it equals TensorFlow Lite's four
 * roundings on all 65,536 pairs of inputs. */
#include "src/clamp_row.h"
#include "src/saturate.h"

#if defined(__ARM_FEATURE_MVE)
/* Four sums at a time. */
static void add(const fedtiny_add_line_s8_params *p, const int8_t *a, const int8_t *b,
                int8_t *out) {
    const int32_t left = -p->shift;
    __asm__ volatile("    wlstp.32 lr, %[count], 2f\n"
                     "1:\n"
                     "    vldrb.s32 q0, [%[a]], #4\n"
                     "    vldrb.s32 q1, [%[b]], #4\n"
                     "    vmul.i32 q0, q0, %[factor_a]\n"
                     "    vmla.s32 q0, q1, %[factor_b]\n"
                     "    vadd.i32 q0, q0, %[addend]\n"
                     "    vshl.s32 q0, %[left]\n"
                     "    vqmovnb.s32 q0, q0\n"
                     "    vqmovnb.s16 q0, q0\n"
                     "    vstrb.32 q0, [%[out]], #4\n"
                     "    letp lr, 1b\n"
                     "2:\n"
                     : [a] "+l"(a), [b] "+l"(b), [out] "+l"(out)
                     : [count] "r"(p->elements), [factor_a] "r"(p->factor_a),
                       [factor_b] "r"(p->factor_b), [addend] "r"(p->addend), [left] "r"(left)
                     : "q0", "q1", "lr", "memory");
}
#else
static inline int8_t line(int32_t a, int32_t b, int32_t factor_a, int32_t factor_b, int32_t addend,
                          int32_t shift) {
    return fedtiny_saturate_s8((addend + a * factor_a + b * factor_b) >> shift);
}

static void add(const fedtiny_add_line_s8_params *p, const int8_t *a, const int8_t *b,
                int8_t *out) {
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
}
#endif

fedtiny_status fedtiny_add_line_s8(const fedtiny_call *call) {
    const fedtiny_add_line_s8_params *p = call->params;
    int8_t *out = call->out[0]; /* may be one of the inputs */
    add(p, call->in[0], call->in[1], out);
    fedtiny_clamp_row(out, (int32_t)p->elements, p->output_min, p->output_max);
    return FEDTINY_OK;
}
