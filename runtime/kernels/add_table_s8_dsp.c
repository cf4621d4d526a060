/* add, int8, by one table (src/add_table.h). */
#include "src/add_table.h"
#include "src/multiply_high.h"

#if !FEDTINY_ADD_DSP
void fedtiny_add_sums(const fedtiny_add_sums_call *call) {
    for (int32_t i = 0; i < call->elements; i++) {
        const int32_t sum =
            call->table[(uint8_t)call->b[i]] + call->a[i] * (1 << FEDTINY_ADD_SHIFT);
        call->out[i] =
            fedtiny_scale_s8(sum, call->factor, call->divisor, call->zero_point, !call->relu);
    }
}
#endif

fedtiny_status fedtiny_add_table_s8_dsp(const fedtiny_call *call) {
    const fedtiny_add_table_s8_params *p = call->params;
    fedtiny_add_sums_call sums;
    sums.out = call->out[0];
    sums.a = call->in[p->shifted];
    sums.b = call->in[1 - p->shifted];
    sums.table = fedtiny_constant(call, p->table);
    sums.factor = p->factor;
    sums.divisor = p->divisor;
    sums.zero_point = p->output_zero_point;
    sums.elements = (int32_t)p->elements;
    sums.relu = p->relu;
    fedtiny_add_sums(&sums);
    return FEDTINY_OK;
}
