/* Batch normalization, sums, rectification and pooling, over one block of samples. */
#include "layers.h"

#include <math.h>
#include <stddef.h>

long tensor_block(const tensor *t) {
    return (long)t->channels * (t->height + 2 * t->border_y) * (t->width + 2 * t->border_x) * LANES;
}

static inline long row_of(const tensor *t) {
    return (long)(t->width + 2 * t->border_x) * LANES;
}

static inline long plane_of(const tensor *t) {
    return (t->height + 2 * t->border_y) * row_of(t);
}

long tensor_origin(const tensor *t) {
    return t->border_y * row_of(t) + t->border_x * LANES;
}

static inline float *place(float *data, const tensor *t, int block, int channel, int row) {
    return data + block * tensor_block(t) + channel * plane_of(t) + row * row_of(t) +
           tensor_origin(t);
}

void norm_forward(norm *n, int samples) {
    const double count = (double)samples * n->values;
    for (int c = 0; c < n->channels; c++) {
        const float *sums = n->sums + (size_t)c * 2 * LANES;
        const double mean = sum(load(sums)) / count, square = sum(load(sums + LANES)) / count;
        const double variance = square - mean * mean > 0 ? square - mean * mean : 0;
        const double inverse = 1 / sqrt(variance + n->epsilon);
        n->mean[c] = (float)mean;
        n->inverse[c] = (float)inverse;
        n->a[c] = (float)(n->scale[c] * inverse);
        n->b[c] = (float)(n->shift[c] - mean * n->scale[c] * inverse);
        const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
        const float seen = (float)(n->bias ? mean + n->bias[c] : mean);
        n->running_mean[c] += n->momentum * (seen - n->running_mean[c]);
        n->running_variance[c] += n->momentum * ((float)unbiased - n->running_variance[c]);
    }
    for (int i = 0; i < n->channels * 2 * LANES; i++)
        n->sums[i] = 0;
}

void norm_evaluate(norm *n) {
    for (int c = 0; c < n->channels; c++) {
        const double inverse = 1 / sqrt((double)n->running_variance[c] + n->epsilon);
        const double mean = n->running_mean[c] - (n->bias ? n->bias[c] : 0.0f);
        n->a[c] = (float)(n->scale[c] * inverse);
        n->b[c] = (float)(n->shift[c] - mean * n->scale[c] * inverse);
    }
    for (int i = 0; i < n->channels * 2 * LANES; i++)
        n->sums[i] = 0;
}

void norm_backward(norm *n, int samples) {
    const float count = (float)samples * (float)n->values;
    for (int c = 0; c < n->channels; c++) {
        const float *sums = n->gradient_sums + (size_t)c * 2 * LANES;
        const float g = sum(load(sums)), gy = sum(load(sums + LANES));
        const float scale = n->inverse[c] * (gy - n->mean[c] * g);
        n->shift_gradient[c] = g;
        n->scale_gradient[c] = scale;
        n->from_g[c] = n->a[c];
        n->from_y[c] = -n->a[c] * n->inverse[c] * scale / count;
        n->constant[c] = -n->a[c] * g / count - n->from_y[c] * n->mean[c];
    }
    for (int i = 0; i < n->channels * 2 * LANES; i++)
        n->gradient_sums[i] = 0;
}

/* One row of a combination; `kind` of the second term is 0 none, 1 plain, 2 normalized. */
INLINE void combine_row(float *z, const float *x, const float *y, vec ax, vec b, vec ay, vec valid,
                        float ceiling, int width, const int kind, const int rectified) {
    for (int i = 0; i < width * LANES; i += LANES) {
        vec value = ax * load(x + i) + b;
        if (kind == 1)
            value += load(y + i);
        if (kind == 2)
            value += ay * load(y + i);
        if (rectified) {
            value = above_zero(value);
            if (rectified == 2)
                value = either(value < ceiling, value, all(ceiling));
        }
        store(z + i, value * valid);
    }
}

void combine_forward(const combination *c, const tensor *tensors, const norm *norms,
                     const batch *batch, int block) {
    const tensor *out = tensors + c->output, *x = tensors + c->terms[0];
    const tensor *y = c->count > 1 ? tensors + c->terms[1] : NULL;
    const norm *nx = c->norms[0] < 0 ? NULL : norms + c->norms[0];
    const norm *ny = c->count > 1 && c->norms[1] >= 0 ? norms + c->norms[1] : NULL;
    const vec valid = load(batch->valid + (size_t)block * LANES);
    const int rectified = !c->rectified ? 0 : isinf(c->ceiling) ? 1 : 2;
    for (int ch = 0; ch < out->channels; ch++) {
        const vec ax = all(nx ? nx->a[ch] : 1), ay = all(ny ? ny->a[ch] : 1);
        const vec b = all((nx ? nx->b[ch] : 0) + (ny ? ny->b[ch] : 0));
        for (int row = 0; row < out->height; row++) {
            float *to = place(out->data, out, block, ch, row);
            const float *from = place(x->data, x, block, ch, row);
            const float *second = y ? place(y->data, y, block, ch, row) : NULL;
            const int kind = !y ? 0 : ny ? 2 : 1;
            if (rectified == 1 && kind == 0)
                combine_row(to, from, second, ax, b, ay, valid, 0, out->width, 0, 1);
            else if (rectified == 1 && kind == 1)
                combine_row(to, from, second, ax, b, ay, valid, 0, out->width, 1, 1);
            else if (rectified == 1)
                combine_row(to, from, second, ax, b, ay, valid, 0, out->width, 2, 1);
            else
                combine_row(to, from, second, ax, b, ay, valid, c->ceiling, out->width, kind,
                            rectified);
        }
    }
}

/* Mask the output's gradient in place, sum what normalization needs, pass it on to plain terms. */
void combine_backward(const combination *c, const tensor *tensors, const norm *norms, int block) {
    const tensor *out = tensors + c->output;
    const int limited = c->rectified && !isinf(c->ceiling);
    for (int ch = 0; ch < out->channels; ch++) {
        vec total = zero(), products[2] = {zero(), zero()};
        for (int row = 0; row < out->height; row++) {
            float *g = place(out->gradient, out, block, ch, row);
            const float *z = place(out->data, out, block, ch, row);
            if (c->rectified)
                for (int i = 0; i < out->width * LANES; i += LANES) {
                    vec value = where(load(z + i) > 0, load(g + i));
                    if (limited)
                        value = where(load(z + i) < c->ceiling, value);
                    store(g + i, value);
                    total += value;
                }
            else
                for (int i = 0; i < out->width * LANES; i += LANES)
                    total += load(g + i);
            for (int k = 0; k < c->count; k++) {
                const tensor *term = tensors + c->terms[k];
                const float *y = place(term->data, term, block, ch, row);
                if (c->norms[k] >= 0) {
                    vec product = products[k];
                    for (int i = 0; i < out->width * LANES; i += LANES)
                        product += load(g + i) * load(y + i);
                    products[k] = product;
                } else if (c->adds[k]) {
                    float *to = place(term->gradient, term, block, ch, row);
                    for (int i = 0; i < out->width * LANES; i += LANES)
                        store(to + i, load(g + i) + (c->adds[k] == 2 ? load(to + i) : zero()));
                }
            }
        }
        for (int k = 0; k < c->count; k++)
            if (c->norms[k] >= 0) {
                float *sums = norms[c->norms[k]].gradient_sums + (size_t)ch * 2 * LANES;
                store(sums, load(sums) + total);
                store(sums + LANES, load(sums + LANES) + products[k]);
            }
    }
}

/* The gradient of a convolution's output into `scratch`, between zeros. */
void output_gradient(const convolution *c, const tensor *tensors, const norm *norms,
                     const batch *batch, int block, float *scratch) {
    const tensor *out = tensors + c->output, *next = tensors + c->followed;
    const norm *n = c->normalized < 0 ? NULL : norms + c->normalized;
    const long row_floats = (long)(out->width + 2 * c->scratch_border_x) * LANES;
    const long plane = (out->height + 2 * c->scratch_border_y) * row_floats;
    const vec valid = load(batch->valid + (size_t)block * LANES);
    for (int ch = 0; ch < out->channels; ch++) {
        vec from_g = zero(), from_y = zero(), constant = zero(), total = zero();
        if (n) {
            from_g = valid * n->from_g[ch];
            from_y = valid * n->from_y[ch];
            constant = valid * n->constant[ch];
        }
        for (int row = 0; row < out->height; row++) {
            float *to = scratch + ch * plane + (row + c->scratch_border_y) * row_floats +
                        (long)c->scratch_border_x * LANES;
            const float *g = place(next->gradient, next, block, ch, row);
            const float *y = place(out->data, out, block, ch, row);
            if (n)
                for (int i = 0; i < out->width * LANES; i += LANES)
                    store(to + i, from_g * load(g + i) + (from_y * load(y + i) + constant));
            else
                for (int i = 0; i < out->width * LANES; i += LANES) {
                    store(to + i, load(g + i));
                    total += load(g + i);
                }
        }
        if (c->bias)
            c->bias_gradient[ch] += sum(total);
    }
}

void add_bias(const convolution *c, const tensor *tensors, const batch *batch, int block) {
    const tensor *out = tensors + c->output;
    const vec valid = load(batch->valid + (size_t)block * LANES);
    for (int ch = 0; ch < out->channels; ch++) {
        const vec bias = valid * c->bias[ch];
        for (int row = 0; row < out->height; row++) {
            float *to = place(out->data, out, block, ch, row);
            for (int i = 0; i < out->width * LANES; i += LANES)
                store(to + i, load(to + i) + bias);
        }
    }
}

/* The rows or columns of a window that lie inside of the map. */
static void clip(int first, int kernel, int size, int *from, int *to) {
    *from = first < 0 ? 0 : first;
    *to = first + kernel < size ? first + kernel : size;
}

void pool_forward(const pooling *p, const tensor *tensors, int block) {
    const tensor *in = tensors + p->input, *out = tensors + p->output;
    const float share = p->maximum ? 1.0f : 1.0f / (float)(p->kernel_y * p->kernel_x);
    for (int ch = 0; ch < out->channels; ch++)
        for (int row = 0; row < out->height; row++)
            for (int col = 0; col < out->width; col++) {
                int top, bottom, left, right;
                clip(row * p->stride_y - p->pad_y, p->kernel_y, in->height, &top, &bottom);
                clip(col * p->stride_x - p->pad_x, p->kernel_x, in->width, &left, &right);
                vec value = p->maximum ? all(-INFINITY) : zero();
                for (int y = top; y < bottom; y++)
                    for (int x = left; x < right; x++) {
                        const vec other = load(place(in->data, in, block, ch, y) + (long)x * LANES);
                        if (p->maximum)
                            value = either(other > value, other, value);
                        else
                            value += other;
                    }
                store(place(out->data, out, block, ch, row) + (long)col * LANES, value * share);
            }
}

void pool_backward(const pooling *p, const tensor *tensors, int block) {
    const tensor *in = tensors + p->input, *out = tensors + p->output;
    const float share = 1.0f / (float)(p->kernel_y * p->kernel_x);
    for (int ch = 0; ch < out->channels; ch++) {
        for (int row = 0; p->adds == 1 && row < in->height; row++)
            for (int i = 0; i < in->width; i++)
                store(place(in->gradient, in, block, ch, row) + (long)i * LANES, zero());
        for (int row = 0; row < out->height; row++)
            for (int col = 0; col < out->width; col++) {
                int top, bottom, left, right;
                clip(row * p->stride_y - p->pad_y, p->kernel_y, in->height, &top, &bottom);
                clip(col * p->stride_x - p->pad_x, p->kernel_x, in->width, &left, &right);
                const vec g = load(place(out->gradient, out, block, ch, row) + (long)col * LANES);
                const vec best = load(place(out->data, out, block, ch, row) + (long)col * LANES);
                ivec found = {0};
                for (int y = top; y < bottom; y++)
                    for (int x = left; x < right; x++) {
                        float *to = place(in->gradient, in, block, ch, y) + (long)x * LANES;
                        vec part = g * share;
                        if (p->maximum) { /* the first of equal ones has it all */
                            const ivec is =
                                load(place(in->data, in, block, ch, y) + (long)x * LANES) == best;
                            part = where(is & ~found, g);
                            found |= is;
                        }
                        store(to, load(to) + part);
                    }
            }
    }
}
