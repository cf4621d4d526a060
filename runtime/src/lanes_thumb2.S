/* The loops of two pixels per 32-bit word (see lanes.h) for Cortex-M cores with Thumb-2. At most 72
 * bytes of stack. The same in C: lanes.c. */
#include "src/lanes.h"

#if FEDTINY_LANES_THUMB >= 2

    .syntax unified
    .thumb
    .text

/* r0-r2  sums of high halves        r3-r5  totals            r6-r8  sums of the group
 * r9     2^15                       r10    stream            r11    address in the window
 * r12    weight                     lr     distance, then a word of the window */
    .equ OUT, 0
    .equ DISTANCE, 4
    .equ STRIDE, 8
    .equ ZERO, 12
    .equ WINDOW, 16
    .equ RECORD, 20
    .equ END, 24
    .equ PLAIN, 28
    .equ FRAME, 32

/* The next weight times the tile's words: 9 instructions for 6 products. In a group's first, \from is
 * r9, where sums begin. */
    .macro WEIGHT words, a, b, c
    ldrb lr, [r10], #1
    ldrsb r12, [r10], #1
    add r11, r11, lr, lsl #2
    ldr lr, [r11]
    mla r6, lr, r12, \a
    ldr lr, [r11, #4]
    mla r7, lr, r12, \b
    .if \words == 3
    ldr lr, [r11, #8]
    mla r8, lr, r12, \c
    .endif
    .endm

    .macro MORE words
    WEIGHT \words, r6, r7, r8
    .endm

/* Twice a sum in \x to an int8. r12 multiplier, r9 rounding, r8 shift, r6 r7 scratch. */
    .macro SCALE x
    smull r7, r6, \x, r12
    lsls r7, r7, #1
    adc r6, r6, r9
    add r6, r6, \x, asr #31
    asr r6, r6, r8
    ssat r6, #8, r6
    .endm

    .macro OUTPUT high, total
    sub \total, \total, \high, lsl #16
    lsl \total, \total, #1
    SCALE \total
    lsl \high, \high, #1
    strb r6, [r11]
    SCALE \high
    strb r6, [r11, lr]
    .endm

    .macro NEXT_PIXEL
    ldr r7, [sp, #STRIDE]
    add r11, r11, r7
    .endm

    .macro TILE name, words
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
    .balign 4
\name:
    push {r4-r11, lr}
    sub sp, #FRAME + 4 /* the stack stays aligned to 8 */
    ldm r0, {r1-r9}
    stm sp, {r1-r8}
    mov r10, r9

.Lchannel_\words:
    ldr r12, [sp, #RECORD]
    ldr r11, [sp, #WINDOW]
    mov r9, #0x8000
    ldr r0, [r12]
    ldrh lr, [r12, #8]
    add r3, r0, r0, lsl #16
    sub r3, r3, lr, lsl #15
    mov r1, r0
    mov r4, r3
    .if \words == 3
    mov r2, r0
    mov r5, r3
    .endif

.Lgroup_\words:
    WEIGHT \words, r9, r9, r9
    ldrb lr, [r10], #1
    lsrs lr, lr, #1 /* the carry, in a last group, stays until it ends */
    tbb [pc, lr]
.Ltable_\words: /* by the bytes of a group */
    .byte 0, 0
    .byte 0, (.Lmore0_\words - .Ltable_\words) / 2, 0, (.Lmore1_\words - .Ltable_\words) / 2
    .byte 0, (.Lmore2_\words - .Ltable_\words) / 2, 0, (.Lmore3_\words - .Ltable_\words) / 2
    .byte 0, (.Lmore4_\words - .Ltable_\words) / 2, 0, (.Lmore5_\words - .Ltable_\words) / 2
    .byte 0, (.Lmore6_\words - .Ltable_\words) / 2, 0, (.Lmore7_\words - .Ltable_\words) / 2
.Lmore7_\words: MORE \words
.Lmore6_\words: MORE \words
.Lmore5_\words: MORE \words
.Lmore4_\words: MORE \words
.Lmore3_\words: MORE \words
.Lmore2_\words: MORE \words
.Lmore1_\words: MORE \words
.Lmore0_\words:
    add r0, r0, r6, asr #16
    add r3, r3, r6
    add r1, r1, r7, asr #16
    add r4, r4, r7
    .if \words == 3
    add r2, r2, r8, asr #16
    add r5, r5, r8
    .endif
    bcc .Lgroup_\words

    ldr r7, [sp, #PLAIN]
    ldr r6, [sp, #RECORD]
    cmp r7, #0
    bne .Lplain_\words
    ldrb lr, [r6, #10]
    ldr r12, [r6, #4]
    ldr r9, [sp, #ZERO]
    ldr r11, [sp, #OUT]
    add r8, lr, #1
    lsl r9, r9, lr
    add r7, r11, #1
    ldr lr, [sp, #DISTANCE]
    str r7, [sp, #OUT]
    add r6, r6, #FEDTINY_LANES_RECORD
    str r6, [sp, #RECORD]
    OUTPUT r0, r3
    NEXT_PIXEL
    OUTPUT r1, r4
    .if \words == 3
    NEXT_PIXEL
    OUTPUT r2, r5
    .endif
.Lnext_\words:
    ldr r6, [sp, #RECORD]
    ldr r7, [sp, #END]
    cmp r6, r7
    bne .Lchannel_\words
    add sp, #FRAME + 4
    pop {r4-r11, pc}

.Lplain_\words:
    add r6, r6, #FEDTINY_LANES_RECORD
    str r6, [sp, #RECORD]
    ldr r11, [sp, #OUT]
    sub r3, r3, r0, lsl #16
    sub r4, r4, r1, lsl #16
    strd r3, r0, [r11], #8
    strd r4, r1, [r11], #8
    .if \words == 3
    sub r5, r5, r2, lsl #16
    strd r5, r2, [r11], #8
    .endif
    str r11, [sp, #OUT]
    b .Lnext_\words
    .size \name, . - \name
    .endm

    TILE fedtiny_lanes_tile2, 2
    TILE fedtiny_lanes_tile3, 3

/* ---- void fedtiny_lanes_pack(const fedtiny_pairs_pack_call *) -----------------------------------
 *
 * r4 rewind  r5 skip_a  r6 skip_b  r7 columns  r8 channels  r9 plane  r10 word to write  r11 a
 * r12 b      lr 3 * plane          r0 channels that are left          r1, r2 pixels */
    .macro PACK offset:vararg
    ldrsb r1, [r11], #1
    ldrsb r2, [r12], #1
    add r1, r1, r2, lsl #16
    str r1, [r10, \offset]
    .endm

    .section .text.fedtiny_lanes_pack, "ax", %progbits
    .global fedtiny_lanes_pack
    .type fedtiny_lanes_pack, %function
    .thumb_func
    .balign 4
fedtiny_lanes_pack:
    push {r4-r11, lr}
    ldr r12, [r0, #32]
    ldm r0, {r4-r11}
    add lr, r9, r9, lsl #1
.Lcolumn:
    subs r0, r8, #4
    blt .Ltail
.Lfour:
    PACK #0
    PACK r9
    PACK r9, lsl #1
    PACK lr
    add r10, r10, r9, lsl #2
    subs r0, r0, #4
    bge .Lfour
.Ltail:
    adds r0, r0, #4
    beq .Lnext
.Lone:
    PACK #0
    add r10, r10, r9
    subs r0, r0, #1
    bne .Lone
.Lnext:
    add r10, r10, r4
    add r11, r11, r5
    add r12, r12, r6
    subs r7, r7, #1
    bne .Lcolumn
    pop {r4-r11, pc}
    .size fedtiny_lanes_pack, . - fedtiny_lanes_pack

#endif
