#include "library/kernels.h"

#include "fedtiny/library.h"
#include "library/kernel_list.h"
#include "src/features.h"

#include <string.h>

/* Where the compiler's baseline is not what the kernels are best on, they are compiled twice. */
#if defined(FEDTINY_LIBRARY_AVX2)
#define DECLARE(name, params, words, dot)                                                          \
    fedtiny_status fedtiny_##name##_avx2(const fedtiny_call *call);
FEDTINY_VECTOR_KERNEL_LIST(DECLARE)
#define VECTORS(name) fedtiny_##name##_avx2
#else
#define VECTORS(name) fedtiny_##name
#endif

#define SCALAR_ROW(name, params, words, dot)                                                       \
    {#name, fedtiny_##name, fedtiny_##name, sizeof(fedtiny_##params##_params), words, dot},
#define VECTOR_ROW(name, params, words, dot)                                                       \
    {#name, fedtiny_##name, VECTORS(name), sizeof(fedtiny_##params##_params), words, dot},

static const fedtiny_library_kernel table[] = {FEDTINY_SCALAR_KERNEL_LIST(SCALAR_ROW)
                                                   FEDTINY_VECTOR_KERNEL_LIST(VECTOR_ROW)};

const fedtiny_library_kernel *fedtiny_library_find(const char *name) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(name, table[i].name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

int fedtiny_library_has_vectors(void) {
#if defined(FEDTINY_LIBRARY_AVX2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

int fedtiny_library_runs(const fedtiny_library_kernel *kernel) {
#if defined(__aarch64__)
    return !kernel->needs_dot || fedtiny_has_dot_products();
#else
    (void)kernel;
    return 1;
#endif
}

const char *fedtiny_vectors(void) {
#if defined(FEDTINY_LIBRARY_AVX2)
    return fedtiny_library_has_vectors() ? "avx2" : "c";
#elif defined(__aarch64__)
    return fedtiny_has_dot_products() ? "neon+dotprod" : "neon";
#else
    return "c";
#endif
}
