/* The firmware as a program of this machine: the byte stream is standard input and output. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 199309L
#endif
#include "firmware.h"

#include <stdio.h>
#include <time.h>
#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#endif

void board_init(void) {
#if defined(_WIN32)
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
}

int board_getc(void) {
    return getchar();
}

void board_putc(uint8_t byte) {
    putchar(byte);
}

void board_flush(void) {
    fflush(stdout);
}

uint64_t board_ticks(void) {
    struct timespec now;
#if defined(_WIN32)
    timespec_get(&now, TIME_UTC);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t board_ticks_hz(void) {
    return 1000000000u;
}

void board_stack_paint(void) {
}

uint32_t board_stack_bytes(void) {
    return BOARD_UNKNOWN;
}
