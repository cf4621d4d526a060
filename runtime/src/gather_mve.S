/* The loops of gather.h for cores with Helium. */
#include "src/gather.h"

#if FEDTINY_MVE
    .syntax unified
    .thumb

/* Registers: r0 r2 r4 r6 sums of the four pixels, r1 r3 r5 r8 their patches, r7 stream (low,
 * as widening loads want it), r9 channels, r10 fours left, r11 zero point, q7 where the last outputs
 * went. */

.macro products how
    vldrb.u8 q2, [r1, q0]
    \how r0, q1, q2
    vldrb.u8 q3, [r3, q0]
    \how r2, q1, q3
    vldrb.u8 q2, [r5, q0]
    \how r4, q1, q2
    vldrb.u8 q3, [r8, q0]
    \how r6, q1, q3
.endm

.macro group_narrow how
    vldrb.u8 q0, [r7], #16
    vldrb.u8 q1, [r7], #16
    products \how
.endm

.macro group_wide how
    ldrh r12, [r7], #2
    add r1, r1, r12
    add r3, r3, r12
    add r5, r5, r12
    add r8, r8, r12
    group_narrow \how
.endm

.macro group_blocks how
    vldrh.u32 q0, [r7], #8
    vldrb.u8 q1, [r7], #16
    vldrw.u32 q2, [r1, q0, uxtw #2]
    \how r0, q1, q2
    vldrw.u32 q3, [r3, q0, uxtw #2]
    \how r2, q1, q3
    vldrw.u32 q2, [r5, q0, uxtw #2]
    \how r4, q1, q2
    vldrw.u32 q3, [r8, q0, uxtw #2]
    \how r6, q1, q3
.endm

.macro group_dense how
    vldrb.u8 q1, [r7], #16
    vldrb.u8 q2, [r1], #16
    \how r0, q1, q2
    vldrb.u8 q3, [r3], #16
    \how r2, q1, q3
    vldrb.u8 q2, [r5], #16
    \how r4, q1, q2
    vldrb.u8 q3, [r8], #16
    \how r6, q1, q3
.endm

/* One channel's four outputs, without zero point, as int32 into \to. */
.macro channel kind, moves, relu, to
    ldrh lr, [r9, #8]
.if \moves
    ldrd r1, r3, [sp]
    ldrd r5, r8, [sp, #8]
.endif
    group_\kind vmladav.s8
    wls lr, lr, 2f
1:
    group_\kind vmladava.s8
    le lr, 1b
2:
    vmov \to[2], \to[0], r0, r4
    vmov \to[3], \to[1], r2, r6
    ldrd r0, r2, [r9], #12
    ldrsb r4, [r9, #-2]
    vadd.i32 \to, \to, r0
    vqrdmulh.s32 \to, \to, r2
.if \relu == 0
    vshr.s32 q1, \to, #31
    vadd.i32 \to, \to, q1
.endif
    vrshl.s32 \to, r4
.endm

.macro tile name, kind, moves, relu
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r12, lr}
    vpush {d8-d15}
    vldrw.u32 q0, [r0]
    sub sp, sp, #16
    vstrw.32 q0, [sp]
    ldrd r7, r9, [r0, #32]
    ldrd r10, r11, [r0, #40]
    vldrw.u32 q7, [r0, #16]
    movs r4, #4
    vsub.i32 q7, q7, r4
    ldrd r1, r3, [sp]
    ldrd r5, r8, [sp, #8]
3:
    channel \kind, \moves, \relu, q4
    channel \kind, \moves, \relu, q5
    channel \kind, \moves, \relu, q6
    channel \kind, \moves, \relu, q0
    vqmovnb.s32 q4, q4
    vqmovnt.s32 q4, q6
    vqmovnb.s32 q5, q5
    vqmovnt.s32 q5, q0
    vqadd.s16 q4, q4, r11
    vqadd.s16 q5, q5, r11
    vqmovnb.s16 q4, q4
    vqmovnt.s16 q4, q5
    vstrw.32 q4, [q7, #4]!
    subs r10, r10, #1
    bne 3b
    add sp, sp, #16
    vpop {d8-d15}
    pop {r4-r12, pc}
    .size \name, . - \name
.endm

    tile fedtiny_gather_narrow, narrow, 0, 0
    tile fedtiny_gather_narrow_relu, narrow, 0, 1
    tile fedtiny_gather_wide, wide, 1, 0
    tile fedtiny_gather_wide_relu, wide, 1, 1
    tile fedtiny_gather_blocks, blocks, 0, 0
    tile fedtiny_gather_blocks_relu, blocks, 0, 1
    tile fedtiny_gather_dense, dense, 1, 0
    tile fedtiny_gather_dense_relu, dense, 1, 1

    .section .text.fedtiny_gather_columns, "ax", %progbits
    .balign 4
    .global fedtiny_gather_columns
    .type fedtiny_gather_columns, %function
    .thumb_func
fedtiny_gather_columns:
    push {r4, r5, r7, lr}
    ldrd r4, r5, [sp, #16]
    cmp r3, #16
    bne 2f
    dls lr, r2
1:
    vldrb.u8 q0, [r1]
    add r1, r1, r5
    vstrb.8 q0, [r0]
    add r0, r0, r4
    le lr, 1b
    pop {r4, r5, r7, pc}
2:
    vctp.8 r3
    dls lr, r2
3:
    vpstt
    vldrbt.u8 q0, [r1]
    vstrbt.8 q0, [r0]
    add r1, r1, r5
    add r0, r0, r4
    le lr, 3b
    pop {r4, r5, r7, pc}
    .size fedtiny_gather_columns, . - fedtiny_gather_columns
#endif
