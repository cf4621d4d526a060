/* A row gathered from memory where neighbours of the row lie apart, or on one another. */
#ifndef FEDTINY_STRIDED_H
#define FEDTINY_STRIDED_H

#include "kernel.h"

static inline void fedtiny_gather_s8(const fedtiny_strided_params *p, const int8_t *plane,
                                     int8_t *out) {
    for (uint32_t x = 0; x < p->pixels; x++, plane += p->pixel_stride) {
        const int8_t *in = plane;
        for (uint32_t i = 0; i < p->channels; i++, in += p->channel_stride) {
            *out++ = *in;
        }
    }
}

static inline void fedtiny_gather_f32(const fedtiny_strided_params *p, const float *plane,
                                      float *out) {
    for (uint32_t x = 0; x < p->pixels; x++, plane += p->pixel_stride) {
        const float *in = plane;
        for (uint32_t i = 0; i < p->channels; i++, in += p->channel_stride) {
            *out++ = *in;
        }
    }
}

#endif
