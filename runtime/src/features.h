/* What the core offers beyond what this is compiled for.
 *
 * Compiled for cores with dot products the answer is yes; on Linux the kernel is asked; a program
 * without an operating system cannot ask, so the answer is no. -DFEDTINY_DOTPROD=0 or =1 decides
 * it beforehand. */
#ifndef FEDTINY_FEATURES_H
#define FEDTINY_FEATURES_H

#if !defined(FEDTINY_DOTPROD) && defined(__ARM_FEATURE_DOTPROD)
#define FEDTINY_DOTPROD 1
#endif

#if !defined(FEDTINY_DOTPROD) && defined(__aarch64__) && defined(__linux__) && __STDC_HOSTED__
#include <sys/auxv.h>

static inline int fedtiny_has_dot_products(void) {
    const unsigned long asimddp = 1ul << 20; /* HWCAP_ASIMDDP */
    return (getauxval(AT_HWCAP) & asimddp) != 0;
}
#else
#ifndef FEDTINY_DOTPROD
#define FEDTINY_DOTPROD 0
#endif

static inline int fedtiny_has_dot_products(void) {
    return FEDTINY_DOTPROD;
}
#endif

#endif
