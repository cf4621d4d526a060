/* Fully connected layers by dot products of sixteen int8 (Helium), four outputs at a time.
 *
 * Weights are groups in a stream, as in gather.h: wide ones or blocks, output after output, or
 * dense ones, of four outputs in turn. A doubling high multiplication, an addition and a shift make
 * outputs of sums; the packing proves that they equal the specified requantization on every sum
 * that can occur (src/fully_connected.h). */
#ifndef FEDTINY_FULLY_CONNECTED_MVE_H
#define FEDTINY_FULLY_CONNECTED_MVE_H

#include "src/gather.h"

#ifndef __ASSEMBLER__
#include "src/clamp_row.h"

/* src/fully_connected_mve.S knows the order of the fields. */
typedef struct {
    const int8_t *in;
    const uint8_t *stream;
    const uint16_t *more; /* by output, groups after the first; dense: one number for all */
    const int32_t *bias;  /* outputs rounded up to 4 */
    int8_t *out;
    int32_t outputs; /* at least 1 */
    int32_t multiplier;
    int32_t rounding; /* holds the output's zero point */
    int32_t left;     /* shift, negative */
} fedtiny_fully_connected_mve;

void fedtiny_fully_connected_wide(const fedtiny_fully_connected_mve *call);
void fedtiny_fully_connected_blocks(const fedtiny_fully_connected_mve *call);
void fedtiny_fully_connected_dense_mve(const fedtiny_fully_connected_mve *call);

static inline fedtiny_status
fedtiny_fully_connected_run(const fedtiny_call *call,
                            void (*function)(const fedtiny_fully_connected_mve *)) {
    const fedtiny_fully_connected_mve_params *p = call->params;
    const fedtiny_fully_connected_mve layer = {
        call->in[0],
        fedtiny_constant(call, p->stream),
        fedtiny_constant(call, p->more),
        fedtiny_constant(call, p->bias),
        call->out[0],
        (int32_t)p->outputs,
        p->multiplier,
        p->rounding,
        p->left,
    };
    function(&layer);
    fedtiny_clamp_row(call->out[0], layer.outputs, p->output_min, p->output_max);
    return FEDTINY_OK;
}
#endif

#endif
