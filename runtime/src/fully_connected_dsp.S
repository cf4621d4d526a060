/* Fully connected int8 layers (see fully_connected.h) for Cortex-M cores with the DSP extension.
 * All follow the AAPCS; at most 64 bytes of stack. The same in C: the kernels' own files. */
#include "src/fully_connected.h"

#if FEDTINY_FULLY_CONNECTED_DSP

    .syntax unified
    .thumb
    .text

    .macro FUNCTION name
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
    .balign 4
\name:
    .endm

/* ---- void fedtiny_fully_connected_csr(const fedtiny_fully_connected_sums *) --------------------
 *
 * r0 input   r1 entries   r2 biases   r3 counts   lr output
 * r4 sum     r5 words that are left   r6 address in the input   r7-r10 entries   r11 r12 inputs
 */

/* Two entries of (delta, weight), as bytes: 7 instructions. */
    .macro TWO word
    uxtab r6, r6, \word
    ldrsb r11, [r6]
    uxtab r6, r6, \word, ror #16
    ldrsb r12, [r6]
    sxtb16 \word, \word, ror #8
    smlabb r4, r11, \word, r4
    smlabt r4, r12, \word, r4
    .endm

/* The sum in r4 becomes an output; goes on with the next one while there is one. */
    .macro OUTPUT next, frame
    ldm sp, {r7-r10} /* multiplier, rounding, shift, end */
    smmla r4, r4, r7, r8
    asr r4, r4, r9
    ssat r4, #8, r4
    strb r4, [lr], #1
    cmp lr, r10
    bne \next
    add sp, #\frame
    pop {r4-r11, pc}
    .endm

    FUNCTION fedtiny_fully_connected_csr
    push {r4-r11, lr}
    sub sp, #16
    ldm r0, {r0-r8} /* loading the base register is allowed without write-back */
    mov lr, r4
    stm sp, {r5-r8}
.Lcsr_output:
    ldr r4, [r2], #4
    ldrh r5, [r3], #2
    mov r6, r0
    and r7, r5, #3
    tbb [pc, r7]
.Lcsr_rest:
    .byte (.Lcsr_rest0 - .Lcsr_rest) / 2, (.Lcsr_rest1 - .Lcsr_rest) / 2
    .byte (.Lcsr_rest2 - .Lcsr_rest) / 2, (.Lcsr_rest3 - .Lcsr_rest) / 2
.Lcsr_rest3:
    ldr r7, [r1], #4
    TWO r7
.Lcsr_rest2:
    ldr r7, [r1], #4
    TWO r7
.Lcsr_rest1:
    ldr r7, [r1], #4
    TWO r7
.Lcsr_rest0:
    subs r5, r5, #4
    blt .Lcsr_scale
.Lcsr_pass:
    ldm r1!, {r7-r10}
    TWO r7
    TWO r8
    TWO r9
    TWO r10
    subs r5, r5, #4
    bge .Lcsr_pass
.Lcsr_scale:
    OUTPUT .Lcsr_output, 16
    .size fedtiny_fully_connected_csr, . - fedtiny_fully_connected_csr

/* ---- void fedtiny_fully_connected_block1x4(const fedtiny_fully_connected_sums *) ----------------
 *
 * r0 input   r1 weights   r2 biases   r3 counts   r6 indices   lr output
 * r4 sum     r5 pairs of blocks that are left     r7 inputs    r8 r9 weights   r10 r11 scratch
 */

/* One block: 8 instructions for 4 products. */
    .macro BLOCK weights
    ldrb r7, [r6], #1
    ldr r7, [r0, r7, lsl #2]
    sxtb16 r10, \weights
    sxtb16 r11, r7
    smlad r4, r10, r11, r4
    sxtb16 r10, \weights, ror #8
    sxtb16 r11, r7, ror #8
    smlad r4, r10, r11, r4
    .endm

    FUNCTION fedtiny_fully_connected_block1x4
    push {r4-r11, lr}
    sub sp, #16
    ldm r0, {r0-r9}
    mov lr, r4
    stm sp, {r5-r8}
    mov r6, r9
.Lblock_output:
    ldr r4, [r2], #4
    ldrh r5, [r3], #2
    lsrs r5, r5, #1
    bcc .Lblock_even
    ldr r8, [r1], #4
    BLOCK r8
.Lblock_even:
    cbz r5, .Lblock_scale
.Lblock_pass:
    ldrd r8, r9, [r1], #8
    BLOCK r8
    BLOCK r9
    subs r5, r5, #1
    bne .Lblock_pass
.Lblock_scale:
    OUTPUT .Lblock_output, 16
    .size fedtiny_fully_connected_block1x4, . - fedtiny_fully_connected_block1x4

/* ---- void fedtiny_fully_connected_dense(const fedtiny_fully_connected_sums *) -------------------
 *
 * r0 input   r1 weights   r2 pairs of blocks that are left   r3 scratch
 * r4-r7 sums of four outputs   r8-r11 their weights   r12 lr inputs
 */
    .equ DENSE_OUT, 16
    .equ DENSE_IN, 20
    .equ DENSE_BACK, 28
    .equ DENSE_FRAME, 32

/* The products of one output with four inputs. */
    .macro PRODUCTS sum, weights
    sxtb16 r3, \weights
    smlad \sum, r3, r12, \sum
    sxtb16 \weights, \weights, ror #8
    smlad \sum, \weights, lr, \sum
    .endm

/* Four outputs, four inputs: 20 instructions for 16 products. */
    .macro FOUR
    ldm r1!, {r8-r11}
    ldr r12, [r0], #4
    sxtb16 lr, r12, ror #8
    sxtb16 r12, r12
    PRODUCTS r4, r8
    PRODUCTS r5, r9
    PRODUCTS r6, r10
    PRODUCTS r7, r11
    .endm

    .macro SCALE sum
    smmla \sum, \sum, r8, r9
    asr \sum, \sum, r10
    ssat \sum, #8, \sum
    .endm

/* Where the inputs are no multiple of four, the last block reads the last four inputs; the weights
 * of those that were read before are 0. */
    FUNCTION fedtiny_fully_connected_dense
    push {r4-r11, lr}
    sub sp, #DENSE_FRAME
    ldr r1, [r0, #4]
    ldr r2, [r0, #40]
    ldrd r9, r10, [r0, #16] /* out, multiplier */
    ldr r11, [r0, #24]
    ldrd r7, r8, [r0, #28]
    ldr r5, [r0]
    asr r6, r2, #2
    ands r3, r2, #3
    it ne
    subne r3, r3, #4
    strd r10, r11, [sp] /* multiplier, rounding */
    strd r7, r8, [sp, #8] /* shift, end */
    str r9, [sp, #DENSE_OUT]
    strd r5, r6, [sp, #DENSE_IN] /* in, whole blocks */
    str r3, [sp, #DENSE_BACK]
.Ldense_group:
    ldrd r0, r2, [sp, #DENSE_IN]
    ldm r1!, {r4-r7} /* biases */
    lsrs r2, r2, #1
    bcc .Ldense_even
    FOUR
.Ldense_even:
    cmp r2, #0
    beq .Ldense_last
.Ldense_pass:
    FOUR
    FOUR
    subs r2, r2, #1
    bne .Ldense_pass
.Ldense_last:
    ldr r3, [sp, #DENSE_BACK]
    cmp r3, #0
    beq .Ldense_scale
    add r0, r0, r3
    FOUR
.Ldense_scale:
    ldm sp, {r8-r12} /* multiplier, rounding, shift, end, out */
    SCALE r4
    SCALE r5
    SCALE r6
    SCALE r7
    sub r3, r11, r12
    cmp r3, #4
    blt .Ldense_rest
    strb r4, [r12], #1
    strb r5, [r12], #1
    strb r6, [r12], #1
    strb r7, [r12], #1
    str r12, [sp, #DENSE_OUT]
    cmp r12, r11
    bne .Ldense_group
    b .Ldense_end
.Ldense_rest: /* one to three outputs; what the group has beyond them is nothing */
    strb r4, [r12]
    cmp r3, #2
    blt .Ldense_end
    strb r5, [r12, #1]
    beq .Ldense_end
    strb r6, [r12, #2]
.Ldense_end:
    add sp, #DENSE_FRAME
    pop {r4-r11, pc}
    .size fedtiny_fully_connected_dense, . - fedtiny_fully_connected_dense

#endif
