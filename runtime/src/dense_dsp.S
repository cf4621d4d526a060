/* The loops of dense_dsp.h for Cortex-M cores with the DSP extension. All follow the AAPCS; 64 bytes
 * of stack. The same in C: dense_plain.c. */
#include "src/dense_dsp.h"

#if FEDTINY_DENSE_ASSEMBLY

    .syntax unified
    .thumb
    .text

/* r0-r4 sums   r5-r8 words of the patch   lr r9 weights as pairs
 * r10 address of the weights   r11 of the patch   r12 fours left */
    .equ FRAME_PATCH, 0
    .equ FRAME_FOURS, 4
    .equ FRAME_CHANNELS, 8
    .equ FRAME_OUT, 12
    .equ FRAME_STRIDE, 16
    .equ FRAME_ZERO_POINT, 20
    .equ FRAME_COUNT, 24
    .equ FRAME_BYTES, 28

/* Two taps of all pixels. */
    .macro PRODUCTS tile, weights
    .if \tile == 2
    ldm r11!, {r5, r6}
    .elseif \tile == 3
    ldm r11!, {r5-r7}
    .else
    ldm r11!, {r5-r8}
    .endif
    smlad r0, r5, \weights, r0
    smlad r1, r6, \weights, r1
    .if \tile >= 3
    smlad r2, r7, \weights, r2
    .endif
    .if \tile >= 4
    smlad r3, r8, \weights, r3
    .endif
    .if \tile >= 5
    ldr r5, [r11], #4
    smlad r4, r5, \weights, r4
    .endif
    .endm

/* As fedtiny_scale_s8. */
    .macro SCALE sum
    smmlar \sum, \sum, r5, \sum
    add \sum, \sum, \sum, asr #31
    smmlar \sum, \sum, r6, r7
    ssat \sum, #8, \sum
    .endm

    .macro TILE name, tile
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r11, lr}
    sub sp, sp, #FRAME_BYTES
    ldm r0, {r1-r7, r10}
    stm sp, {r1-r7}
1:  ldrd r11, r12, [sp, #FRAME_PATCH]
    ldr r0, [sp, #FRAME_CHANNELS]
    ldr r0, [r0]
    mov r1, r0
    .if \tile >= 3
    mov r2, r0
    .endif
    .if \tile >= 4
    mov r3, r0
    .endif
    .if \tile >= 5
    mov r4, r0
    .endif
2:  ldr r9, [r10], #4
    sxtb16 lr, r9
    sxtb16 r9, r9, ror #8
    PRODUCTS \tile, lr
    PRODUCTS \tile, r9
    subs r12, r12, #1
    bne 2b
    ldr r12, [sp, #FRAME_CHANNELS]
    ldr r7, [sp, #FRAME_ZERO_POINT]
    ldrd r5, r6, [r12, #4]
    adds r12, r12, #12
    str r12, [sp, #FRAME_CHANNELS]
    SCALE r0
    SCALE r1
    .if \tile >= 3
    SCALE r2
    .endif
    .if \tile >= 4
    SCALE r3
    .endif
    .if \tile >= 5
    SCALE r4
    .endif
    ldrd r8, r9, [sp, #FRAME_OUT]
    strb r0, [r8]
    strb r1, [r8, r9]
    .if \tile >= 3
    strb r2, [r8, r9, lsl #1]
    .endif
    .if \tile >= 4
    add r5, r8, r9
    strb r3, [r5, r9, lsl #1]
    .endif
    .if \tile >= 5
    strb r4, [r8, r9, lsl #2]
    .endif
    ldr r5, [sp, #FRAME_COUNT]
    adds r8, r8, #1
    str r8, [sp, #FRAME_OUT]
    subs r5, r5, #1
    str r5, [sp, #FRAME_COUNT]
    bne 1b
    add sp, sp, #FRAME_BYTES
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

/* ---- void fedtiny_dense_tile2(const fedtiny_dense_call *), and so on --------------------------- */
#if FEDTINY_PART_DENSE2
    TILE fedtiny_dense_tile2, 2
#endif
#if FEDTINY_PART_DENSE3
    TILE fedtiny_dense_tile3, 3
#endif
#if FEDTINY_PART_DENSE4
    TILE fedtiny_dense_tile4, 4
#endif
#if FEDTINY_PART_DENSE5
    TILE fedtiny_dense_tile5, 5
#endif

/* ---- void fedtiny_dense_expand(int32_t *, const int8_t *, int32_t, int32_t) -------------------- */
    .section .text.fedtiny_dense_expand, "ax", %progbits
    .global fedtiny_dense_expand
    .type fedtiny_dense_expand, %function
    .thumb_func
fedtiny_dense_expand:
    push {r4, lr}
    lsls r3, r3, #2
1:  ldr r12, [r1], #4
    sxtb16 lr, r12
    sxtb16 r12, r12, ror #8
    str lr, [r0]
    str r12, [r0, r3]
    add r0, r0, r3, lsl #1
    subs r2, r2, #1
    bne 1b
    pop {r4, pc}
    .size fedtiny_dense_expand, . - fedtiny_dense_expand

#endif
