/* void fedtiny_pairs_move(int32_t *to, const int32_t *from, int32_t words) for Cortex-M cores (see
 * pairs_window.h). */
#include "src/pairs_window.h"

#if FEDTINY_PAIRS_MOVE_THUMB

    .syntax unified
    .thumb
    .section .text.fedtiny_pairs_move, "ax", %progbits
    .global fedtiny_pairs_move
    .type fedtiny_pairs_move, %function
    .thumb_func
    .balign 4
fedtiny_pairs_move:
#if __ARM_ARCH_ISA_THUMB >= 2
    push {r4-r10, lr}
.Lmove:
    subs r2, r2, #8
    blt .Lmoved
    ldm r1!, {r3-r10}
    stm r0!, {r3-r10}
    b .Lmove
.Lmoved:
    adds r2, r2, #8
#else
    push {r4-r7, lr}
.Lmove:
    subs r2, r2, #5
    blt .Lmoved
    ldmia r1!, {r3-r7}
    stmia r0!, {r3-r7}
    b .Lmove
.Lmoved:
    adds r2, r2, #5
#endif
    beq .Ldone
.Lword:
    ldmia r1!, {r3}
    stmia r0!, {r3}
    subs r2, r2, #1
    bne .Lword
.Ldone:
#if __ARM_ARCH_ISA_THUMB >= 2
    pop {r4-r10, pc}
#else
    pop {r4-r7, pc}
#endif
    .size fedtiny_pairs_move, . - fedtiny_pairs_move

#endif
