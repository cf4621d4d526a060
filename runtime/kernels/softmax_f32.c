/* softmax over the channels of every pixel, float. The output row may be the input row. */
#include "src/float_math.h"
#include "src/kernel.h"

static void softmax(const fedtiny_softmax_f32_params *p, const float *in, float *out) {
    float greatest = in[0], sum = 0.0f;
    for (int32_t c = 1; c < p->channels; c++) {
        greatest = in[c] > greatest ? in[c] : greatest;
    }
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = fedtiny_exp_f32((in[c] - greatest) * p->beta);
        sum += out[c];
    }
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] /= sum;
    }
}

fedtiny_status fedtiny_softmax_f32(const fedtiny_call *call) {
    const fedtiny_softmax_f32_params *p = call->params;
    const float *in = call->in[0];
    float *out = call->out[0];
    for (uint32_t x = 0; x < p->pixels; x++) {
        softmax(p, in + x * p->channels, out + x * p->channels);
    }
    return FEDTINY_OK;
}
