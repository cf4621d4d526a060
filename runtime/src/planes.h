/* Padded channel planes: what convolutions on them share, for elements of 1 or 4 bytes. */
#ifndef FEDTINY_PLANES_H
#define FEDTINY_PLANES_H

#include <stddef.h>
#include <stdint.h>

/* Where planes, their parts and padding lie, in elements. */
typedef struct {
    size_t in_c, in_plane, in_pitch, in_rows;
    size_t stride_h, stride_w;
    size_t parts_h, parts_w; /* of an input plane in scratch; 0: taps read the input itself */
    size_t rows;             /* of a part */
    size_t part;             /* from part to part */
    size_t compact;          /* where outputs without padding go in scratch; 0: none do */
    size_t out_c, out_h, out_w;
    size_t out_lead, out_plane, out_tail;
} fedtiny_planes;

/* The fields of a parameter struct that has them under the same names. */
#define FEDTINY_PLANES(p)                                                                          \
    {(p)->in_c,    (p)->in_plane, (p)->in_pitch, (p)->in_rows,   (p)->stride_h, (p)->stride_w,     \
     (p)->parts_h, (p)->parts_w,  (p)->rows,     (p)->part,      (p)->compact,  (p)->out_c,        \
     (p)->out_h,   (p)->out_w,    (p)->out_lead, (p)->out_plane, (p)->out_tail}

/* The same of a conversion, which has an output only. */
#define FEDTINY_OUT_PLANES(p)                                                                      \
    {.out_c = (p)->channels,                                                                       \
     .out_h = (p)->height,                                                                         \
     .out_w = (p)->width,                                                                          \
     .out_lead = (p)->lead,                                                                        \
     .out_plane = (p)->plane,                                                                      \
     .out_tail = (p)->tail}

/* What a convolution computes on: pixels in a row, neighbours in the output as in the input. */
typedef struct {
    const void *in; /* what tap 0 of output pixel 0 reads */
    void *out;      /* pixel 0 of plane 0 */
    size_t plane;   /* elements from output plane to output plane */
    size_t pixels;  /* of an output plane, padding between its rows included where it has some */
} fedtiny_planes_run;

/* Prepares the input: where taps do not read it directly, scratch becomes (in_c, parts_h, parts_w,
 * part). `in`: what tap 0 of output pixel 0 reads in it. */
fedtiny_planes_run fedtiny_planes_begin(const fedtiny_planes *p, const void *in, void *scratch,
                                        void *out, size_t element_bytes);

/* Puts outputs in their place and fills everything of `out` that is no pixel. `value`: of an
 * element, in every byte. */
void fedtiny_planes_end(const fedtiny_planes *p, const fedtiny_planes_run *run, void *out,
                        uint32_t value, size_t element_bytes);

/* Planes, and everything around them, from rows of interleaved channels. */
void fedtiny_planes_from_pixels(const fedtiny_planes *p, const void *pixels, void *out,
                                uint32_t value, size_t element_bytes);

#endif
