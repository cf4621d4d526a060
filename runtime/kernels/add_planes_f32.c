/* add on channel planes, float. Padding is zero in both inputs, so it stays zero. */
#include "src/kernel.h"
#include "src/simd.h"

#include <float.h>

enum { STEP = 16, VECTORS = STEP / FEDTINY_LANES }; /* STEP divides the size of every tensor */

/* `count` vectors. */
FEDTINY_INLINE void add(const float *a, const float *b, float *out, int count, fedtiny_v low,
                        const float *high) {
    fedtiny_v sum[2 * VECTORS];
    FEDTINY_UNROLL
    for (int i = 0; i + 1 < count; i += 2) {
        fedtiny_v a0, a1, b0, b1;
        fedtiny_v_load2(a, i * FEDTINY_LANES, &a0, &a1);
        fedtiny_v_load2(b, i * FEDTINY_LANES, &b0, &b1);
        sum[i] = fedtiny_v_add(a0, b0);
        sum[i + 1] = fedtiny_v_add(a1, b1);
    }
    fedtiny_v_store_clamped(out, sum, count, low, high);
}

fedtiny_status fedtiny_add_planes_f32(const fedtiny_call *call) {
    const fedtiny_planes_add_f32_params *p = call->params;
    const float *a = call->in[0], *b = call->in[1];
    const fedtiny_v low = fedtiny_v_all(&p->output_min);
    const float *high = p->output_max < FLT_MAX ? &p->output_max : NULL;
    float *out = call->out[0];
    size_t left = p->elements;
    for (; left >= 2 * STEP; left -= 2 * STEP, a += 2 * STEP, b += 2 * STEP, out += 2 * STEP) {
        add(a, b, out, 2 * VECTORS, low, high);
    }
    if (left > 0) {
        add(a, b, out, VECTORS, low, high);
    }
    return FEDTINY_OK;
}
