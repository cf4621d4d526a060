/* The loops of two pixels per 32-bit word (see lanes.h) for Cortex-M cores that have no more than
 * Thumb-1. At most 96 bytes of stack. The same in C: lanes.c. */
#include "src/lanes.h"

#if FEDTINY_LANES_THUMB == 1

    .syntax unified
    .thumb
    .text

/* r0      stream, BIAS bytes before the next group, so that offsets of entries are constants
 * r1      address in the window     r2  weight     r3  a word of the window
 * r4-r6   sums of the group         r7  the group's third byte
 * r8-r10  totals                    r11, r12, lr   sums of high halves */
    .equ OUT, 0
    .equ DISTANCE, 4
    .equ STRIDE, 8
    .equ ZERO, 12
    .equ WINDOW, 16
    .equ RECORD, 20
    .equ END, 24
    .equ PLAIN, 28
    .equ STREAM, 32
    .equ THRESHOLD, 36
    .equ ZERO_POINT, 40
    .equ ROUNDING, 44
    .equ RIGHT, 48
    .equ FRAME, 52
    .equ BIAS, 14

    .macro WEIGHT at
    ldrb r3, [r0, #\at]
    lsls r3, r3, #2
    adds r1, r1, r3
    ldrb r2, [r0, #\at + 1]
    sxtb r2, r2
    .endm

/* The entry before the group's last \left - 1: 14 instructions for 6 products. */
    .macro MORE left, words
    WEIGHT BIAS - 2 * \left
    ldr r3, [r1]
    muls r3, r2, r3
    adds r4, r4, r3
    ldr r3, [r1, #4]
    muls r3, r2, r3
    adds r5, r5, r3
    .if \words == 3
    ldr r3, [r1, #8]
    muls r3, r2, r3
    adds r6, r6, r3
    .endif
    .endm

/* r3 is 2^15. */
    .macro FLUSH sum, total, high
    adds \sum, \sum, r3
    add \total, \sum
    asrs \sum, \sum, #16
    add \high, \sum
    .endm

/* The sum in r0 to an int8. r1 and r2 are the multiplier's high and low half, r4-r7 scratch.
 *     x = xh * 2^15 + xl,  m = mh * 2^16 + ml
 *     (x * m + 2^30) >> 31 = xh * mh + ((xl * mh + ((xh * ml + (xl * ml >> 15)) >> 1) + 2^14) >> 15) */
    .macro SCALE
    ldr r4, [sp, #THRESHOLD]
    cmp r0, r4
    ble 2f
    asrs r4, r0, #15
    lsls r5, r0, #17
    lsrs r5, r5, #17
    mov r6, r5
    muls r6, r2, r6
    lsrs r6, r6, #15
    mov r7, r4
    muls r7, r2, r7
    adds r6, r6, r7
    asrs r6, r6, #1
    muls r5, r1, r5
    adds r6, r6, r5
    asrs r6, r6, #15 /* the carry is the half that rounds up */
    muls r4, r1, r4
    adcs r6, r6, r4
    asrs r0, r0, #31
    adds r6, r6, r0
    ldr r4, [sp, #ROUNDING]
    adds r6, r6, r4
    ldr r4, [sp, #RIGHT]
    asrs r6, r6, r4
    sxtb r0, r6
    cmp r0, r6
    beq 1f
    asrs r0, r6, #31
    movs r4, #127
    eors r0, r0, r4
    b 1f
2:
    ldr r0, [sp, #ZERO_POINT]
1:
    .endm

    .macro OUTPUT total, high
    mov r0, \total
    mov r4, \high
    lsls r4, r4, #16
    subs r0, r0, r4
    SCALE
    strb r0, [r3]
    mov r0, \high
    SCALE
    ldr r4, [sp, #DISTANCE]
    strb r0, [r3, r4]
    .endm

    .macro NEXT_PIXEL
    ldr r4, [sp, #STRIDE]
    adds r3, r3, r4
    .endm

    .macro SUM total, high
    mov r1, \total
    mov r2, \high
    lsls r4, r2, #16
    subs r1, r1, r4
    stmia r3!, {r1, r2}
    .endm

    .macro TILE name, words
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
    .balign 4
\name:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, #FRAME
    mov r1, sp
    ldmia r0!, {r2-r7}
    stmia r1!, {r2-r7}
    ldmia r0!, {r2-r6}
    subs r4, #BIAS
    stmia r1!, {r2-r6}

.Lchannel_\words:
    ldr r7, [sp, #RECORD]
    ldr r3, [r7]
    ldrh r2, [r7, #8]
    lsls r1, r3, #16
    adds r1, r1, r3
    lsls r2, r2, #15
    subs r1, r1, r2
    mov r8, r1
    mov r9, r1
    mov r11, r3
    mov r12, r3
    .if \words == 3
    mov r10, r1
    mov lr, r3
    .endif
    ldr r0, [sp, #STREAM]
    ldr r1, [sp, #WINDOW]

.Lgroup_\words:
    WEIGHT BIAS
    ldrb r7, [r0, #BIAS + 2]
    ldr r4, [r1]
    muls r4, r2, r4
    ldr r5, [r1, #4]
    muls r5, r2, r5
    .if \words == 3
    ldr r6, [r1, #8]
    muls r6, r2, r6
    .endif
    lsrs r3, r7, #1
    lsls r2, r3, #1
    adds r0, r0, r2
    adds r0, #3
    adr r2, .Ltable_\words
    ldrb r2, [r2, r3]
    add pc, r2
.Ljump_\words: /* pc is two bytes further */
    .balign 4
.Ltable_\words:
    .byte .Lmore0_\words - .Ljump_\words - 2, .Lmore1_\words - .Ljump_\words - 2
    .byte .Lmore2_\words - .Ljump_\words - 2, .Lmore3_\words - .Ljump_\words - 2
    .byte .Lmore4_\words - .Ljump_\words - 2, .Lmore5_\words - .Ljump_\words - 2
    .byte .Lmore6_\words - .Ljump_\words - 2, .Lmore7_\words - .Ljump_\words - 2
.Lmore7_\words: MORE 7, \words
.Lmore6_\words: MORE 6, \words
.Lmore5_\words: MORE 5, \words
.Lmore4_\words: MORE 4, \words
.Lmore3_\words: MORE 3, \words
.Lmore2_\words: MORE 2, \words
.Lmore1_\words: MORE 1, \words
.Lmore0_\words:
    movs r3, #128
    lsls r3, r3, #8
    FLUSH r4, r8, r11
    FLUSH r5, r9, r12
    .if \words == 3
    FLUSH r6, r10, lr
    .endif
    lsrs r7, r7, #1
    bcs .Louts_\words
    b .Lgroup_\words

.Louts_\words:
    str r0, [sp, #STREAM]
    ldr r4, [sp, #RECORD]
    ldr r3, [sp, #PLAIN]
    cmp r3, #0
    beq .Lscaled_\words
    b .Lplain_\words
.Lscaled_\words:
    ldr r1, [r4, #4]
    ldrb r5, [r4, #10]
    ldr r6, [sp, #ZERO]
    lsls r6, r6, r5
    str r6, [sp, #ROUNDING]
    adds r5, #1
    str r5, [sp, #RIGHT]
    ldr r3, [sp, #OUT]
    adds r4, r3, #1
    str r4, [sp, #OUT]
    uxth r2, r1
    lsrs r1, r1, #16
    OUTPUT r8, r11
    NEXT_PIXEL
    OUTPUT r9, r12
    .if \words == 3
    NEXT_PIXEL
    OUTPUT r10, lr
    .endif
.Lnext_\words:
    ldr r4, [sp, #RECORD]
    adds r4, #FEDTINY_LANES_RECORD
    str r4, [sp, #RECORD]
    ldr r5, [sp, #END]
    cmp r4, r5
    beq .Lend_\words
    b .Lchannel_\words
.Lend_\words:
    add sp, #FRAME
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}

.Lplain_\words:
    ldr r3, [sp, #OUT]
    SUM r8, r11
    SUM r9, r12
    .if \words == 3
    SUM r10, lr
    .endif
    str r3, [sp, #OUT]
    b .Lnext_\words
    .size \name, . - \name
    .endm

    TILE fedtiny_lanes_tile2, 2
    TILE fedtiny_lanes_tile3, 3

/* ---- void fedtiny_lanes_pack(const fedtiny_pairs_pack_call *) -----------------------------------
 *
 * r0 word to write  r1 a  r2 b  r3 plane   r4 channel  r5, r6 pixels     r7 where channels end
 * r8 rewind  r9 columns   r10 channels, rounded down to 4    r11 channels
 * r12, lr  bytes from a pixel to the next */
    .macro PACK
    ldrsb r5, [r1, r4]
    ldrsb r6, [r2, r4]
    lsls r6, r6, #16
    adds r5, r5, r6
    str r5, [r0]
    adds r0, r0, r3
    adds r4, #1
    .endm

    .section .text.fedtiny_lanes_pack, "ax", %progbits
    .global fedtiny_lanes_pack
    .type fedtiny_lanes_pack, %function
    .thumb_func
    .balign 4
fedtiny_lanes_pack:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    ldmia r0!, {r3-r7} /* rewind, skip_a, skip_b, columns, channels */
    mov r8, r3
    mov r9, r6
    mov r11, r7
    adds r4, r4, r7
    mov r12, r4
    adds r5, r5, r7
    mov lr, r5
    lsrs r7, r7, #2
    lsls r7, r7, #2
    mov r10, r7
    ldmia r0!, {r3, r4}
    ldr r1, [r0]
    ldr r2, [r0, #4]
    mov r0, r4
.Lcolumn:
    movs r4, #0
    mov r7, r10
    cmp r4, r7
    beq .Ltail
.Lfour:
    PACK
    PACK
    PACK
    PACK
    cmp r4, r7
    bne .Lfour
.Ltail:
    mov r7, r11
    cmp r4, r7
    beq .Lnext
.Lone:
    PACK
    cmp r4, r7
    bne .Lone
.Lnext:
    add r0, r8
    add r1, r12
    add r2, lr
    mov r4, r9
    subs r4, #1
    mov r9, r4
    bne .Lcolumn
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size fedtiny_lanes_pack, . - fedtiny_lanes_pack

#endif
