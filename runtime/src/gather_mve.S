/* The loops of gather.h for cores with Helium. */
#include "src/gather.h"

#if FEDTINY_MVE
    .syntax unified
    .thumb

/* Registers: r0 r2 r4 r6 sums of the four pixels, r1 r3 r5 r8 their patches, r7 stream (low,
 * as widening loads want it), r9 channels, r10 fours left, r11 zero point, q7 where the last outputs
 * went. On the stack: patches and outputs of the tile, where its description lies, tiles left. */

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

/* The sums, scaled and without zero point, as int32 into \to. */
.macro scale relu, to
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

/* One channel's four outputs. */
.macro channel kind, relu, to
    ldrh lr, [r9, #8]
.ifnc \kind, narrow
.ifnc \kind, blocks
    ldrd r1, r3, [sp]
    ldrd r5, r8, [sp, #8]
.endif
.endif
    group_\kind vmladav.s8
    wls lr, lr, 2f
1:
    group_\kind vmladava.s8
    le lr, 1b
2:
    scale \relu, \to
.endm

/* The same of a depthwise convolution: q0 says where the channel's columns are, r12 is 4. */
.macro depthwise_channel kind, relu, to
    vldrb.u8 q1, [r7], #16
    vldrw.u32 q2, [r1, q0]
    vmladav.s8 r0, q1, q2
    vldrw.u32 q3, [r3, q0]
    vmladav.s8 r2, q1, q3
    vldrw.u32 q2, [r5, q0]
    vmladav.s8 r4, q1, q2
    vldrw.u32 q3, [r8, q0]
    vmladav.s8 r6, q1, q3
    vadd.i32 q0, q0, r12
    scale \relu, \to
.endm

.macro tile name, of, kind, relu, last
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r12, lr}
    vpush {d8-d15}
    sub sp, sp, #40
    vldrw.u32 q0, [r0]
    vldrw.u32 q7, [r0, #16]
    ldrd r11, r12, [r0, #44]
    strd r0, r12, [sp, #32]
    mov r12, #4
    vsub.i32 q7, q7, r12
4:
    vstrw.32 q0, [sp]
    vstrw.32 q7, [sp, #16]
    ldrd r7, r9, [r0, #32]
    ldr r10, [r0, #40]
.ifc \of, depthwise_channel
    vldrw.u32 q0, [r0, #60]
.endif
    ldrd r1, r3, [sp]
    ldrd r5, r8, [sp, #8]
3:
    \of \kind, \relu, q4
    \of \kind, \relu, q5
    \of \kind, \relu, q6
    \of \kind, \relu, \last
    vqmovnb.s32 q4, q4
    vqmovnt.s32 q4, q6
    vqmovnb.s32 q5, q5
    vqmovnt.s32 q5, \last
    vqadd.s16 q4, q4, r11
    vqadd.s16 q5, q5, r11
    vqmovnb.s16 q4, q4
    vqmovnt.s16 q4, q5
    vstrw.32 q4, [q7, #4]!
    subs r10, r10, #1
    bne 3b
    ldrd r0, r2, [sp, #32]
    ldrd r4, r6, [r0, #52]
    vldrw.u32 q0, [sp]
    vldrw.u32 q7, [sp, #16]
    vadd.i32 q0, q0, r4
    vadd.i32 q7, q7, r6
    subs r2, r2, #1
    str r2, [sp, #36]
    bne 4b
    add sp, sp, #40
    vpop {d8-d15}
    pop {r4-r12, pc}
    .size \name, . - \name
.endm

    tile fedtiny_gather_narrow, channel, narrow, 0, q0
    tile fedtiny_gather_narrow_relu, channel, narrow, 1, q0
    tile fedtiny_gather_wide, channel, wide, 0, q0
    tile fedtiny_gather_wide_relu, channel, wide, 1, q0
    tile fedtiny_gather_blocks, channel, blocks, 0, q0
    tile fedtiny_gather_blocks_relu, channel, blocks, 1, q0
    tile fedtiny_gather_dense, channel, dense, 0, q0
    tile fedtiny_gather_dense_relu, channel, dense, 1, q0
    tile fedtiny_gather_depthwise, depthwise_channel, , 0, q3
    tile fedtiny_gather_depthwise_relu, depthwise_channel, , 1, q3

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

    .section .text.fedtiny_gather_interleave, "ax", %progbits
    .balign 4
    .global fedtiny_gather_interleave
    .type fedtiny_gather_interleave, %function
    .thumb_func
fedtiny_gather_interleave:
    push {r4-r7, lr}
    ldrd r4, r5, [r1, #12]
    ldr r6, [r1, #20]
    ldrd r7, r3, [r1, #4]
    ldr r1, [r1]
    wlstp.8 lr, r2, 2f
1:
    vldrb.u8 q0, [r1]
    add r1, r1, r4
    vldrb.u8 q1, [r7]
    add r7, r7, r5
    vldrb.u8 q2, [r3]
    add r3, r3, r6
    vst40.8 {q0, q1, q2, q3}, [r0]
    vst41.8 {q0, q1, q2, q3}, [r0]
    vst42.8 {q0, q1, q2, q3}, [r0]
    vst43.8 {q0, q1, q2, q3}, [r0]!
    letp lr, 1b
2:
    pop {r4-r7, pc}
    .size fedtiny_gather_interleave, . - fedtiny_gather_interleave
#endif
