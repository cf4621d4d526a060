/* The loops of the two-pixel scheme (see pairs.h) for Cortex-M cores with the DSP extension.
 * All follow the AAPCS; at most 76 bytes of stack. The same in C: pairs_plain.c. */
#include "src/pairs.h"

#if FEDTINY_PAIRS_DSP

    .syntax unified
    .thumb
    .text

/* ---- void fedtiny_pairs_tile(const fedtiny_pairs_tile_call *), fedtiny_pairs_tile3 ----------------------------------
 *
 * r0:r1 r2:r3 r4:r5 r6:r7  accumulators of the tile's four words
 * r8 r9                    two words of the window; then factor and divisor
 * r10                      weight; then zero point
 * r11                      address in the window; then in the output
 * r12                      stream
 * lr                       passes that are left; then distance
 */
    .equ FRAME_OUT, 8 /* after 1 and the zero point */
    .equ FRAME_STRIDE, 16
    .equ FRAME_WINDOW, 20
    .equ FRAME_FORM, 24
    .equ FRAME_GROUP, 28
    .equ FRAME_DENSE, 32 /* bytes of a dense record's weights */
    .equ FRAME_END, 36   /* of a dense record's weights */
    .equ FRAME_BYTES, 40

/* The weight in r10 times the tile's words, from `offset` bytes after r11 on. */
    .macro MULTIPLY offset, words
    ldrd r8, r9, [r11, #\offset]
    smlal r0, r1, r8, r10
    smlal r2, r3, r9, r10
    .if \words == 4
    ldrd r8, r9, [r11, #\offset + 8]
    smlal r4, r5, r8, r10
    smlal r6, r7, r9, r10
    .else
    ldr r8, [r11, #\offset + 8]
    smlal r4, r5, r8, r10
    .endif
    .endm

/* One weight: 9 instructions for 8 products. */
    .macro WEIGHT load, bytes, words
    \load r8, [r12], #\bytes
    ldrsb r10, [r12], #1
    add r11, r11, r8, lsl #2
    MULTIPLY 0, \words
    .endm

/* Two weights, whose distances in groups share a byte: 20 instructions for 16 products. */
    .macro NIBBLES words
    ldrb r8, [r12], #1
    ldrsb r10, [r12], #1
    and r8, r8, #15
    mla r11, r8, lr, r11
    MULTIPLY 0, \words
    ldrb r8, [r12, #-2]
    ldrsb r10, [r12], #1
    lsr r8, r8, #4
    mla r11, r8, lr, r11
    MULTIPLY 0, \words
    .endm

/* The next three weights at neighbouring words: 22 instructions for 24 products. */
    .macro GROUP3 words
    ldrsb r10, [r12], #1
    MULTIPLY 0, \words
    ldrsb r10, [r12], #1
    MULTIPLY 4, \words
    ldrsb r10, [r12], #1
    MULTIPLY 8, \words
    add r11, r11, lr
    .endm

    .macro GROUP2 words
    ldrsb r10, [r12], #1
    MULTIPLY 0, \words
    ldrsb r10, [r12], #1
    MULTIPLY 4, \words
    add r11, r11, lr
    .endm

    .macro GROUP1 words
    ldrsb r10, [r12], #1
    MULTIPLY 0, \words
    add r11, r11, lr
    .endm

/* Passes over dense groups, and over pairs of entries, are counted by the stream's address, as lr holds
 * the distance of groups. */
    .macro DENSE into
    ldr r8, [sp, #FRAME_DENSE]
    COUNTED \into
    .endm

    .macro PAIRS into
    add r8, lr, lr, lsl #1
    COUNTED \into
    .endm

    .macro COUNTED into /* r8 bytes */
    ldr lr, [sp, #FRAME_GROUP]
    add r8, r8, r12
    str r8, [sp, #FRAME_END]
    b \into
    .endm

    .macro AGAIN first
    ldr r8, [sp, #FRAME_END]
    cmp r12, r8
    bne \first
    ldr pc, [sp, #FRAME_FORM]
    .endm

/* Sign-extends the low lane into \low and the rest into \high. The high lane has lost 1 to a
 * negative low lane. */
    .macro SEPARATE low, high
    lsl \high, \high, #8
    orr \high, \high, \low, lsr #24
    sbfx \low, \low, #0, #24
    add \high, \high, \low, lsr #31
    .endm

/* Sums to int8. The first SMMLAR is SaturatingRoundingDoublingHighMul: factor is
 * 2 * multiplier - 2^32, so that the sum itself is the addend. The second divides by
 * 2^s = 2^32 / divisor, rounding halves upwards, and adds the zero point; one less than a negative
 * number rounds its halves away from zero, as RoundingDivideByPOT does. */
    .macro SCALE_ONE sum, signed
    smmlar \sum, \sum, r8, \sum
    .if \signed
    add \sum, \sum, \sum, asr #31
    .endif
    smmlar \sum, \sum, r9, r10
    ssat \sum, #8, \sum
    .endm

    .macro SCALE low, high, signed
    SEPARATE \low, \high
    SCALE_ONE \low, \signed
    SCALE_ONE \high, \signed
    .endm

/* The outputs of one channel. r11 is one past the low lane's pixel; lr is distance - 1. */
    .macro OUTPUTS signed, words
    ldrb r8, [r12], #1
    ldm sp, {r9, r10, r11, lr}
    lsl r9, r9, r8 /* 0 from 32 on */
    ldr r8, [r12], #4
    SCALE r0, r1, \signed
    strb r0, [r11], #1
    strb r1, [r11, lr]
    str r11, [sp, #FRAME_OUT] /* where the next channel starts */
    ldr r0, [sp, #FRAME_STRIDE]
    SCALE r2, r3, \signed
    add r11, r11, r0
    strb r2, [r11, #-1]
    strb r3, [r11, lr]
    add r11, r11, r0
    .if \words == 4 || FEDTINY_PART_PAIRS3_EVEN
    SCALE r4, r5, \signed
    strb r4, [r11, #-1]
    .else /* the low lane repeats the first word's high lane */
    SEPARATE r4, r5
    SCALE_ONE r5, \signed
    .endif
    strb r5, [r11, lr]
    .if \words == 4
    SCALE r6, r7, \signed
    add r11, r11, r0
    strb r6, [r11, #-1]
    strb r7, [r11, lr]
    .endif
    b .Lrecord_\words
    .endm

/* Labels of entries that the model does not have: they end the tile like its last record. */
    .macro ABSENT name, count
    .irp skip, 0, 1, 2, 3, 4, 5, 6, 7
    .if \skip < \count
\name\skip:
    .endif
    .endr
    .endm

/* The whole loop, for tiles of 4 words, and of 3 for images 5 or 6 pixels wide. The other arguments
 * say which kinds of records the model has (fedtiny/parts.h). */
    .macro TILE name, words, narrow, wide, nibble, dense1, dense2, dense3, relu, signed, plain
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
    .balign 4
\name:
    push {r4-r11, lr}
    sub sp, #FRAME_BYTES
    ldm r0, {r1-r9}
    mov r12, r9
    adr r0, .Lforms_\words
    ldr r6, [r0, r6, lsl #2]
    add r6, r6, r0 /* the form's code, as an offset because code may move */
    mov r0, #1
    stm sp, {r0-r8}

.Lrecord_\words:
    ldr r0, [r12], #4
    ldrsh r1, [r12], #2
    ldrb lr, [r12], #1
    ldrb r8, [r12], #1
    ldr r11, [sp, #FRAME_WINDOW]
    mov r2, r0
    mov r3, r1
    mov r4, r0
    mov r5, r1
    .if \words == 4
    mov r6, r0
    mov r7, r1
    .endif
    tbh [pc, r8, lsl #1]
.Lentries_\words:
    .hword (.Lnarrow_\words\()_0 - .Lentries_\words) / 2, (.Lnarrow_\words\()_1 - .Lentries_\words) / 2
    .hword (.Lnarrow_\words\()_2 - .Lentries_\words) / 2, (.Lnarrow_\words\()_3 - .Lentries_\words) / 2
    .hword (.Lnarrow_\words\()_4 - .Lentries_\words) / 2, (.Lnarrow_\words\()_5 - .Lentries_\words) / 2
    .hword (.Lnarrow_\words\()_6 - .Lentries_\words) / 2, (.Lnarrow_\words\()_7 - .Lentries_\words) / 2
    .hword (.Lwide_\words\()_0 - .Lentries_\words) / 2, (.Lwide_\words\()_1 - .Lentries_\words) / 2
    .hword (.Lwide_\words\()_2 - .Lentries_\words) / 2, (.Lwide_\words\()_3 - .Lentries_\words) / 2
    .hword (.Lwide_\words\()_4 - .Lentries_\words) / 2, (.Lwide_\words\()_5 - .Lentries_\words) / 2
    .hword (.Lwide_\words\()_6 - .Lentries_\words) / 2, (.Lwide_\words\()_7 - .Lentries_\words) / 2
    .hword (.Lempty_\words - .Lentries_\words) / 2, (.Lend_\words - .Lentries_\words) / 2
    .if \dense1 || \dense2 || \dense3 || \nibble
    .hword (.Lend_\words - .Lentries_\words) / 2, (.Lend_\words - .Lentries_\words) / 2
    .hword (.Lthree_\words\()_0 - .Lentries_\words) / 2, (.Lthree_\words\()_1 - .Lentries_\words) / 2
    .hword (.Lthree_\words\()_2 - .Lentries_\words) / 2, (.Lthree_\words\()_3 - .Lentries_\words) / 2
    .endif
    .if \dense1 || \dense2 || \nibble /* kinds have places whether they are there or not */
    .hword (.Lone_\words\()_0 - .Lentries_\words) / 2, (.Lone_\words\()_1 - .Lentries_\words) / 2
    .hword (.Lone_\words\()_2 - .Lentries_\words) / 2, (.Lone_\words\()_3 - .Lentries_\words) / 2
    .hword (.Lone_\words\()_4 - .Lentries_\words) / 2, (.Lone_\words\()_5 - .Lentries_\words) / 2
    .hword (.Lone_\words\()_6 - .Lentries_\words) / 2, (.Lone_\words\()_7 - .Lentries_\words) / 2
    .endif
    .if \dense2 || \nibble
    .hword (.Ltwo_\words\()_0 - .Lentries_\words) / 2, (.Ltwo_\words\()_1 - .Lentries_\words) / 2
    .hword (.Ltwo_\words\()_2 - .Lentries_\words) / 2, (.Ltwo_\words\()_3 - .Lentries_\words) / 2
    .endif
    .if \nibble
    .hword (.Lnibble_\words\()_0 - .Lentries_\words) / 2, (.Lnibble_\words\()_1 - .Lentries_\words) / 2
    .hword (.Lnibble_\words\()_2 - .Lentries_\words) / 2, (.Lnibble_\words\()_3 - .Lentries_\words) / 2
    .endif
    .balign 4
.Lforms_\words:
    .word .Lrelu_\words - .Lforms_\words + 1, .Lsigned_\words - .Lforms_\words + 1, .Lplain_\words - .Lforms_\words + 1

    .if \narrow
.Lnarrow_\words\()_0: WEIGHT ldrb, 1, \words
.Lnarrow_\words\()_1: WEIGHT ldrb, 1, \words
.Lnarrow_\words\()_2: WEIGHT ldrb, 1, \words
.Lnarrow_\words\()_3: WEIGHT ldrb, 1, \words
.Lnarrow_\words\()_4: WEIGHT ldrb, 1, \words
.Lnarrow_\words\()_5: WEIGHT ldrb, 1, \words
.Lnarrow_\words\()_6: WEIGHT ldrb, 1, \words
.Lnarrow_\words\()_7: WEIGHT ldrb, 1, \words
    subs lr, lr, #1
    bne .Lnarrow_\words\()_0
    .endif
.Lempty_\words:
    ldr pc, [sp, #FRAME_FORM]

    .if \wide
.Lwide_\words\()_0: WEIGHT ldrh, 2, \words
.Lwide_\words\()_1: WEIGHT ldrh, 2, \words
.Lwide_\words\()_2: WEIGHT ldrh, 2, \words
.Lwide_\words\()_3: WEIGHT ldrh, 2, \words
.Lwide_\words\()_4: WEIGHT ldrh, 2, \words
.Lwide_\words\()_5: WEIGHT ldrh, 2, \words
.Lwide_\words\()_6: WEIGHT ldrh, 2, \words
.Lwide_\words\()_7: WEIGHT ldrh, 2, \words
    subs lr, lr, #1
    bne .Lwide_\words\()_0
    ldr pc, [sp, #FRAME_FORM]
    .endif

    .if \nibble
.Lnibble_\words\()_0: PAIRS .Lnibbles0_\words
.Lnibble_\words\()_1: PAIRS .Lnibbles1_\words
.Lnibble_\words\()_2: PAIRS .Lnibbles2_\words
.Lnibble_\words\()_3: PAIRS .Lnibbles3_\words
.Lnibbles0_\words: NIBBLES \words
.Lnibbles1_\words: NIBBLES \words
.Lnibbles2_\words: NIBBLES \words
.Lnibbles3_\words: NIBBLES \words
    AGAIN .Lnibbles0_\words
    .endif

    .if \dense3
.Lthree_\words\()_0: DENSE .Lgroup0_\words
.Lthree_\words\()_1: DENSE .Lgroup1_\words
.Lthree_\words\()_2: DENSE .Lgroup2_\words
.Lthree_\words\()_3: DENSE .Lgroup3_\words
.Lgroup0_\words: GROUP3 \words
.Lgroup1_\words: GROUP3 \words
.Lgroup2_\words: GROUP3 \words
.Lgroup3_\words: GROUP3 \words
    AGAIN .Lgroup0_\words
    .endif

    .if \dense2
.Ltwo_\words\()_0: DENSE .Lpair0_\words
.Ltwo_\words\()_1: DENSE .Lpair1_\words
.Ltwo_\words\()_2: DENSE .Lpair2_\words
.Ltwo_\words\()_3: DENSE .Lpair3_\words
.Lpair0_\words: GROUP2 \words
.Lpair1_\words: GROUP2 \words
.Lpair2_\words: GROUP2 \words
.Lpair3_\words: GROUP2 \words
    AGAIN .Lpair0_\words
    .endif

    .if \dense1
.Lone_\words\()_0: DENSE .Lsingle0_\words
.Lone_\words\()_1: DENSE .Lsingle1_\words
.Lone_\words\()_2: DENSE .Lsingle2_\words
.Lone_\words\()_3: DENSE .Lsingle3_\words
.Lone_\words\()_4: DENSE .Lsingle4_\words
.Lone_\words\()_5: DENSE .Lsingle5_\words
.Lone_\words\()_6: DENSE .Lsingle6_\words
.Lone_\words\()_7: DENSE .Lsingle7_\words
.Lsingle0_\words: GROUP1 \words
.Lsingle1_\words: GROUP1 \words
.Lsingle2_\words: GROUP1 \words
.Lsingle3_\words: GROUP1 \words
.Lsingle4_\words: GROUP1 \words
.Lsingle5_\words: GROUP1 \words
.Lsingle6_\words: GROUP1 \words
.Lsingle7_\words: GROUP1 \words
    AGAIN .Lsingle0_\words
    .endif

    .if \relu
.Lrelu_\words:
    OUTPUTS 0, \words
    .endif
    .if \signed
.Lsigned_\words:
    OUTPUTS 1, \words
    .endif
    .if \plain
.Lplain_\words:
    ldr r11, [sp, #FRAME_OUT]
    add r12, r12, #12
    SEPARATE r0, r1
    SEPARATE r2, r3
    SEPARATE r4, r5
    .if \words == 4
    SEPARATE r6, r7
    .endif
    stm r11!, {r0-r7}
    str r11, [sp, #FRAME_OUT]
    b .Lrecord_\words
    .endif

    .if !\narrow
    ABSENT .Lnarrow_\words\()_, 8
    .endif
    .if !\wide
    ABSENT .Lwide_\words\()_, 8
    .endif
    .if !\nibble
    ABSENT .Lnibble_\words\()_, 4
    .endif
    .if !\dense1
    ABSENT .Lone_\words\()_, 8
    .endif
    .if !\dense2
    ABSENT .Ltwo_\words\()_, 4
    .endif
    .if !\dense3
    ABSENT .Lthree_\words\()_, 4
    .endif
    .if !\relu
.Lrelu_\words:
    .endif
    .if !\signed
.Lsigned_\words:
    .endif
    .if !\plain
.Lplain_\words:
    .endif
.Lend_\words:
    add sp, #FRAME_BYTES
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

#if FEDTINY_PAIRS_TILE4
    TILE fedtiny_pairs_tile, 4, FEDTINY_PART_PAIRS4_NARROW, FEDTINY_PART_PAIRS4_WIDE, FEDTINY_PART_PAIRS4_NIBBLE, FEDTINY_PART_PAIRS4_DENSE1, FEDTINY_PART_PAIRS4_DENSE2, FEDTINY_PART_PAIRS4_DENSE3, FEDTINY_PART_PAIRS4_RELU, FEDTINY_PART_PAIRS4_SIGNED, FEDTINY_PART_PAIRS4_PLAIN
#endif
#if FEDTINY_PAIRS_TILE3
    TILE fedtiny_pairs_tile3, 3, FEDTINY_PART_PAIRS3_NARROW, FEDTINY_PART_PAIRS3_WIDE, FEDTINY_PART_PAIRS3_NIBBLE, FEDTINY_PART_PAIRS3_DENSE1, FEDTINY_PART_PAIRS3_DENSE2, FEDTINY_PART_PAIRS3_DENSE3, FEDTINY_PART_PAIRS3_RELU, FEDTINY_PART_PAIRS3_SIGNED, FEDTINY_PART_PAIRS3_PLAIN
#endif

/* ---- void fedtiny_pairs_pack(const fedtiny_pairs_pack_call *) ----------------------------------
 *
 * r0 word to write   r1 a   r2 b   r3 plane   r4 3 * plane
 * r5 0x00800080      r6 0xff00ff00            r7-r12 pixels and words   lr channels that are left
 */
    .equ PACK_COLUMNS, 12

/* Four channels: the bytes of \a go to the low ends, those of \b to the high ends of four words. */
    .macro PACK a, b
    sxtab16 r10, r5, \a          /* 0, a2 + 128, 0, a0 + 128 (high byte first) */
    sxtab16 \a, r5, \a, ror #8   /* 0, a3 + 128, 0, a1 + 128 */
    and r11, r6, \b, lsl #8      /* b2, 0, b0, 0 */
    and \b, \b, r6               /* b3, 0, b1, 0 */
    pkhbt r12, r10, r11, lsl #16
    str r12, [r0]
    pkhbt r12, \a, \b, lsl #16
    str r12, [r0, r3]
    pkhtb r10, r11, r10, asr #16
    str r10, [r0, r3, lsl #1]
    pkhtb \a, \b, \a, asr #16
    str \a, [r0, r4]
    add r0, r0, r3, lsl #2
    .endm

    .section .text.fedtiny_pairs_pack, "ax", %progbits
    .global fedtiny_pairs_pack
    .type fedtiny_pairs_pack, %function
    .thumb_func
    .balign 4
fedtiny_pairs_pack:
    push {r4-r11, lr}
    sub sp, #20
    ldm r0!, {r4-r8} /* rewind, skip_a, skip_b, columns, channels */
    stm sp, {r4-r8}
    ldm r0, {r3, r4, r5, r6} /* plane, to, a, b */
    mov r0, r4
    mov r1, r5
    mov r2, r6
    add r4, r3, r3, lsl #1
    mov r5, #0x00800080
    mov r6, #0xff00ff00
    mov lr, r8
    tst lr, #3
    bne .Lodd

.Laligned: /* pixels are whole words, and aligned as rows are */
    subs lr, lr, #8
    blt .Lfour
.Leight:
    ldrd r7, r8, [r1], #8
    ldr r9, [r2], #4
    PACK r7, r9
    ldr r9, [r2], #4
    PACK r8, r9
    subs lr, lr, #8
    bge .Leight
.Lfour:
    tst lr, #4
    beq .Lnext
    ldr r7, [r1], #4
    ldr r9, [r2], #4
    PACK r7, r9
.Lnext:
    ldm sp, {r7, r8, r9, r10, lr} /* as stored above */
    add r0, r0, r7
    add r1, r1, r8
    add r2, r2, r9
    subs r10, r10, #1
    str r10, [sp, #PACK_COLUMNS]
    bne .Laligned
    b .Lpacked

.Lodd: /* byte by byte */
    ldrsb r7, [r1], #1
    ldrb r8, [r2], #1
    add r7, r7, #128
    orr r7, r7, r8, lsl #24
    str r7, [r0]
    add r0, r0, r3
    subs lr, lr, #1
    bne .Lodd
    ldm sp, {r7, r8, r9, r10, lr}
    add r0, r0, r7
    add r1, r1, r8
    add r2, r2, r9
    subs r10, r10, #1
    str r10, [sp, #PACK_COLUMNS]
    bne .Lodd
.Lpacked:
    add sp, #20
    pop {r4-r11, pc}
    .size fedtiny_pairs_pack, . - fedtiny_pairs_pack

#endif
