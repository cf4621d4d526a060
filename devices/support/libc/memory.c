/* memcpy and its kin for AArch64 programs without a C library: eight bytes a step. Compilers call
 * these functions on their own account too. */
#include <stddef.h>
#include <stdint.h>

typedef uint64_t __attribute__((may_alias, aligned(1))) word;

/* gcc would otherwise turn the loops below into calls of the functions they implement. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

void *memcpy(void *restrict destination, const void *restrict source, size_t bytes) {
    uint8_t *to = destination;
    const uint8_t *from = source;
    for (; bytes >= sizeof(word); bytes -= sizeof(word)) {
        *(word *)(void *)to = *(const word *)(const void *)from;
        to += sizeof(word);
        from += sizeof(word);
    }
    while (bytes-- > 0) {
        *to++ = *from++;
    }
    return destination;
}

void *memmove(void *destination, const void *source, size_t bytes) {
    uint8_t *to = destination;
    const uint8_t *from = source;
    if ((uintptr_t)to - (uintptr_t)from >= bytes) {
        return memcpy(destination, source, bytes);
    }
    while (bytes-- > 0) {
        to[bytes] = from[bytes];
    }
    return destination;
}

void *memset(void *destination, int value, size_t bytes) {
    uint8_t *to = destination;
    const word pattern = (uint8_t)value * UINT64_C(0x0101010101010101);
    for (; bytes >= sizeof(word); bytes -= sizeof(word)) {
        *(word *)(void *)to = pattern;
        to += sizeof(word);
    }
    while (bytes-- > 0) {
        *to++ = (uint8_t)value;
    }
    return destination;
}

int memcmp(const void *left, const void *right, size_t bytes) {
    const uint8_t *a = left;
    const uint8_t *b = right;
    for (; bytes > 0; bytes--, a++, b++) {
        if (*a != *b) {
            return *a - *b;
        }
    }
    return 0;
}
