/* Cycles of a Cortex-M: DWT's counter, which Cortex-M3 and larger cores have and QEMU does not
 * emulate, else SysTick, which counts the core's clock in 24 bits (and QEMU's counts instructions
 * only with -icount). Either is read in a few cycles; differences up to 2^24 - 1 cycles hold. */
#ifndef FEDTINY_CYCLE_COUNTER_H
#define FEDTINY_CYCLE_COUNTER_H

#include <stdint.h>

#define CYCLE_DEMCR         (*(volatile uint32_t *)0xE000EDFCu)
#define CYCLE_DWT_CTRL      (*(volatile uint32_t *)0xE0001000u)
#define CYCLE_DWT_CYCCNT    (*(volatile uint32_t *)0xE0001004u)
#define CYCLE_DWT_LAR       (*(volatile uint32_t *)0xE0001FB0u)
#define CYCLE_SYSTICK_CTRL  (*(volatile uint32_t *)0xE000E010u)
#define CYCLE_SYSTICK_LOAD  (*(volatile uint32_t *)0xE000E014u)
#define CYCLE_SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)

#define CYCLE_TRACE_ENABLE (1u << 24)
#define CYCLE_DWT_ABSENT   (1u << 25) /* NOCYCCNT */
#define CYCLE_SYSTICK_MASK 0xffffffu

/* Whether DWT counts. Armv6-M and Armv8-M Baseline have no such counter, and no address of it. */
static inline int cycle_counter_is_dwt(void) {
#if __ARM_ARCH_ISA_THUMB >= 2
    return (CYCLE_DWT_CTRL & (CYCLE_DWT_ABSENT | 1u)) == 1u;
#else
    return 0;
#endif
}

/* Starts the counters. SysTick is taken only where DWT cannot count. */
static inline void cycle_counter_start(void) {
#if __ARM_ARCH_ISA_THUMB >= 2
    CYCLE_DEMCR |= CYCLE_TRACE_ENABLE;
    CYCLE_DWT_LAR = 0xC5ACCE55u; /* Cortex-M7 locks it */
    CYCLE_DWT_CYCCNT = 0;
    CYCLE_DWT_CTRL |= 1u;
#endif
    if (!cycle_counter_is_dwt()) {
        CYCLE_SYSTICK_LOAD = CYCLE_SYSTICK_MASK;
        CYCLE_SYSTICK_VALUE = 0;
        CYCLE_SYSTICK_CTRL = 5; /* on, from the core's clock, without interrupts */
    }
}

static inline uint32_t cycle_counter(void) {
    return cycle_counter_is_dwt() ? CYCLE_DWT_CYCCNT : CYCLE_SYSTICK_MASK - CYCLE_SYSTICK_VALUE;
}

static inline uint32_t cycles_since(uint32_t before) {
    const uint32_t passed = cycle_counter() - before;
    return cycle_counter_is_dwt() ? passed : passed & CYCLE_SYSTICK_MASK;
}

#endif
