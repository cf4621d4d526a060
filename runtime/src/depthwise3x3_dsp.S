/* The loops of depthwise3x3.h for Cortex-M cores with the DSP extension. All follow the AAPCS; at
 * most 76 bytes of stack. The same in C: kernels/depthwise_conv2d_3x3_s8_dsp.c. */
#include "src/depthwise3x3.h"

#if FEDTINY_DEPTHWISE3X3_DSP

    .syntax unified
    .thumb
    .text

/* r0 window   r1 out   r6-r10 weights   lr first sum
 * r2 r3 r4    one column pair, and what is free when its products are done
 * r5 r11 r12  the next one; the two swap from output to output */
    .equ FRAME_BIAS, 0
    .equ FRAME_FACTOR, 4 /* and the divisor */
    .equ FRAME_ZERO_POINT, 12
    .equ FRAME_STRIDE, 16
    .equ FRAME_END, 20
    .equ FRAME_OUTPUTS, 24
    .equ FRAME_COLUMNS, 28 /* bytes of column pairs in the loop */
    .equ FRAME_CHANNELS, 32
    .equ FRAME_WINDOW, 36
    .equ FRAME_OUT, 40
    .equ FRAME_LAST, 44
    .equ FRAME_BYTES, 48

/* The nine products of an output at an even column, from pairs (e, o, b) and (e2, o2, b2) on. */
    .macro EVEN e, o, b, e2, b2
    smlad lr, \e, r6, lr
    smlad lr, \o, r7, lr
    smlad lr, \e2, r8, lr
    smlad lr, \b, r9, lr
    smlabt lr, \b2, r10, lr
    .endm

/* Scales sums and rounds as fedtiny_scale_s8; \x and \y are free. The rest of an output at an odd
 * column, whose sum is \odd, goes between. */
    .macro SCALE x, y, odd
    ldrd \x, \y, [sp, #FRAME_FACTOR]
    smmlar lr, lr, \x, lr
    .ifnb \odd
    smmlar \odd, \odd, \x, \odd
    .endif
    ldr \x, [sp, #FRAME_ZERO_POINT]
    add lr, lr, lr, asr #31
    .ifnb \odd
    add \odd, \odd, \odd, asr #31
    .endif
    smmlar lr, lr, \y, \x
    .ifnb \odd
    smmlar \odd, \odd, \y, \x
    .endif
    ldr \y, [sp, #FRAME_STRIDE]
    ssat lr, #8, lr
    .ifnb \odd
    ssat \odd, #8, \odd
    .endif
    strb lr, [r1]
    .endm

/* Two outputs of stride 1. */
    .macro TWO e, o, b, e2, o2, b2
    ldr lr, [sp, #FRAME_BIAS]
    ldm r0, {\e2, \o2, \b2}
    add r0, r0, #FEDTINY_DEPTHWISE3X3_PAIR * 4
    smlad lr, \e, r6, lr
    ldr \e, [sp, #FRAME_BIAS]
    smlad lr, \o, r7, lr
    smlad lr, \e2, r8, lr
    smlad lr, \b, r9, lr
    smlabt lr, \b2, r10, lr
    smlad \e, \o, r6, \e
    smlad \e, \e2, r7, \e
    smlad \e, \o2, r8, \e
    smlatb \e, \b, r9, \e
    smlad \e, \b2, r10, \e
    SCALE \o, \b, \e
    strb \e, [r1, \b]
    add r1, r1, \b, lsl #1
    .endm

/* One output of either stride. */
    .macro ONE e, o, b, e2, o2, b2
    ldr lr, [sp, #FRAME_BIAS]
    ldm r0, {\e2, \o2, \b2}
    add r0, r0, #FEDTINY_DEPTHWISE3X3_PAIR * 4
    EVEN \e, \o, \b, \e2, \b2
    SCALE \o, \b
    add r1, r1, \b
    .endm

/* Everything around the loops; \name is a macro for one column pair's outputs, \shift is log2 of
 * how many those are. */
    .macro FUNCTION name, outputs, shift
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r11, lr}
    sub sp, sp, #FRAME_BYTES
    ldm r0, {r0, r2-r6} /* window, channels, out, outputs, stride, zero point */
    str r6, [sp, #FRAME_ZERO_POINT]
    str r5, [sp, #FRAME_STRIDE]
    str r2, [sp, #FRAME_CHANNELS]
    .if \shift
    lsr r5, r4, #\shift
    .else
    mov r5, r4
    .endif
    add r5, r5, r5, lsl #1 /* 3 * 16 bytes a column pair */
    lsl r5, r5, #4
    strd r4, r5, [sp, #FRAME_OUTPUTS]
    add r0, r0, #FEDTINY_DEPTHWISE3X3_PAIR * 4
    add r4, r0, #4 * 12
    str r4, [sp, #FRAME_LAST]
    mov r1, r3
1:  strd r0, r1, [sp, #FRAME_WINDOW] /* the second column pair, and the output */
    ldrd r11, r12, [sp, #FRAME_COLUMNS]
    ldm r12!, {r3-r10}
    stm sp, {r3-r5}
    add r5, r0, r11
    str r12, [sp, #FRAME_CHANNELS]
    str r5, [sp, #FRAME_END]
    ldrd r2, r3, [r0, #-FEDTINY_DEPTHWISE3X3_PAIR * 4]
    ldr r4, [r0, #8 - FEDTINY_DEPTHWISE3X3_PAIR * 4]
    cmp r0, r5
    bhs 4f
2:  \outputs r2, r3, r4, r5, r11, r12
    ldr r3, [sp, #FRAME_END]
    cmp r0, r3
    bhs 3f
    \outputs r5, r11, r12, r2, r3, r4
    ldr r5, [sp, #FRAME_END]
    cmp r0, r5
    blo 2b
    .if \shift
    b 4f
3:  mov r2, r5
    mov r3, r11
    mov r4, r12
4:  ldr r5, [sp, #FRAME_OUTPUTS]
    lsls r5, r5, #31
    beq 5f
    ONE r2, r3, r4, r5, r11, r12
5:
    .else
3:
4:
    .endif
    ldrd r0, r1, [sp, #FRAME_WINDOW]
    ldr r5, [sp, #FRAME_LAST]
    adds r0, #12
    adds r1, #1
    cmp r0, r5
    bne 1b
    add sp, sp, #FRAME_BYTES
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

/* ---- void fedtiny_depthwise3x3_stride1(const fedtiny_depthwise3x3_call *), and of stride 2 ----
 */
    FUNCTION fedtiny_depthwise3x3_stride1, TWO, 1
    FUNCTION fedtiny_depthwise3x3_stride2, ONE, 0

/* ---- void fedtiny_depthwise3x3_pack(const fedtiny_depthwise3x3_pack_call *) -------------------
 *
 * r0 window   r1 r2 r3 rows   r4 stride   r5-r12 lr inputs */

/* Two channels of rows 0 and 1; \first and \second of the four. */
    .macro UPPER first, second, rotation
    sxtb16 r9, r5, ror #\rotation
    sxtb16 r10, r6, ror #\rotation
    sxtb16 r11, r7, ror #\rotation
    sxtb16 r12, r8, ror #\rotation
    pkhbt lr, r9, r10, lsl #16
    str lr, [r0, #12 * \first]
    pkhbt lr, r11, r12, lsl #16
    str lr, [r0, #12 * \first + 4]
    pkhtb r9, r10, r9, asr #16
    pkhtb r11, r12, r11, asr #16
    strd r9, r11, [r0, #12 * \second]
    .endm

/* All four channels of row 2, which is in r5 and r6. */
    .macro LOWER
    sxtb16 r7, r5
    sxtb16 r8, r6
    sxtb16 r5, r5, ror #8
    sxtb16 r6, r6, ror #8
    pkhbt r9, r7, r8, lsl #16
    pkhtb r10, r8, r7, asr #16
    pkhbt r11, r5, r6, lsl #16
    pkhtb r12, r6, r5, asr #16
    str r9, [r0, #8]
    str r11, [r0, #20]
    str r10, [r0, #32]
    str r12, [r0, #44]
    .endm

    .section .text.fedtiny_depthwise3x3_pack, "ax", %progbits
    .global fedtiny_depthwise3x3_pack
    .type fedtiny_depthwise3x3_pack, %function
    .thumb_func
fedtiny_depthwise3x3_pack:
    push {r4-r11, lr}
    ldm r0, {r0-r5} /* r5 is pairs */
    add r5, r5, r5, lsl #1
    add r5, r0, r5, lsl #4
    push {r5}
1:  ldr r5, [r1]
    ldr r6, [r2]
    ldr r7, [r1, r4]
    ldr r8, [r2, r4]
    UPPER 0, 2, 0
    UPPER 1, 3, 8
    ldr r5, [r3]
    ldr r6, [r3, r4]
    add r1, r1, r4, lsl #1
    add r2, r2, r4, lsl #1
    add r3, r3, r4, lsl #1
    LOWER
    add r0, r0, #FEDTINY_DEPTHWISE3X3_PAIR * 4
    ldr r5, [sp]
    cmp r0, r5
    blo 1b
    add sp, sp, #4
    pop {r4-r11, pc}
    .size fedtiny_depthwise3x3_pack, . - fedtiny_depthwise3x3_pack

/* ---- void fedtiny_depthwise3x3_pack_pair(int32_t *, const int32_t *) ----------------------------
 */
    .section .text.fedtiny_depthwise3x3_pack_pair, "ax", %progbits
    .global fedtiny_depthwise3x3_pack_pair
    .type fedtiny_depthwise3x3_pack_pair, %function
    .thumb_func
fedtiny_depthwise3x3_pack_pair:
    push {r4-r11, lr}
    ldm r1, {r5-r8}
    UPPER 0, 2, 0
    UPPER 1, 3, 8
    ldrd r5, r6, [r1, #16]
    LOWER
    pop {r4-r11, pc}
    .size fedtiny_depthwise3x3_pack_pair, . - fedtiny_depthwise3x3_pack_pair

#endif
