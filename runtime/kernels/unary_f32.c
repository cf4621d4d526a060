/* unary, float: a function of every element. The output row may be the input row. */
#include "src/float_math.h"
#include "src/kernel.h"

/* In the order of FUNCTIONS in packing/unary.py. */
enum { HARD_SIGMOID, HARD_SWISH, IDENTITY, LEAKY_RELU, RELU, RELU6, SIGMOID, TANH };

static float sigmoid(float x) {
    const float e = fedtiny_exp_f32(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* By its series near 0, where the quotient would cancel. */
static float hyperbolic_tangent(float x) {
    const float size = x < 0.0f ? -x : x, square = x * x;
    if (size < 0.125f) {
        return x *
               (1.0f - square * (1.0f / 3.0f - square * (2.0f / 15.0f - square * 0.053968254f)));
    }
    const float e = fedtiny_exp_f32(-2.0f * size);
    const float y = (1.0f - e) / (1.0f + e);
    return x < 0.0f ? -y : y;
}

static float apply(const fedtiny_unary_f32_params *p, float x) {
    switch (p->function) {
    case HARD_SIGMOID:
        return fedtiny_clamp_f32(p->alpha * x + p->beta, 0.0f, 1.0f);
    case HARD_SWISH:
        return x * fedtiny_clamp_f32(x + 3.0f, 0.0f, 6.0f) * (1.0f / 6.0f);
    case LEAKY_RELU:
        return x < 0.0f ? p->alpha * x : x;
    case RELU:
        return x < 0.0f ? 0.0f : x;
    case RELU6:
        return fedtiny_clamp_f32(x, 0.0f, 6.0f);
    case SIGMOID:
        return sigmoid(x);
    case TANH:
        return hyperbolic_tangent(x);
    default:
        return x;
    }
}

fedtiny_status fedtiny_unary_f32(const fedtiny_call *call) {
    const fedtiny_unary_f32_params *p = call->params;
    const float *in = call->in[0];
    float *out = call->out[0];
    for (uint32_t i = 0; i < p->elements; i++) {
        out[i] = apply(p, in[i]);
    }
    return FEDTINY_OK;
}
