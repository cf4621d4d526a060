/* The row of depthwise_3x3.h for Cortex-M cores with the DSP extension. Follows the AAPCS; 108 bytes of
 * stack. The same in C: depthwise_3x3_plain.c. */
#include "src/depthwise_3x3.h"

#if FEDTINY_DEPTHWISE_DSP

    .syntax unified
    .thumb
    .text

/* Offsets in the call, a copy of which lies at sp. */
    .equ CALL_ROWS, 0
    .equ CALL_NEXT_OUT, 12
    .equ CALL_OUT, 16 /* then pixel */
    .equ CALL_COLUMN, 24 /* then end */
    .equ CALL_CHANNELS, 32
    .equ CALL_INNER, 36 /* then inner_end */
    .equ CALL_PADDING, 44
    .equ CALL_ZERO_POINT, 48
    .equ CALL_ODD, 52
    .equ CALL_GROUPS, 56
    .equ CALL_STEP, 60
    .equ CALL_FORM, 64
    .equ FRAME_TURN, 68 /* channels of a pair that are left */
    .equ FRAME_BYTES, 72

/* ---- columns: r0 r1 r2 rows, r3 bytes from them, r4 pixel, r5 column, r6 end, r7-r12 lr four
 * channels of three rows. Rows of padding are in registers already. 20 instructions for a column. */
    .macro COLUMNS zero, one, two
1:
    .if \zero
    ldr r7, [r0, r3]
    .endif
    .if \one
    ldr r9, [r1, r3]
    .endif
    .if \two
    ldr r11, [r2, r3]
    .endif
    add r3, r3, r4
    .if \zero
    sxtb16 r8, r7, ror #8
    sxtb16 r7, r7
    .endif
    .if \one
    sxtb16 r10, r9, ror #8
    sxtb16 r9, r9
    .endif
    .if \two
    sxtb16 r12, r11, ror #8
    sxtb16 r11, r11
    .endif
    /* r11 and r12 hold two channels each; who reads them takes a half. */
    pkhbt lr, r8, r10, lsl #16
    strd lr, r12, [r5, #8]
    pkhtb lr, r9, r7, asr #16
    strd lr, r11, [r5, #16]
    pkhtb lr, r10, r8, asr #16
    strd lr, r12, [r5, #24]
    pkhbt lr, r7, r9, lsl #16
    strd lr, r11, [r5], #32
    cmp r5, r6
    bne 1b
    b .Lcolumns_done
    .endm

/* ---- a channel: r0-r4 weights, r5 bias, r6 multiplier, r7 rounding, r8 r9 a column, r10 r11 sums,
 * r12 column, lr end. The lowest row is in `half`, b or t, of its word. */
    .macro SCALE sum, form
    .if \form == FEDTINY_DEPTHWISE_LINE
    smmla \sum, \sum, r6, r7
    ssat \sum, #8, \sum, asr #FEDTINY_DEPTHWISE_FRACTION
    .else
    smmlar \sum, \sum, r6, \sum
    add \sum, \sum, \sum, asr #31
    smmlar \sum, \sum, r7, r8
    ssat \sum, #8, \sum
    .endif
    .endm

    .macro CHANNEL name, half, form
\name:
    ldr r12, [sp, #CALL_CHANNELS]
    ldm r12!, {r0-r7}
    str r12, [sp, #CALL_CHANNELS]
    ldrd r12, lr, [sp, #CALL_COLUMN]
    add r8, r12, #8
    add r9, lr, #8
    strd r8, r9, [sp, #CALL_COLUMN]
    ldr r9, [sp, #CALL_NEXT_OUT]
    add r8, r9, #1
    strd r8, r9, [sp, #CALL_NEXT_OUT]
    cmp r12, lr
    beq 3f
    ldr r8, [sp, #CALL_STEP]
    cmp r8, #FEDTINY_DEPTHWISE_COLUMN_BYTES
    bne 4f
2:  /* two outputs, four columns */
    ldrd r8, r9, [r12], #32
    smlad r10, r8, r0, r5
    smla\half\()b r10, r9, r3, r10
    ldrd r8, r9, [r12], #32
    smlad r10, r8, r1, r10
    smla\half\()t r10, r9, r3, r10
    smlad r11, r8, r0, r5
    smla\half\()b r11, r9, r3, r11
    ldrd r8, r9, [r12]
    smlad r10, r8, r2, r10
    smla\half\()b r10, r9, r4, r10
    smlad r11, r8, r1, r11
    smla\half\()t r11, r9, r3, r11
    ldrd r8, r9, [r12, #32]
    smlad r11, r8, r2, r11
    smla\half\()b r11, r9, r4, r11
    .if \form != FEDTINY_DEPTHWISE_LINE
    ldr r8, [sp, #CALL_ZERO_POINT]
    .endif
    SCALE r10, \form
    SCALE r11, \form
    ldrd r8, r9, [sp, #CALL_OUT]
    strb r10, [r8]
    strb r11, [r8, r9]
    add r8, r8, r9, lsl #1
    str r8, [sp, #CALL_OUT]
    cmp r12, lr
    bne 2b
3:
    ldr r8, [sp, #CALL_ODD]
    cmp r8, #0
    beq 5f
    add lr, r12, #FEDTINY_DEPTHWISE_COLUMN_BYTES
4:  /* one output */
    ldrd r8, r9, [r12]
    smlad r10, r8, r0, r5
    smla\half\()b r10, r9, r3, r10
    ldrd r8, r9, [r12, #32]
    smlad r10, r8, r1, r10
    smla\half\()t r10, r9, r3, r10
    ldrd r8, r9, [r12, #64]
    smlad r10, r8, r2, r10
    smla\half\()b r10, r9, r4, r10
    .if \form != FEDTINY_DEPTHWISE_LINE
    ldr r8, [sp, #CALL_ZERO_POINT]
    .endif
    SCALE r10, \form
    ldrd r8, r9, [sp, #CALL_OUT]
    strb r10, [r8]
    add r8, r8, r9
    str r8, [sp, #CALL_OUT]
    ldr r8, [sp, #CALL_STEP]
    add r12, r12, r8
    cmp r12, lr
    bne 4b
5:
    .endm

/* Two channels of one half. */
    .macro CHANNELS half, form
    mov r0, #2
    str r0, [sp, #FRAME_TURN]
    CHANNEL .Lchannel_\half\()_\form, \half, \form
    ldr r0, [sp, #FRAME_TURN]
    subs r0, r0, #1
    str r0, [sp, #FRAME_TURN]
    bne .Lchannel_\half\()_\form
    .endm

    .section .text.fedtiny_depthwise_3x3, "ax", %progbits
    .global fedtiny_depthwise_3x3
    .type fedtiny_depthwise_3x3, %function
    .thumb_func
    .balign 4
fedtiny_depthwise_3x3:
    push {r4-r11, lr}
    sub sp, #FRAME_BYTES
    ldm r0!, {r1-r12} /* the call, to where sp reaches it */
    stm sp, {r1-r12}
    ldm r0, {r1-r5}
    add r6, sp, #48
    stm r6, {r1-r5}

.Lgroup:
    ldrd r0, r1, [sp, #CALL_ROWS]
    ldr r2, [sp, #CALL_ROWS + 8]
    ldr r7, [sp, #CALL_PADDING]
    ldrd r5, r6, [sp, #CALL_INNER]
    ldr r4, [sp, #CALL_OUT + 4]
    mov r3, #0
    mov r8, r7
    mov r11, r7
    mov r12, r7
    cmp r5, r6
    beq .Lcolumns_done
    cmp r0, #0
    beq .Ltop
    cmp r2, #0
    beq .Lbottom
    COLUMNS 1, 1, 1
.Lbottom:
    cmp r1, #0
    beq .Lfirst
    COLUMNS 1, 1, 0
.Lfirst:
    mov r9, r7
    mov r10, r7
    COLUMNS 1, 0, 0
.Ltop:
    cmp r2, #0
    beq .Lmiddle
    cmp r1, #0
    beq .Llast
    COLUMNS 0, 1, 1
.Llast:
    mov r9, r7
    mov r10, r7
    COLUMNS 0, 0, 1
.Lmiddle:
    COLUMNS 0, 1, 0

.Lcolumns_done:
    cbz r0, 6f
    add r0, r0, #4
6:  cbz r1, 7f
    add r1, r1, #4
7:  cbz r2, 8f
    add r2, r2, #4
8:  strd r0, r1, [sp, #CALL_ROWS]
    str r2, [sp, #CALL_ROWS + 8]
    ldr r0, [sp, #CALL_FORM]
    cmp r0, #FEDTINY_DEPTHWISE_LINE
    bne .Lround
    CHANNELS b, FEDTINY_DEPTHWISE_LINE
    CHANNELS t, FEDTINY_DEPTHWISE_LINE
    b .Lnext
.Lround:
    CHANNELS b, FEDTINY_DEPTHWISE_ROUND
    CHANNELS t, FEDTINY_DEPTHWISE_ROUND
.Lnext:
    ldrd r0, r1, [sp, #CALL_COLUMN] /* back from four channels */
    sub r0, r0, #FEDTINY_DEPTHWISE_COLUMN_BYTES
    sub r1, r1, #FEDTINY_DEPTHWISE_COLUMN_BYTES
    strd r0, r1, [sp, #CALL_COLUMN]
    ldr r0, [sp, #CALL_GROUPS]
    subs r0, r0, #1
    str r0, [sp, #CALL_GROUPS]
    bne .Lgroup
    add sp, #FRAME_BYTES
    pop {r4-r11, pc}
    .size fedtiny_depthwise_3x3, . - fedtiny_depthwise_3x3

#endif
