/* The loops of two pixels per 32-bit word (see lanes.h) for Cortex-M cores that have no more than
 * Thumb-1. At most 88 bytes of stack. The same in C: lanes.c. */
#include "src/lanes.h"

#if FEDTINY_LANES_THUMB == 1

    .syntax unified
    .thumb
    .text

/* In groups:
 * r0      stream, BIAS bytes before the next group, so that offsets of entries are constants
 * r1      address in the window     r2  weight     r3  a word of the window
 * r4-r6   sums of the group         r7  the group's third byte
 * In outputs:
 * r0      sum, then value           r1  scratch    r2  distance   r3  where to write
 * r4-r7   what SCALE needs
 * Always:
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
    .equ LEAST, 36
    .equ START, 40
    .equ LINK, 44
    .equ FRAME, 48
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

/* r3 is 0. The carry of the shift is the sign of the low half's sum, which it borrowed. */
    .macro FLUSH sum, total, high
    add \total, \sum
    asrs \sum, \sum, #16
    adcs \sum, \sum, r3
    add \high, \sum
    .endm

/* Most sums are scaled by a product of 16 x 16 bits. With e = right_less_1 + 1 and a = e - 6,
 *     from = LEAST << a, where LEAST = -(128 + zero point) * 2^7
 * sums below `from` give -128. Accumulators start at bias - from, so that the sum in r0 is
 * x' = x - from, and if x' >> a does not fit in 15 bits, then x saturates. Otherwise
 *     p = (x' >> a) * m + START',  m = multiplier >> 15,  START' = LEAST * m + START
 * is 2^22 times the specified value before its last rounding down, plus more than 0 and less than
 * 6 * 2^15: START holds the largest error downwards,
 *     of x' cut by a bits      2^16 * (1 - 2^-a)
 *     of the cut multiplier    2^15 + LEAST
 *     of the first rounding    2^15 * 2^-a
 * together at most 3 * 2^15 + LEAST; upwards there are LEAST, cut multiplier, and less than 3 * 2^15,
 * first rounding and the sign's correction. So p has the value in its upper ten bits unless the
 * lower 22 are below 6 * 2^15: those 5 % of sums are scaled exactly, and all where e < 6. */
    .equ MARGIN, 3
    .equ MARGIN_SHIFT, 26 /* 6 * 2^15 * 2^10 */

/* r4 is the record: r4 = a, r5 = m, r6 = START', r7 = the margin, r2 = distance. */
    .macro SCALES
    ldr r5, [r4, #4]
    lsrs r5, r5, #15
    ldr r6, [sp, #LEAST]
    muls r6, r5, r6
    ldr r2, [sp, #START]
    adds r6, r6, r2
    movs r7, #MARGIN
    lsls r7, r7, #MARGIN_SHIFT
    ldr r2, [sp, #DISTANCE]
    ldrb r4, [r4, #10]
    subs r4, #5
    bcs 1f
    movs r4, #0
    mvns r7, r4
1:
    .endm

    .macro SCALE at
    asrs r0, r0, r4
    lsrs r1, r0, #15
    bne .Lsaturate_\at
    muls r0, r5, r0
    adds r0, r0, r6
    lsls r1, r0, #10
    cmp r1, r7
    blo .Lexact_\at
    asrs r0, r0, #22
    sxtb r1, r0
    cmp r1, r0
    bne .Lsaturate_\at
.Lscaled_\at:
    .endm

    .macro LOW total, high
    mov r0, \total
    mov r1, \high
    lsls r1, r1, #16
    subs r0, r0, r1
    .endm

    .macro OUTPUT at, total, high
    LOW \total, \high
    SCALE \at\()_0
    strb r0, [r3]
    mov r0, \high
    SCALE \at\()_1
    strb r0, [r3, r2]
    .endm

/* r0 to -128 or 127 by its sign. */
    .macro SATURATE at
.Lsaturate_\at:
    lsrs r0, r0, #31
    adds r0, #127
    b .Lscaled_\at
    .endm

    .macro EXACT at
    mov r1, lr
    str r1, [sp, #LINK]
    bl fedtiny_lanes_exact
    b .Lscaled_\at
    .endm

    .macro EXACTS at, total, high
.Lexact_\at\()_0:
    LOW \total, \high
    EXACT \at\()_0
.Lexact_\at\()_1:
    mov r0, \high
    EXACT \at\()_1
    .endm

/* The sum in r0 to an int8, in a tile's frame. Restores lr and what SCALES sets.
 *     x = xh * 2^15 + xl,  m = mh * 2^16 + ml
 *     (x * m + 2^30) >> 31 = xh * mh + ((xl * mh + ((xh * ml + (xl * ml >> 15)) >> 1) + 2^14) >> 15) */
    .section .text.fedtiny_lanes_exact, "ax", %progbits
    .type fedtiny_lanes_exact, %function
    .thumb_func
    .balign 4
fedtiny_lanes_exact:
    ldr r1, [sp, #LEAST]
    lsls r1, r1, r4
    adds r0, r0, r1
    ldr r2, [sp, #RECORD]
    ldr r1, [r2, #4]
    uxth r2, r1
    lsrs r1, r1, #16
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
    adds r0, r0, r6
    ldr r4, [sp, #RECORD]
    ldrb r1, [r4, #10]
    ldr r2, [sp, #ZERO]
    lsls r2, r2, r1
    adds r0, r0, r2
    adds r1, #1
    asrs r0, r0, r1
    sxtb r1, r0
    cmp r1, r0
    beq 2f
    lsrs r0, r0, #31
    adds r0, #127
2:
    SCALES
    mov r1, lr
    push {r1}
    ldr r1, [sp, #LINK + 4]
    mov lr, r1
    pop {pc}
    .size fedtiny_lanes_exact, . - fedtiny_lanes_exact

    .macro NEXT_PIXEL
    ldr r1, [sp, #STRIDE]
    adds r3, r3, r1
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
    ldmia r0!, {r2-r6} /* END, PLAIN, STREAM, LEAST, START */
    subs r4, #BIAS
    stmia r1!, {r2-r6}

    ldr r4, [sp, #RECORD]
.Lchannel_\words:
    ldr r3, [r4]
    ldrb r2, [r4, #10]
    ldr r1, [sp, #LEAST]
    subs r2, #5
    bcc 1f
    lsls r1, r1, r2
1:
    subs r3, r3, r1
    lsls r1, r3, #16
    adds r1, r1, r3
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
    adds r0, r0, r3
    adr r2, .Ltable_\words
    ldrb r2, [r2, r3]
    add pc, r2
.Ljump_\words: /* pc is two bytes further */
    nop
.Lmore6_\words: MORE 6, \words
.Lmore5_\words: MORE 5, \words
.Lmore4_\words: MORE 4, \words
.Lmore3_\words: MORE 3, \words
.Lmore2_\words: MORE 2, \words
.Lmore1_\words: MORE 1, \words
.Lmore0_\words:
    movs r3, #0
    FLUSH r4, r8, r11
    FLUSH r5, r9, r12
    .if \words == 3
    FLUSH r6, r10, lr
    .endif
    lsrs r7, r7, #1
    bcc .Lgroup_\words
    b .Louts_\words
.Lmore7_\words: /* here, the group is in reach of a branch */
    MORE 7, \words
    b .Lmore6_\words
    .balign 4
.Ltable_\words: /* by the bytes of a group */
    .byte 0, 0
    .byte 0, .Lmore0_\words - .Ljump_\words - 2, 0, .Lmore1_\words - .Ljump_\words - 2
    .byte 0, .Lmore2_\words - .Ljump_\words - 2, 0, .Lmore3_\words - .Ljump_\words - 2
    .byte 0, .Lmore4_\words - .Ljump_\words - 2, 0, .Lmore5_\words - .Ljump_\words - 2
    .byte 0, .Lmore6_\words - .Ljump_\words - 2, 0, .Lmore7_\words - .Ljump_\words - 2

.Louts_\words:
    str r0, [sp, #STREAM]
    ldr r3, [sp, #PLAIN]
    cmp r3, #0
    beq .Lscaled_\words
    b .Lplain_\words
.Lscaled_\words:
    ldr r4, [sp, #RECORD]
    SCALES
    ldr r3, [sp, #OUT]
    adds r0, r3, #1
    str r0, [sp, #OUT]
    OUTPUT \words\()_0, r8, r11
    NEXT_PIXEL
    OUTPUT \words\()_1, r9, r12
    .if \words == 3
    NEXT_PIXEL
    OUTPUT \words\()_2, r10, lr
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

    SATURATE \words\()_0_0
    SATURATE \words\()_0_1
    SATURATE \words\()_1_0
    SATURATE \words\()_1_1
    .if \words == 3
    SATURATE 3_2_0
    SATURATE 3_2_1
    .endif
    EXACTS \words\()_0, r8, r11
    EXACTS \words\()_1, r9, r12
    .if \words == 3
    EXACTS 3_2, r10, lr
    .endif

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
