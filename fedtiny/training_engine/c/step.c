/* The steps of training: forward, backward and update, as Python arranged them. */
#include "layers.h"

#include <math.h>
#include <stddef.h>

enum { CONVOLUTION, COMBINATION, POOLING, NORM, COLLECT };
enum { FORWARD, BACKWARD };

typedef struct {
    int32_t kind, index, direction;
    int32_t whole; /* over all blocks at once, between stages */
} instruction;

typedef struct {
    tensor *tensors;
    norm *norms;
    convolution *convolutions;
    combination *combinations;
    pooling *poolings;
    const instruction *program;
    int32_t convolution_count, instruction_count;
    float *values, *gradients, *momenta; /* of all parameters, one after the other */
    int64_t value_count;
    int32_t input, output;
    int32_t reconstructs;
    int32_t evaluating; /* normalize by running statistics, which stay */
    batch batch;
} plan;

int32_t fedtiny_training_lanes(void) {
    return LANES;
}

/* Samples `(N, C, H, W)` with any strides, in floats, into the input's blocks. */
void fedtiny_training_input(const plan *p, const float *images, const int64_t *strides) {
    const tensor *t = p->tensors + p->input;
    const long row = (long)(t->width + 2 * t->border_x) * LANES;
    const long plane = (t->height + 2 * t->border_y) * row;
    for (int block = 0; block < p->batch.blocks; block++)
        for (int lane = 0; lane < LANES; lane++) {
            const int sample = block * LANES + lane;
            const float *from = images + sample * strides[0];
            for (int c = 0; c < t->channels; c++)
                for (int y = 0; y < t->height; y++) {
                    float *to =
                        t->data + block * tensor_block(t) + c * plane + y * row + tensor_origin(t);
                    for (int x = 0; x < t->width; x++)
                        to[(long)x * LANES + lane] =
                            sample < p->batch.samples
                                ? from[c * strides[1] + y * strides[2] + x * strides[3]]
                                : 0.0f;
                }
        }
}

static int is_linear(const plan *p, const convolution *c) {
    const tensor *in = p->tensors + c->input, *out = p->tensors + c->output;
    return tensor_block(in) == (long)in->channels * LANES &&
           tensor_block(out) == (long)out->channels * LANES;
}

static void convolve(const plan *p, convolution *c, int first, int last) {
    const tensor *in = p->tensors + c->input, *out = p->tensors + c->output;
    float *sums = c->normalized < 0 ? NULL : p->norms[c->normalized].sums;
    if (is_linear(p, c)) {
        gather g = c->forward;
        g.source_grid.width = g.target_grid.width = last - first;
        gather_forward(&g, in->data, out->data, 0, sums);
    } else if (c->tiled) {
        winograd w = *c->tiled;
        w.source_row = (in->width + 2 * in->border_x) * LANES;
        w.source_plane = (in->height + 2 * in->border_y) * w.source_row;
        w.target_row = (out->width + 2 * out->border_x) * LANES;
        w.target_plane = (out->height + 2 * out->border_y) * w.target_row;
        const long corner = tensor_origin(in) - w.source_row - LANES;
        for (int block = first; block < last; block++)
            winograd_forward(&w, w.forward, in->channels, out->channels,
                             in->data + block * tensor_block(in) + corner,
                             out->data + block * tensor_block(out) + tensor_origin(out), 0, sums);
    } else
        for (int block = first; block < last; block++)
            gather_forward(&c->forward, in->data + block * tensor_block(in),
                           out->data + block * tensor_block(out), 0, sums);
    for (int block = first; c->bias && block < last; block++)
        add_bias(c, p->tensors, &p->batch, block);
}

static void convolve_back(const plan *p, convolution *c, int first, int last) {
    const tensor *in = p->tensors + c->input, *out = p->tensors + c->output;
    const long gradient_row = (long)(out->width + 2 * c->scratch_border_x) * LANES;
    const long gradient_plane = (out->height + 2 * c->scratch_border_y) * gradient_row;
    const long gradient_origin =
        c->scratch_border_y * gradient_row + (long)c->scratch_border_x * LANES;
    const int linear = is_linear(p, c);
    const grid *s = &c->forward.source_grid;
    if (linear)
        for (int block = first; block < last; block++)
            output_gradient(c, p->tensors, p->norms, &p->batch, block,
                            c->scratch + (long)block * out->channels * LANES);
    for (int block = first; block < (linear ? first + 1 : last); block++) {
        if (!linear)
            output_gradient(c, p->tensors, p->norms, &p->batch, block, c->scratch);
        const float *x = in->data + block * tensor_block(in);
        float *dx = c->input_gradient ? in->gradient + block * tensor_block(in) : NULL;
        const int width = linear ? last - first : s->width;
        if (c->tiled) {
            winograd w = *c->tiled;
            w.source_row = w.target_row = (in->width + 2 * in->border_x) * LANES;
            w.source_plane = w.target_plane = (in->height + 2 * in->border_y) * w.source_row;
            w.gradient_row = (int32_t)gradient_row, w.gradient_plane = (int32_t)gradient_plane;
            winograd_products(&w, c->products, in->channels, out->channels,
                              x + tensor_origin(in) - w.source_row - LANES,
                              c->scratch + gradient_origin);
            w.source_row = w.gradient_row, w.source_plane = w.gradient_plane;
            if (c->input_gradient)
                winograd_forward(&w, w.turned, out->channels, in->channels, c->scratch,
                                 dx + tensor_origin(in), c->input_gradient == 2, NULL);
            continue;
        }
        if (c->products)
            dense_products(c->products, c->taps, c->tap_count, out->channels,
                           c->scratch + gradient_origin, gradient_plane, gradient_row,
                           linear ? (long)out->channels * LANES : LANES, x + c->forward.origin,
                           s->row_step, s->step, s->rows, width);
        for (int phase = 0; phase < c->phases; phase++) {
            gather g = c->backward[phase];
            if (linear)
                g.source_grid.width = g.target_grid.width = width;
            if (!c->products)
                gather_backward(&g, c->scratch, x, dx, c->input_gradient);
            else if (c->input_gradient)
                gather_forward(&g, c->scratch, dx, c->input_gradient == 2, NULL);
        }
    }
}

static void execute(const plan *p, const instruction *i, int first, int last) {
    convolution *c = p->convolutions + i->index; /* where it is one */
    const int forward = i->direction == FORWARD;
    switch (i->kind) {
    case CONVOLUTION:
        (forward ? convolve : convolve_back)(p, c, first, last);
        break;
    case COMBINATION:
        for (int block = first; block < last; block++)
            if (forward)
                combine_forward(p->combinations + i->index, p->tensors, p->norms, &p->batch, block);
            else
                combine_backward(p->combinations + i->index, p->tensors, p->norms, block);
        break;
    case POOLING:
        for (int block = first; block < last; block++)
            (forward ? pool_forward : pool_backward)(p->poolings + i->index, p->tensors, block);
        break;
    case NORM:
        if (!forward)
            norm_backward(p->norms + i->index, p->batch.samples);
        else if (p->evaluating)
            norm_evaluate(p->norms + i->index);
        else
            norm_forward(p->norms + i->index, p->batch.samples);
        break;
    case COLLECT:
        collect_gradient(c);
        break;
    }
}

/* Instructions between those of the whole batch run block by block, while it is in the cache. */
static void run(const plan *p, int direction) {
    for (int at = 0; at < p->instruction_count;) {
        if (p->program[at].direction != direction) {
            at++;
        } else if (p->program[at].whole) {
            execute(p, p->program + at++, 0, p->batch.blocks);
        } else {
            int end = at;
            while (end < p->instruction_count && !p->program[end].whole &&
                   p->program[end].direction == direction)
                end++;
            for (int block = 0; block < p->batch.blocks; block++)
                for (int i = at; i < end; i++)
                    execute(p, p->program + i, block, block + 1);
            at = end;
        }
    }
}

/* Mean cross-entropy of the output, and its gradient. */
static double cross_entropy(const plan *p, const int64_t *labels) {
    const tensor *t = p->tensors + p->output;
    const long block_floats = tensor_block(t);
    double total = 0;
    for (int sample = 0; sample < p->batch.blocks * LANES; sample++) {
        const long at = sample / LANES * block_floats + sample % LANES;
        float *logits = t->data + at, *gradient = t->gradient + at;
        float most = logits[0];
        double exponentials = 0;
        for (int k = 1; k < t->channels; k++)
            most = logits[(long)k * LANES] > most ? logits[(long)k * LANES] : most;
        for (int k = 0; k < t->channels; k++)
            exponentials += exp((double)(logits[(long)k * LANES] - most));
        const int there = sample < p->batch.samples;
        if (there)
            total += log(exponentials) + most - logits[labels[sample] * LANES];
        for (int k = 0; k < t->channels; k++) {
            const double share = exp((double)(logits[(long)k * LANES] - most)) / exponentials;
            gradient[(long)k * LANES] =
                there ? (float)((share - (k == labels[sample])) / p->batch.samples) : 0.0f;
        }
    }
    return total / p->batch.samples;
}

/* Mean squared error of the output against the samples, `(N, C, H, W)` with any strides. */
static double squared_error(const plan *p, const float *images, const int64_t *strides) {
    const tensor *t = p->tensors + p->output, *in = p->tensors + p->input;
    const int area = in->height * in->width;
    const double scale = 2.0 / ((double)p->batch.samples * t->channels);
    double total = 0;
    for (int sample = 0; sample < p->batch.blocks * LANES; sample++) {
        const long at = sample / LANES * tensor_block(t) + sample % LANES;
        for (int k = 0; k < t->channels; k++) {
            float error = 0;
            if (sample < p->batch.samples)
                error =
                    t->data[at + (long)k * LANES] -
                    images[sample * strides[0] + k / area * strides[1] +
                           k % area / in->width * strides[2] + k % area % in->width * strides[3]];
            t->gradient[at + (long)k * LANES] = (float)(scale * error);
            total += (double)error * error;
        }
    }
    return total / ((double)p->batch.samples * t->channels);
}

/* Lay out all weights as they are now. */
void fedtiny_training_pack(plan *p) {
    for (int i = 0; i < p->convolution_count; i++)
        pack_weights(p->convolutions + i);
}

/* The outputs of samples in evaluation mode, by weights as they were packed. */
void fedtiny_training_outputs(plan *p, const float *images, const int64_t *strides) {
    fedtiny_training_input(p, images, strides);
    p->evaluating = 1;
    run(p, FORWARD);
    p->evaluating = 0;
}

/* Loss of a batch and the gradients of all parameters; running statistics move. */
double fedtiny_training_gradients(plan *p, const float *images, const int64_t *strides,
                                  const int64_t *labels) {
    fedtiny_training_pack(p);
    for (int i = 0; i < p->convolution_count; i++) {
        const convolution *c = p->convolutions + i;
        for (int k = 0; c->bias && k < c->forward.outputs; k++)
            c->bias_gradient[k] = 0;
    }
    fedtiny_training_input(p, images, strides);
    run(p, FORWARD);
    const double loss =
        p->reconstructs ? squared_error(p, images, strides) : cross_entropy(p, labels);
    run(p, BACKWARD);
    return loss;
}

/* Stochastic gradient descent with momentum and weight decay, as torch does it. */
void fedtiny_training_update(const plan *p, float rate, float momentum, float decay) {
    for (int64_t i = 0; i < p->value_count; i++) {
        const float gradient = p->gradients[i] + decay * p->values[i];
        p->momenta[i] = momentum * p->momenta[i] + gradient;
        p->values[i] -= rate * p->momenta[i];
    }
}
