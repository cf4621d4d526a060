#include "library/packed.h"

#include "fedtiny/kernels.h"
#include "library/kernels.h"

#include <stdbool.h>
#include <string.h>

static const uint8_t MAGIC[8] = {0x89, 'F', 'e', 'd', 'T', 'i', 'n', 'y'};

enum { CRC_FROM = offsetof(fedtiny_packed_header, crc) + sizeof(uint32_t), MOST_ENTRIES = 0xffff };

static uint32_t crc32_of(const uint8_t *data, size_t bytes) {
    uint32_t table[16], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 4; bit++) {
            value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
        }
        table[i] = value;
    }
    for (; bytes > 0; bytes--, data++) {
        crc = crc >> 4 ^ table[(crc ^ *data) & 15];
        crc = crc >> 4 ^ table[(crc ^ *data >> 4) & 15];
    }
    return ~crc;
}

/* The elements of a section; NULL where it does not lie inside the file or has none or too many. */
static const void *section(const uint8_t *file, const fedtiny_section *s, size_t element,
                           size_t most, size_t *count) {
    const fedtiny_packed_header *header = (const void *)file;
    *count = 0;
    if (s->offset % FEDTINY_PACKED_ALIGNMENT != 0 || s->offset < sizeof *header ||
        s->offset > header->file_bytes || s->bytes > header->file_bytes - s->offset ||
        s->bytes == 0 || s->bytes % element != 0 || s->bytes / element > most) {
        return NULL;
    }
    *count = s->bytes / element;
    return file + s->offset;
}

size_t fedtiny_packed_kernels(const uint8_t *file, size_t bytes) {
    if (bytes < sizeof(fedtiny_packed_header)) {
        return 0;
    }
    const size_t count = ((const fedtiny_packed_header *)(const void *)file)->kernels.bytes / 4;
    return count < MOST_ENTRIES ? count : MOST_ENTRIES;
}

size_t fedtiny_packed_bytes(const fedtiny_packed_info *info) {
    if (info->dimensions > FEDTINY_MOST_DIMENSIONS ||
        (info->type != FEDTINY_TYPE_INT8 && info->type != FEDTINY_TYPE_FLOAT32)) {
        return 0;
    }
    uint64_t bytes = info->type == FEDTINY_TYPE_INT8 ? 1 : sizeof(float);
    for (uint32_t i = 0; i < info->dimensions; i++) {
        bytes *= info->shape[i];
        if (bytes > INT32_MAX) {
            return 0;
        }
    }
    return (size_t)bytes;
}

/* Whether the struct and all that it points to begin inside the constants. */
static bool check_params(const fedtiny_model *model, const fedtiny_layer *layer,
                         const fedtiny_library_kernel *kernel) {
    const uint32_t bytes = model->constants_bytes;
    if (layer->params > bytes || kernel->params_bytes > bytes - layer->params) {
        return false;
    }
    const uint32_t *words = (const void *)(model->constants + layer->params);
    for (uint32_t i = 0; i < kernel->params_bytes / 4; i++) {
        if ((kernel->offset_words >> i & 1) != 0 && words[i] != FEDTINY_ABSENT &&
            words[i] >= bytes) {
            return false;
        }
    }
    return true;
}

/* Inputs and outputs have as many bytes as their tensors' rows. */
static bool check_infos(const fedtiny_packed *packed, size_t strings_bytes) {
    const fedtiny_model *model = &packed->model;
    const uint32_t ports = (uint32_t)model->n_inputs + model->n_outputs;
    for (uint32_t i = 0; i < ports + model->n_layers; i++) {
        const size_t bytes = fedtiny_packed_bytes(&packed->infos[i]);
        if (bytes == 0 || packed->infos[i].name >= strings_bytes) {
            return false;
        }
        if (i < ports) {
            const uint16_t index =
                i < model->n_inputs ? model->inputs[i] : model->outputs[i - model->n_inputs];
            const fedtiny_tensor *tensor = &model->tensors[index];
            if (bytes != (uint64_t)tensor->rows * tensor->row_bytes) {
                return false;
            }
        }
    }
    return true;
}

static fedtiny_result check_header(const uint8_t *file, size_t bytes) {
    const fedtiny_packed_header *header = (const void *)file;
    if (bytes < sizeof *header || memcmp(header->magic, MAGIC, sizeof MAGIC) != 0) {
        return FEDTINY_RESULT_MODEL;
    }
    if (header->version != FEDTINY_PACKED_VERSION) {
        return FEDTINY_RESULT_VERSION;
    }
    if (header->file_bytes != bytes || header->crc != crc32_of(file + CRC_FROM, bytes - CRC_FROM)) {
        return FEDTINY_RESULT_MODEL;
    }
    const uint64_t arena = header->pointers + (uint64_t)header->max_window * sizeof(void *);
    return header->max_window <= MOST_ENTRIES && header->address_shift < 32 &&
                   header->n_counters <= MOST_ENTRIES && header->n_inputs <= MOST_ENTRIES &&
                   header->n_outputs <= MOST_ENTRIES && arena <= INT32_MAX &&
                   header->arena_alignment <= 4096
               ? FEDTINY_RESULT_OK
               : FEDTINY_RESULT_MODEL;
}

fedtiny_result fedtiny_packed_read(const uint8_t *file, size_t bytes, int portable,
                                   fedtiny_kernel *kernels, fedtiny_packed *packed) {
    const fedtiny_result found = check_header(file, bytes);
    if (found != FEDTINY_RESULT_OK) {
        return found;
    }
    const fedtiny_packed_header *header = (const void *)file;
    size_t strings, names, layers, tensors, rows, entries, ports, infos, constants;
    const uint32_t *name = section(file, &header->kernels, 4, MOST_ENTRIES, &names);
    packed->strings = section(file, &header->strings, 1, bytes, &strings);
    packed->infos = section(file, &header->infos, sizeof *packed->infos, bytes, &infos);
    const uint16_t *port = section(file, &header->ports, 2, bytes, &ports);
    fedtiny_model model = {
        .kernels = kernels,
        .layers = section(file, &header->layers, sizeof(fedtiny_layer), MOST_ENTRIES, &layers),
        .tensors = section(file, &header->tensors, sizeof(fedtiny_tensor), MOST_ENTRIES, &tensors),
        .row_address = section(file, &header->row_address, 2, MOST_ENTRIES, &rows),
        .program = section(file, &header->program, 2, MOST_ENTRIES, &entries),
        .constants = section(file, &header->constants, 1, bytes, &constants),
        .arena_bytes = (uint32_t)(header->pointers + header->max_window * sizeof(void *)),
        .arena_alignment = header->arena_alignment,
        .pointers = header->pointers,
        .counters = header->counters,
        .n_counters = (uint16_t)header->n_counters,
        .n_inputs = (uint16_t)header->n_inputs,
        .n_outputs = (uint16_t)header->n_outputs,
        .max_window = (uint16_t)header->max_window,
        .address_shift = (uint16_t)header->address_shift,
    };
    if (name == NULL || packed->strings == NULL || packed->infos == NULL || port == NULL ||
        model.layers == NULL || model.tensors == NULL || model.row_address == NULL ||
        model.program == NULL || model.constants == NULL || packed->strings[strings - 1] != '\0' ||
        ports != (size_t)model.n_inputs + model.n_outputs || infos != ports + layers) {
        return FEDTINY_RESULT_MODEL;
    }
    model.inputs = port;
    model.outputs = port + model.n_inputs;
    model.constants_bytes = (uint32_t)constants;
    model.n_kernels = (uint16_t)names;
    model.n_layers = (uint16_t)layers;
    model.n_tensors = (uint16_t)tensors;
    model.n_rows = (uint16_t)rows;
    model.n_entries = (uint16_t)entries;
    for (size_t i = 0; i < names; i++) {
        if (name[i] >= strings) {
            return FEDTINY_RESULT_MODEL;
        }
        const fedtiny_library_kernel *kernel = fedtiny_library_find(packed->strings + name[i]);
        if (kernel == NULL || !fedtiny_library_runs(kernel)) {
            return FEDTINY_RESULT_KERNEL;
        }
        kernels[i] = portable ? kernel->portable : kernel->vectors;
    }
    if (fedtiny_check(&model) != FEDTINY_OK) {
        return FEDTINY_RESULT_MODEL;
    }
    packed->model = model;
    packed->kernel_names = name;
    for (size_t i = 0; i < layers; i++) {
        const fedtiny_layer *layer = &model.layers[i];
        const char *its = packed->strings + name[layer->kernel];
        if (!check_params(&model, layer, fedtiny_library_find(its))) {
            return FEDTINY_RESULT_MODEL;
        }
    }
    return check_infos(packed, strings) ? FEDTINY_RESULT_OK : FEDTINY_RESULT_MODEL;
}
