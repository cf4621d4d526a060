/* Copying and filling. Cortex-M programs do with short loops what a C library does with long ones;
 * elsewhere it is the library's. */
#ifndef FEDTINY_MEMORY_H
#define FEDTINY_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FEDTINY_SHORT_MEMORY 1

void fedtiny_copy(void *to, const void *from, size_t bytes);
void fedtiny_fill(void *to, int8_t value, size_t bytes);

#else
#define FEDTINY_SHORT_MEMORY 0
#include <string.h>

static inline void fedtiny_copy(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
}

static inline void fedtiny_fill(void *to, int8_t value, size_t bytes) {
    memset(to, value, bytes);
}

#endif

#endif
