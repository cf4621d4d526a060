/* What a board provides to the firmware. A port to a new board is these functions and nothing else;
 * the protocol is documented in PROTOCOL.md. */
#ifndef FEDTINY_FIRMWARE_H
#define FEDTINY_FIRMWARE_H

#include <stdint.h>

#define BOARD_UNKNOWN 0xffffffffu

/* Clocks, the byte stream and the counter. */
void board_init(void);

/* The next byte of the host; waits for it. Negative when the stream has ended for good. */
int board_getc(void);

void board_putc(uint8_t byte);

/* A reply is complete. */
void board_flush(void);

/* A counter that never goes back, and how often it counts in a second. */
uint64_t board_ticks(void);
uint32_t board_ticks_hz(void);

/* Fills the free stack with a pattern; then, how much of it was used since. BOARD_UNKNOWN where the
 * stack cannot be observed. */
void board_stack_paint(void);
uint32_t board_stack_bytes(void);

/* For the board's fault handler: tells the host where the program died, and never returns. */
void firmware_fault(uint32_t address);

int main(void);

#endif
