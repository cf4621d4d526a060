/* depthwise_conv2d, int8, 3x3, channels in fours: two taps per multiplication
 * (src/depthwise_3x3.h). Any stride; at most two columns of padding. The output row may lie on an
 * input row. */
#include "src/clamp_row.h"
#include "src/depthwise_3x3.h"

enum { COLUMN_WORDS = FEDTINY_DEPTHWISE_COLUMN_BYTES / 4 };

static void pad(int32_t *from, const int32_t *end, int32_t padding) {
    while (from != end) {
        *from++ = padding;
    }
}

fedtiny_status fedtiny_depthwise_conv2d_3x3_s8_dsp(const fedtiny_call *call) {
    const fedtiny_depthwise_conv2d_3x3_s8_params *p = call->params;
    fedtiny_depthwise_3x3_call row;
    int32_t *const columns = call->scratch;
    const int32_t pairs = p->stride_w == 1 ? p->out_w / 2 : 0;
    for (int32_t i = 0; i < 3; i++) {
        row.rows[i] = call->in[i];
    }
    row.next_out = row.out = call->out[0];
    row.pixel = p->channels;
    row.step = p->stride_w * FEDTINY_DEPTHWISE_COLUMN_BYTES;
    row.column = columns;
    row.end = columns + (p->stride_w == 1 ? 2 * pairs : p->out_w * p->stride_w) * COLUMN_WORDS;
    row.odd = p->stride_w == 1 ? p->out_w & 1 : 0;
    row.channels = fedtiny_constant(call, p->constants);
    row.inner = columns + p->pad_left * COLUMN_WORDS;
    row.inner_end = row.inner + p->inner * COLUMN_WORDS;
    row.padding = (int32_t)((uint32_t)p->input_zero_point << 16 | (uint16_t)p->input_zero_point);
    row.zero_point = p->output_zero_point;
    row.groups = p->channels / 4;
    row.form = p->form;
    pad(columns, row.inner, row.padding);
    pad(row.inner_end, columns + p->columns * COLUMN_WORDS, row.padding);
    fedtiny_depthwise_3x3(&row);
    fedtiny_clamp_row(call->out[0], p->out_w * p->channels, p->output_min, p->output_max);
    return FEDTINY_OK;
}
