/* depthwise_conv2d, int8, 3x3, stride 1 or 2, channels in fours (src/depthwise3x3.h). The output
 * row may lie on an input row: of each four channels all columns are read before any is written. */
#include "src/depthwise3x3.h"
#include "src/multiply_high.h"

typedef fedtiny_depthwise_conv2d_3x3_s8_params params_t;

enum { PAIR = FEDTINY_DEPTHWISE3X3_PAIR, CHANNELS = 4, KERNEL = 3 };

#if !FEDTINY_DEPTHWISE3X3_DSP
static int32_t pair_of(int32_t low, int32_t high) {
    return (int32_t)(((uint32_t)low & 0xFFFF) | (uint32_t)high << 16);
}

static int32_t low_of(int32_t pair) {
    return (int16_t)(pair & 0xFFFF);
}

static int32_t high_of(int32_t pair) {
    return pair >> 16;
}

static int32_t product(int32_t a, int32_t b) {
    return low_of(a) * low_of(b) + high_of(a) * high_of(b);
}

static int8_t scaled(const fedtiny_depthwise3x3_call *call,
                     const fedtiny_depthwise3x3_channel *channel, int32_t sum) {
    return fedtiny_scale_s8(sum, channel->factor, channel->divisor, call->zero_point, 1);
}

static int32_t even_sum(const fedtiny_depthwise3x3_channel *w, const int32_t *in) {
    return w->bias + product(in[0], w->column0) + product(in[1], w->column1) +
           product(in[PAIR], w->column2) + product(in[2], w->row2_01) +
           low_of(in[PAIR + 2]) * high_of(w->row2_12);
}

static int32_t odd_sum(const fedtiny_depthwise3x3_channel *w, const int32_t *in) {
    return w->bias + product(in[1], w->column0) + product(in[PAIR], w->column1) +
           product(in[PAIR + 1], w->column2) + product(in[PAIR + 2], w->row2_12) +
           high_of(in[2]) * low_of(w->row2_01);
}

void fedtiny_depthwise3x3_stride1(const fedtiny_depthwise3x3_call *call) {
    for (int32_t c = 0; c < CHANNELS; c++) {
        const fedtiny_depthwise3x3_channel *channel = call->channels + c;
        const int32_t *in = call->window + KERNEL * c;
        for (int32_t x = 0; x < call->outputs; x += 2, in += PAIR) {
            int8_t *out = call->out + x * call->stride + c;
            *out = scaled(call, channel, even_sum(channel, in));
            if (x + 1 < call->outputs) {
                out[call->stride] = scaled(call, channel, odd_sum(channel, in));
            }
        }
    }
}

void fedtiny_depthwise3x3_stride2(const fedtiny_depthwise3x3_call *call) {
    for (int32_t c = 0; c < CHANNELS; c++) {
        const fedtiny_depthwise3x3_channel *channel = call->channels + c;
        const int32_t *in = call->window + KERNEL * c;
        for (int32_t x = 0; x < call->outputs; x++, in += PAIR) {
            call->out[x * call->stride + c] = scaled(call, channel, even_sum(channel, in));
        }
    }
}
#endif

/* Four int8 as a word; compilers make one load of it. */
static int32_t word_at(const int8_t *from) {
    const uint8_t *bytes = (const uint8_t *)from;
    return (int32_t)(bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                     (uint32_t)bytes[3] << 24);
}

#if !FEDTINY_DEPTHWISE3X3_DSP
void fedtiny_depthwise3x3_pack_pair(int32_t *to, const int32_t *pixels) {
    const int8_t *in = (const int8_t *)pixels;
    for (int32_t c = 0; c < CHANNELS; c++, to += KERNEL, in++) {
        to[0] = pair_of(in[0], in[4]);
        to[1] = pair_of(in[8], in[12]);
        to[2] = pair_of(in[16], in[20]);
    }
}

void fedtiny_depthwise3x3_pack(const fedtiny_depthwise3x3_pack_call *call) {
    for (int32_t i = 0; i < call->pairs; i++) {
        const int32_t even = 2 * i * call->stride, odd = even + call->stride;
        const int8_t *const *row = call->rows;
        const int32_t pixels[2 * KERNEL] = {
            word_at(row[0] + even), word_at(row[1] + even), word_at(row[0] + odd),
            word_at(row[1] + odd),  word_at(row[2] + even), word_at(row[2] + odd),
        };
        fedtiny_depthwise3x3_pack_pair(call->to + i * PAIR, pixels);
    }
}
#endif

/* Column pairs [first, end) of the channels from `channel` on, padding included. */
static void pack_edges(const fedtiny_call *call, const params_t *p, int32_t channel, int32_t first,
                       int32_t end) {
    const int32_t padding = (int32_t)(0x01010101u * (uint8_t)p->input_zero_point);
    const int8_t *row0 = call->in[0], *row1 = call->in[1], *row2 = call->in[2];
    const int32_t stride = p->channels, columns = p->in_w;
    for (int32_t i = first; i < end; i++) {
        const int32_t even = 2 * i - p->pad_left, at = even * stride + channel;
        int32_t pixels[2 * KERNEL] = {padding, padding, padding, padding, padding, padding};
        if ((uint32_t)even < (uint32_t)columns) {
            pixels[0] = row0 != NULL ? word_at(row0 + at) : padding;
            pixels[1] = row1 != NULL ? word_at(row1 + at) : padding;
            pixels[4] = row2 != NULL ? word_at(row2 + at) : padding;
        }
        if ((uint32_t)(even + 1) < (uint32_t)columns) {
            pixels[2] = row0 != NULL ? word_at(row0 + at + stride) : padding;
            pixels[3] = row1 != NULL ? word_at(row1 + at + stride) : padding;
            pixels[5] = row2 != NULL ? word_at(row2 + at + stride) : padding;
        }
        fedtiny_depthwise3x3_pack_pair((int32_t *)call->scratch + i * PAIR, pixels);
    }
}

fedtiny_status fedtiny_depthwise_conv2d_3x3_s8_dsp(const fedtiny_call *call) {
    const params_t *p = call->params;
    const int complete = call->in[0] != NULL && call->in[1] != NULL && call->in[2] != NULL;
    /* Column pairs with a column of the image: [left, right); whole ones: [first, last). */
    const int32_t end = (p->in_w + p->pad_left + 1) / 2;
    const int32_t right = end < p->pairs ? end : p->pairs;
    const int32_t left = p->pad_left / 2 < right ? p->pad_left / 2 : right;
    const int32_t whole = (p->in_w + p->pad_left) / 2;
    int32_t first = (p->pad_left + 1) / 2, last = whole < right ? whole : right;
    fedtiny_depthwise3x3_pack_call pack;
    fedtiny_depthwise3x3_call row;
    row.window = call->scratch;
    row.channels = fedtiny_constant(call, p->records);
    row.out = call->out[0];
    row.outputs = p->out_w;
    row.stride = p->channels;
    row.zero_point = p->output_zero_point;
    pack_edges(call, p, 0, 0, left);
    pack_edges(call, p, 0, right, p->pairs);
    if (complete && first < last) {
        const int32_t at = (2 * first - p->pad_left) * p->channels;
        for (int32_t ky = 0; ky < KERNEL; ky++) {
            pack.rows[ky] = (const int8_t *)call->in[ky] + at;
        }
        pack.to = (int32_t *)call->scratch + first * PAIR;
        pack.stride = p->channels;
        pack.pairs = last - first;
    } else {
        first = last = right;
    }
    for (int32_t c = 0; c < p->channels; c += CHANNELS) {
        if (left < first) {
            pack_edges(call, p, c, left, first);
        }
        if (first < last) {
            fedtiny_depthwise3x3_pack(&pack);
            for (int32_t ky = 0; ky < KERNEL; ky++) {
                pack.rows[ky] += CHANNELS;
            }
        }
        if (last < right) {
            pack_edges(call, p, c, last, right);
        }
        if (p->stride_w == 1) {
            fedtiny_depthwise3x3_stride1(&row);
        } else {
            fedtiny_depthwise3x3_stride2(&row);
        }
        row.channels += CHANNELS;
        row.out += CHANNELS;
    }
    if (p->output_min > INT8_MIN || p->output_max < INT8_MAX) {
        fedtiny_clamp_row_s8(call->out[0], p->out_w * p->channels, p->output_min, p->output_max);
    }
    return FEDTINY_OK;
}
