/* average_pool2d over whole channel planes, float, to one pixel. Padding is zero and adds nothing.
 *
 * Sixteen sums run side by side on every machine, so that rounding does not depend on the lanes. */
#include "src/kernel.h"
#include "src/simd.h"

enum { SUMS = 16, VECTORS = SUMS / FEDTINY_LANES };

fedtiny_status fedtiny_global_average_pool2d_planes_f32(const fedtiny_call *call) {
    const fedtiny_global_average_pool2d_planes_f32_params *p = call->params;
    const float *plane = (const float *)call->in[0] + p->lead;
    float *out = call->out[0];
    for (size_t c = 0; c < p->channels; c++, plane += p->plane) {
        fedtiny_v sum[VECTORS];
        float parts[FEDTINY_LANES];
        FEDTINY_UNROLL
        for (int i = 0; i < VECTORS; i++) {
            sum[i] = fedtiny_v_load(plane + i * FEDTINY_LANES);
        }
        for (size_t at = SUMS; at < p->plane; at += SUMS) {
            FEDTINY_UNROLL
            for (int i = 0; i < VECTORS; i++) {
                const fedtiny_v x = fedtiny_v_load(plane + at + i * FEDTINY_LANES);
                sum[i] = fedtiny_v_add(sum[i], x);
            }
        }
        FEDTINY_UNROLL
        for (int half = VECTORS / 2; half > 0; half /= 2) {
            FEDTINY_UNROLL
            for (int i = 0; i < half; i++) {
                sum[i] = fedtiny_v_add(sum[i], sum[i + half]);
            }
        }
        fedtiny_v_store(parts, sum[0]);
        FEDTINY_UNROLL
        for (int half = FEDTINY_LANES / 2; half > 0; half /= 2) {
            for (int i = 0; i < half; i++) {
                parts[i] += parts[i + half];
            }
        }
        out[c] = fedtiny_clamp_f32(parts[0] / (float)p->pixels, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
