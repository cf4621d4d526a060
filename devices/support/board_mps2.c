/* Arm MPS2 and MPS3 boards as QEMU emulates them: CMSDK UART 0 and SysTick. BOARD_UART and
 * BOARD_CLOCK_HZ come from the target's description. */
#include "firmware.h"

typedef struct {
    volatile uint32_t data, state, control, interrupt, divisor;
} cmsdk_uart;

typedef struct {
    volatile uint32_t control, reload, value;
} systick_timer;

#define UART    ((cmsdk_uart *)BOARD_UART)
#define SYSTICK ((systick_timer *)0xE000E010u)

enum { TX_FULL = 1, RX_FULL = 2, SYSTICK_RELOAD = 0xffffff, PAINT_BYTES = 65536 };

#define PAINT 0xa5c3965au

extern uint32_t __stack, __bss_end;

static volatile uint32_t wraps;
static uint64_t reading, hidden; /* ticks that reading the counter takes, and has taken */
static uint32_t *painted_from, *painted_to;

void SysTick_Handler(void);

void SysTick_Handler(void) {
    wraps++;
}

static void begin_period(void) {
    SYSTICK->value = 0;
    while (SYSTICK->value == 0) {
        /* the reload happens at the first tick */
    }
}

void board_init(void) {
    UART->divisor = 16;
    UART->control = 3; /* transmit and receive */
    SYSTICK->reload = SYSTICK_RELOAD;
    SYSTICK->control = 7; /* on, with interrupt, from the core's clock */
    begin_period();
    const uint64_t first = board_ticks();
    reading = board_ticks() - first;
}

int board_getc(void) {
    while ((UART->state & RX_FULL) == 0) {
    }
    return (int)(UART->data & 0xff);
}

void board_putc(uint8_t byte) {
    while ((UART->state & TX_FULL) != 0) {
    }
    UART->data = byte;
}

void board_flush(void) {
}

/* Never inlined: reading it takes as long everywhere as board_init found. */
__attribute__((noinline)) uint64_t board_ticks(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = SYSTICK_RELOAD - SYSTICK->value;
    } while (high != wraps);
    const uint64_t ticks = (uint64_t)high * (SYSTICK_RELOAD + 1u) + low - hidden;
    hidden += reading;
    return ticks;
}

uint32_t board_ticks_hz(void) {
    return BOARD_CLOCK_HZ;
}

void board_stack_paint(void) {
    uint32_t *const free_from = &__bss_end;
    uint32_t *word = __builtin_frame_address(0);
    begin_period(); /* or an inference is interrupted, which takes stack, in one run but not in
                       another */
    painted_to = word;
    word -= 8; /* this function's own frame */
    painted_from = word - free_from > PAINT_BYTES / 4 ? word - PAINT_BYTES / 4 : free_from;
    while (word > painted_from) {
        *--word = PAINT;
    }
}

uint32_t board_stack_bytes(void) {
    const uint32_t *word = painted_from;
    while (word < painted_to && *word == PAINT) {
        word++;
    }
    return (uint32_t)((const uint8_t *)painted_to - (const uint8_t *)word);
}
