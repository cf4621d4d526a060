/* The kernels of the library by name, for the processor that runs it. */
#ifndef FEDTINY_LIBRARY_KERNELS_H
#define FEDTINY_LIBRARY_KERNELS_H

#include "fedtiny/fedtiny.h"

typedef struct {
    const char *name;
    fedtiny_kernel portable;
    fedtiny_kernel vectors; /* for what fedtiny_vectors() names; may be `portable` */
    uint32_t params_bytes;
    uint32_t offset_words; /* bit i: word i of the parameter struct is an offset into constants */
    int needs_dot;         /* on AArch64, dot products */
} fedtiny_library_kernel;

/* NULL where there is none of that name. */
const fedtiny_library_kernel *fedtiny_library_find(const char *name);

/* Whether this processor has the instructions that a kernel cannot do without. */
int fedtiny_library_runs(const fedtiny_library_kernel *kernel);

/* Whether this processor runs the vector variants. */
int fedtiny_library_has_vectors(void);

#endif
