/* void fedtiny_add_sums(const fedtiny_add_sums_call *): int8 sums by one table (see add_table.h), for
 * Cortex-M cores with the DSP extension. Follows the AAPCS; 36 bytes of stack. */
#include "src/add_table.h"

#if FEDTINY_ADD_DSP

    .syntax unified
    .thumb
    .text

/* r0 out   r1 a   r2 b   r3 table   r4 factor   r5 divisor   r6 zero point   r7 elements left
 * r8-r11 elements   r12 lr scratch */

/* One element: 8 instructions and its store; \signed as in pairs_dsp.S. */
    .macro ELEMENT at, result, signed
    ldrsb r12, [r1, #\at]
    ldrb lr, [r2, #\at]
    ldr lr, [r3, lr, lsl #2]
    add r12, lr, r12, lsl #FEDTINY_ADD_SHIFT
    smmlar r12, r12, r4, r12
    .if \signed
    add r12, r12, r12, asr #31
    .endif
    smmlar r12, r12, r5, r6
    ssat \result, #8, r12
    .endm

    .macro ELEMENTS signed
1:  subs r7, r7, #4
    blt 2f
    ELEMENT 0, r8, \signed
    ELEMENT 1, r9, \signed
    ELEMENT 2, r10, \signed
    ELEMENT 3, r11, \signed
    add r1, r1, #4
    add r2, r2, #4
    strb r8, [r0], #1
    strb r9, [r0], #1
    strb r10, [r0], #1
    strb r11, [r0], #1
    b 1b
2:  adds r7, r7, #4
    beq 4f
3:  ELEMENT 0, r8, \signed
    add r1, r1, #1
    add r2, r2, #1
    strb r8, [r0], #1
    subs r7, r7, #1
    bne 3b
4:  pop {r4-r11, pc}
    .endm

    .section .text.fedtiny_add_sums, "ax", %progbits
    .global fedtiny_add_sums
    .type fedtiny_add_sums, %function
    .thumb_func
fedtiny_add_sums:
    push {r4-r11, lr}
    ldm r0, {r0-r8} /* r8 is relu; loading the base register is allowed without write-back */
    cmp r8, #0
    beq .Lsigned
    ELEMENTS 0
.Lsigned:
    ELEMENTS 1
    .size fedtiny_add_sums, . - fedtiny_add_sums

#endif
