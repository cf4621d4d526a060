/* Parts of input planes, padding, and planes from interleaved channels: vectors of 16 bytes,
 * whatever an element is. */
#include "src/planes.h"
#include "src/simd_bytes.h"

/* One phase row of every `stride`: to[phase * distance + i] = from[i * stride + phase]. */
static void split_slowly(uint8_t *to, size_t distance, const uint8_t *from, size_t count,
                         size_t stride, size_t phases, size_t element_bytes) {
    for (size_t phase = 0; phase < phases; phase++) {
        for (size_t i = 0; i < count; i++) {
            fedtiny_bytes_copy_element(to + phase * distance + i * element_bytes,
                                       from + (i * stride + phase) * element_bytes, element_bytes);
        }
    }
}

/* The same for a stride of 2, several rows. Up to a vector more than a row is written. */
FEDTINY_INLINE void split_pairs(uint8_t *to, size_t distance, size_t row, const uint8_t *from,
                                size_t from_row, size_t rows, int phases, size_t element_bytes) {
    for (; rows > 0; rows--, to += row, from += from_row) {
        const uint8_t *x = from;
        for (uint8_t *at = to, *const end = to + row; at < end; at += FEDTINY_BYTES) {
            fedtiny_bytes even, odd;
            fedtiny_bytes_split(x, &even, &odd, element_bytes);
            fedtiny_bytes_store(at, even);
            if (phases == 2) {
                fedtiny_bytes_store(at + distance, odd);
            }
            x += 2 * FEDTINY_BYTES;
        }
    }
}

FEDTINY_INLINE void split(const fedtiny_planes *p, const uint8_t *in, uint8_t *to,
                          size_t element_bytes) {
    const size_t pitch = p->out_w + 1, row = pitch * element_bytes;
    const size_t size = p->part * element_bytes, in_row = p->in_pitch * element_bytes;
    for (size_t c = 0; c < p->in_c; c++, in += p->in_plane * element_bytes) {
        for (size_t top = 0; top < p->parts_h; top++, to += p->parts_w * size) {
            const size_t there = (p->in_rows + p->stride_h - 1 - top) / p->stride_h;
            const size_t rows = p->rows < there ? p->rows : there;
            const uint8_t *from = in + top * in_row;
            if (p->stride_w == 2 && p->parts_w == 2) {
                split_pairs(to, size, row, from, p->stride_h * in_row, rows, 2, element_bytes);
            } else if (p->stride_w == 2) {
                split_pairs(to, size, row, from, p->stride_h * in_row, rows, 1, element_bytes);
            } else {
                for (size_t r = 0; r < rows; r++) {
                    split_slowly(to + r * row, size, from + r * p->stride_h * in_row, pitch,
                                 p->stride_w, p->parts_w, element_bytes);
                }
            }
        }
    }
}

/* One row of `bytes` bytes, a constant for the compiler. */
FEDTINY_INLINE void copy_row(uint8_t *to, const uint8_t *from, size_t bytes) {
    __builtin_memcpy(to, from, bytes);
}

/* Every second element from `from` on. */
FEDTINY_INLINE void copy_even(uint8_t *to, const uint8_t *from, size_t bytes,
                              size_t element_bytes) {
    for (size_t done = 0; done < bytes; done += FEDTINY_BYTES) {
        fedtiny_bytes even, odd;
        fedtiny_bytes_split(from + 2 * done, &even, &odd, element_bytes);
        const size_t left = bytes - done;
        __builtin_memcpy(to + done, &even, left < FEDTINY_BYTES ? left : FEDTINY_BYTES);
    }
}

/* One part for every column of the window; rows have no padding. */
FEDTINY_INLINE void copy_columns(const fedtiny_planes *p, const uint8_t *in, uint8_t *to,
                                 size_t bytes, size_t element_bytes) {
    const size_t in_row = p->in_pitch * element_bytes, part = p->part * element_bytes;
    for (size_t c = 0; c < p->in_c; c++, in += p->in_plane * element_bytes) {
        for (size_t top = 0; top < p->parts_h; top++) {
            const size_t there = (p->in_rows + p->stride_h - 1 - top) / p->stride_h;
            const size_t rows = p->rows < there ? p->rows : there;
            for (size_t x = 0; x < p->parts_w; x++, to += part) {
                const uint8_t *from = in + top * in_row + x * element_bytes;
                uint8_t *at = to;
                if (p->stride_w == 1) {
                    for (size_t r = 0; r < rows; r++, at += bytes, from += p->stride_h * in_row) {
                        copy_row(at, from, bytes);
                    }
                } else if (p->stride_w == 2) {
                    for (size_t r = 0; r < rows; r++, at += bytes, from += p->stride_h * in_row) {
                        copy_even(at, from, bytes, element_bytes);
                    }
                } else {
                    for (size_t r = 0; r < rows; r++, at += bytes, from += p->stride_h * in_row) {
                        split_slowly(at, 0, from, p->out_w, p->stride_w, 1, element_bytes);
                    }
                }
            }
        }
    }
}

/* Rows without padding between them to those of a plane. */
FEDTINY_INLINE void spread(const fedtiny_planes *p, const uint8_t *from, size_t from_plane,
                           uint8_t *plane, size_t bytes, size_t element_bytes) {
    for (size_t c = 0; c < p->out_c; c++) {
        const uint8_t *row = from + c * from_plane;
        uint8_t *to = plane + c * p->out_plane * element_bytes;
        for (size_t r = 0; r < p->out_h; r++, row += bytes, to += bytes + element_bytes) {
            copy_row(to, row, bytes);
        }
    }
}

enum { COMPACT_MULTIPLE = 16 }; /* elements of a compact plane */

fedtiny_planes_run fedtiny_planes_begin(const fedtiny_planes *p, const void *in, void *scratch,
                                        void *out, size_t element_bytes) {
    const fedtiny_planes_run whole = {in, (uint8_t *)out + p->out_lead * element_bytes,
                                      p->out_plane, p->out_h * (p->out_w + 1)};
    fedtiny_planes_run run = whole;
    if (p->parts_h == 0) {
        return run;
    }
    run.in = scratch;
    if (p->compact == 0) {
        if (element_bytes == 1) {
            split(p, in, scratch, 1);
        } else {
            split(p, in, scratch, 4);
        }
        return run;
    }
    run.out = (uint8_t *)scratch + p->compact * element_bytes;
    run.pixels = p->out_h * p->out_w;
    run.plane = (run.pixels + COMPACT_MULTIPLE - 1) / COMPACT_MULTIPLE * COMPACT_MULTIPLE;
    if (element_bytes == 1 && p->out_w == 4) {
        copy_columns(p, in, scratch, 4, 1);
    } else if (element_bytes == 1) {
        copy_columns(p, in, scratch, 8, 1);
    } else if (p->out_w == 4) {
        copy_columns(p, in, scratch, 16, 4);
    } else {
        copy_columns(p, in, scratch, 32, 4);
    }
    return run;
}

/* `value` is the same in all bytes or `bytes` is a multiple of 4. */
FEDTINY_INLINE void fill(uint8_t *to, size_t bytes, uint32_t value) {
    const fedtiny_bytes all = fedtiny_bytes_all(value);
    if (bytes < FEDTINY_BYTES) {
        for (size_t i = 0; i < bytes; i++) {
            to[i] = (uint8_t)value;
        }
        return;
    }
    uint8_t *const last = to + bytes - FEDTINY_BYTES;
    for (; to < last; to += FEDTINY_BYTES) {
        fedtiny_bytes_store(to, all);
    }
    fedtiny_bytes_store(last, all);
}

/* One element right of every image row, and everything from the last row to the next plane. */
FEDTINY_INLINE void pad(const fedtiny_planes *p, uint8_t *plane, uint32_t value,
                        size_t element_bytes) {
    const size_t row = (p->out_w + 1) * element_bytes, rows = p->out_h * row;
    const size_t bytes = p->out_plane * element_bytes;
    for (size_t c = 0; c < p->out_c; c++, plane += bytes) {
        uint8_t *at = plane + row - element_bytes, *const end = plane + rows;
        size_t left = p->out_h;
        for (; left >= 4; left -= 4, at += 4 * row) {
            FEDTINY_UNROLL
            for (size_t i = 0; i < 4; i++) {
                fedtiny_bytes_store_element(at + i * row, value, element_bytes);
            }
        }
        for (; left > 0; left--, at += row) {
            fedtiny_bytes_store_element(at, value, element_bytes);
        }
        fill(end, bytes - rows, value);
    }
}

static void pad_all(const fedtiny_planes *p, void *out, uint32_t value, size_t element_bytes) {
    uint8_t *const lead = out, *const plane = lead + p->out_lead * element_bytes;
    fill(lead, p->out_lead * element_bytes, value);
    if (element_bytes == 1) {
        pad(p, plane, value, 1);
    } else {
        pad(p, plane, value, 4);
    }
    fill(plane + p->out_c * p->out_plane * element_bytes, p->out_tail * element_bytes, value);
}

void fedtiny_planes_end(const fedtiny_planes *p, const fedtiny_planes_run *run, void *out,
                        uint32_t value, size_t element_bytes) {
    uint8_t *const plane = (uint8_t *)out + p->out_lead * element_bytes;
    const size_t size = run->plane * element_bytes;
    if (p->compact == 0) {
    } else if (element_bytes == 1 && p->out_w == 4) {
        spread(p, run->out, size, plane, 4, 1);
    } else if (element_bytes == 1) {
        spread(p, run->out, size, plane, 8, 1);
    } else if (p->out_w == 4) {
        spread(p, run->out, size, plane, 16, 4);
    } else {
        spread(p, run->out, size, plane, 32, 4);
    }
    pad_all(p, out, value, element_bytes);
}

FEDTINY_INLINE void from_pixels(const fedtiny_planes *p, const uint8_t *pixels, uint8_t *out,
                                size_t element_bytes) {
    const size_t row = p->out_w * element_bytes, plane = p->out_plane * element_bytes;
    const size_t pixel = p->out_c * element_bytes;
    for (size_t y = 0; y < p->out_h; y++, out += row + element_bytes, pixels += p->out_w * pixel) {
        size_t done = 0; /* bytes of a plane's row */
        if (p->out_c == 3) {
            for (; done + FEDTINY_BYTES <= row; done += FEDTINY_BYTES) {
                fedtiny_bytes part[3];
                fedtiny_bytes_split3(pixels + 3 * done, part, element_bytes);
                fedtiny_bytes_store(out + done, part[0]);
                fedtiny_bytes_store(out + plane + done, part[1]);
                fedtiny_bytes_store(out + 2 * plane + done, part[2]);
            }
        }
        for (size_t c = 0; c < p->out_c; c++) {
            const uint8_t *from = pixels + p->out_c * done + c * element_bytes;
            uint8_t *to = out + c * plane + done, *const end = out + c * plane + row;
            for (; to < end; to += element_bytes, from += pixel) {
                fedtiny_bytes_copy_element(to, from, element_bytes);
            }
        }
    }
}

void fedtiny_planes_from_pixels(const fedtiny_planes *p, const void *pixels, void *out,
                                uint32_t value, size_t element_bytes) {
    uint8_t *const plane = (uint8_t *)out + p->out_lead * element_bytes;
    if (element_bytes == 1) {
        from_pixels(p, pixels, plane, 1);
    } else {
        from_pixels(p, pixels, plane, 4);
    }
    pad_all(p, out, value, element_bytes);
}
