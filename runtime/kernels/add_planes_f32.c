/* add on channel planes, float. Padding is zero in both inputs, so it stays zero. */
#include "src/kernel.h"
#include "src/simd.h"

enum { STEP = 16 }; /* divides the size of every tensor of planes */

fedtiny_status fedtiny_add_planes_f32(const fedtiny_call *call) {
    const fedtiny_planes_add_f32_params *p = call->params;
    const float *a = call->in[0], *b = call->in[1];
    const fedtiny_v low = fedtiny_v_all(&p->output_min), high = fedtiny_v_all(&p->output_max);
    float *out = call->out[0];
    for (const float *end = a + p->elements; a != end; a += STEP, b += STEP, out += STEP) {
        FEDTINY_UNROLL
        for (int i = 0; i < STEP; i += FEDTINY_LANES) {
            const fedtiny_v sum = fedtiny_v_add(fedtiny_v_load(a + i), fedtiny_v_load(b + i));
            fedtiny_v_store(out + i, fedtiny_v_clamp(sum, low, high));
        }
    }
    return FEDTINY_OK;
}
