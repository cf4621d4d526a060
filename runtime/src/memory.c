/* The loops of memory.h. */
#include "memory.h"

#if FEDTINY_SHORT_MEMORY && defined(__ARM_FEATURE_MVE)

void fedtiny_copy(void *to, const void *from, size_t bytes) {
    __asm__ volatile("    wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n"
                     "    vldrb.u8 q0, [%[from]], #16\n"
                     "    vstrb.8 q0, [%[to]], #16\n"
                     "    letp lr, 1b\n"
                     "2:\n"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [bytes] "r"(bytes)
                     : "q0", "lr", "memory");
}

void fedtiny_fill(void *to, int8_t value, size_t bytes) {
    __asm__ volatile("    vdup.8 q0, %[value]\n"
                     "    wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n"
                     "    vstrb.8 q0, [%[to]], #16\n"
                     "    letp lr, 1b\n"
                     "2:\n"
                     : [to] "+r"(to)
                     : [value] "r"((int32_t)value), [bytes] "r"(bytes)
                     : "q0", "lr", "memory");
}

#elif FEDTINY_SHORT_MEMORY

/* Compilers would make calls of memcpy and memset of these loops. */
#define KEEP_LOOP() __asm__ volatile("")

typedef uint32_t __attribute__((may_alias)) word_t;

static int is_aligned(uintptr_t address) {
    return (address & (sizeof(word_t) - 1)) == 0;
}

void fedtiny_copy(void *to, const void *from, size_t bytes) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if (is_aligned((uintptr_t)to | (uintptr_t)from)) {
        for (; bytes >= sizeof(word_t); bytes -= sizeof(word_t)) {
            *(word_t *)(void *)out = *(const word_t *)(const void *)in;
            out += sizeof(word_t);
            in += sizeof(word_t);
            KEEP_LOOP();
        }
    }
    for (; bytes > 0; bytes--) {
        *out++ = *in++;
        KEEP_LOOP();
    }
}

void fedtiny_fill(void *to, int8_t value, size_t bytes) {
    uint8_t *out = to;
    const word_t word = (uint8_t)value * (word_t)0x01010101;
    if (is_aligned((uintptr_t)to)) {
        for (; bytes >= sizeof(word_t); bytes -= sizeof(word_t)) {
            *(word_t *)(void *)out = word;
            out += sizeof(word_t);
            KEEP_LOOP();
        }
    }
    for (; bytes > 0; bytes--) {
        *out++ = (uint8_t)value;
        KEEP_LOOP();
    }
}

#endif
