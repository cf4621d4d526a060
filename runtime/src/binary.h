/* The two operands of an elementwise kernel, each a row of the arena or a constant.
 *
 * A row is worked through in blocks: an operand that has one pixel, or one value a pixel, for the
 * whole row is read again from its start in every block.
 */
#ifndef FEDTINY_BINARY_H
#define FEDTINY_BINARY_H

#include "kernel.h"

/* The second operand: its row, or the constant's part for this step, `stride` bytes a step. */
static inline const void *fedtiny_second_operand(const fedtiny_call *call, uint32_t constant,
                                                 uint32_t stride) {
    if (constant == FEDTINY_ABSENT) {
        return call->in[1];
    }
    return call->constants + constant + (uint32_t)call->step * stride;
}

#endif
