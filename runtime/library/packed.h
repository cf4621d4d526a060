/* Packed models: the file's layout and its validation. All numbers are little-endian.
 *
 * A header, then sections at multiples of 64 bytes. The CRC-32 covers everything after itself. */
#ifndef FEDTINY_PACKED_H
#define FEDTINY_PACKED_H

#include "fedtiny/fedtiny.h"

#include "fedtiny/library.h"

enum { FEDTINY_PACKED_VERSION = 1, FEDTINY_PACKED_ALIGNMENT = 64 };

typedef struct {
    uint32_t offset, bytes;
} fedtiny_section;

typedef struct {
    uint8_t magic[8];
    uint32_t version;
    uint32_t file_bytes;
    uint32_t crc;
    uint32_t arena_alignment, pointers, counters;
    uint32_t max_window, address_shift;
    uint32_t n_counters, n_inputs, n_outputs;
    fedtiny_section strings; /* ends with a zero byte */
    fedtiny_section kernels; /* uint32 (kernels): names, in strings */
    fedtiny_section layers;
    fedtiny_section tensors;
    fedtiny_section row_address;
    fedtiny_section program;
    fedtiny_section ports; /* uint16 (inputs + outputs): indices of tensors */
    fedtiny_section infos; /* of inputs, outputs and layers */
    fedtiny_section constants;
} fedtiny_packed_header;

typedef struct {
    uint32_t name; /* in strings */
    int32_t type;
    float scale;
    int32_t zero_point;
    uint32_t dimensions;
    uint32_t shape[FEDTINY_MOST_DIMENSIONS];
} fedtiny_packed_info;

typedef struct {
    fedtiny_model model;
    const char *strings;
    const uint32_t *kernel_names; /* in strings, by kernel */
    const fedtiny_packed_info *infos;
} fedtiny_packed;

/* Points `packed` into an aligned file and checks all of it. `kernels` has room for as many
 * functions as fedtiny_packed_kernels says. */
fedtiny_result fedtiny_packed_read(const uint8_t *file, size_t bytes, int portable,
                                   fedtiny_kernel *kernels, fedtiny_packed *packed);

/* The number of kernels that a file claims, at most 65535; 0 where it is too short to claim any. */
size_t fedtiny_packed_kernels(const uint8_t *file, size_t bytes);

/* Bytes of a tensor's values, or 0 where the description is unsound. */
size_t fedtiny_packed_bytes(const fedtiny_packed_info *info);

#endif
