/* The loops of fully_connected_mve.h. */
#include "src/fully_connected_mve.h"

#if FEDTINY_MVE
    .syntax unified
    .thumb

/* Registers: r0 r2 r4 r6 sums of four outputs, r1 the inputs from where the stream is, r5 all inputs,
 * r7 stream, r8 numbers of groups, r9 biases, r10 outputs, r11 how many are left, r12 the call. */

.macro group_wide how, sum
    ldrh r3, [r7], #2
    add r1, r1, r3
    vldrb.u8 q0, [r7], #16
    vldrb.u8 q1, [r7], #16
    vldrb.u8 q2, [r1, q0]
    \how \sum, q1, q2
.endm

.macro group_blocks how, sum
    vldrh.u32 q0, [r7], #8
    vldrb.u8 q1, [r7], #16
    vldrw.u32 q2, [r1, q0, uxtw #2]
    \how \sum, q1, q2
.endm

/* One output. */
.macro output kind, sum
    ldrh lr, [r8], #2
.ifc \kind, wide
    mov r1, r5
.endif
    group_\kind vmladav.s8, \sum
    wls lr, lr, 2f
1:
    group_\kind vmladava.s8, \sum
    le lr, 1b
2:
.endm

.macro four_sparse kind
    output \kind, r0
    output \kind, r2
    output \kind, r4
    output \kind, r6
.endm

.macro group_dense how
    vldrb.u8 q0, [r1], #16
    vldrb.u8 q1, [r7], #16
    \how r0, q0, q1
    vldrb.u8 q2, [r7], #16
    \how r2, q0, q2
    vldrb.u8 q1, [r7], #16
    \how r4, q0, q1
    vldrb.u8 q2, [r7], #16
    \how r6, q0, q2
.endm

.macro four_dense kind
    ldrh lr, [r8]
    mov r1, r5
    group_dense vmladav.s8
    wls lr, lr, 2f
1:
    group_dense vmladava.s8
    le lr, 1b
2:
.endm

.macro layer name, four, kind
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r12, lr}
    mov r12, r0
    ldrd r5, r7, [r12]
    ldrd r8, r9, [r12, #8]
    ldrd r10, r11, [r12, #16]
    mov r1, r5
3:
    \four \kind
    vmov q0[2], q0[0], r0, r4
    vmov q0[3], q0[1], r2, r6
    vldrw.u32 q1, [r9], #16
    ldrd r0, r2, [r12, #24]
    ldr r4, [r12, #32]
    vadd.i32 q0, q0, q1
    vqdmulh.s32 q0, q0, r0
    vadd.i32 q0, q0, r2
    vshl.s32 q0, r4
    vqmovnb.s32 q0, q0
    vqmovnb.s16 q0, q0
    vctp.32 r11
    mov r3, r10
    vpst
    vstrbt.32 q0, [r3]
    adds r10, r10, #4
    subs r11, r11, #4
    bgt 3b
    pop {r4-r12, pc}
    .size \name, . - \name
.endm

    layer fedtiny_fully_connected_wide, four_sparse, wide
    layer fedtiny_fully_connected_blocks, four_sparse, blocks
    layer fedtiny_fully_connected_dense_mve, four_dense,
#endif
