/* Start of a bare-metal Cortex-M program: vectors, the FPU, initialized data, faults. */
#include <stdint.h>

#include "firmware.h"

extern uint32_t __stack, __data_load, __data_start, __data_end, __bss_start, __bss_end;

void Reset_Handler(void);
void Fault_Handler(void);
__attribute__((weak)) void SysTick_Handler(void); /* where nothing counts with it */

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const union {
    uint32_t *stack;
    vector handler;
} vectors[16] = {
    [0] = {.stack = &__stack},        [1] = {.handler = Reset_Handler},
    [2] = {.handler = Fault_Handler}, [3] = {.handler = Fault_Handler},
    [4] = {.handler = Fault_Handler}, [5] = {.handler = Fault_Handler},
    [6] = {.handler = Fault_Handler}, [15] = {.handler = SysTick_Handler},
};

/* The seventh word of the frame that the processor stacked is the program counter. */
__attribute__((naked)) void Fault_Handler(void) {
    __asm__ volatile("mrs r0, msp\n"
                     "ldr r0, [r0, #24]\n"
                     "bl firmware_fault\n");
}

void Reset_Handler(void) {
    const uint32_t *from = &__data_load;
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: the FPU and vectors */
    __asm__ volatile("dsb\nisb");
#endif
    for (uint32_t *to = &__data_start; to < &__data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = &__bss_start; to < &__bss_end; to++) {
        *to = 0;
    }
    main();
    for (;;) {
    }
}
