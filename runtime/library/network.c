/* The ABI of libfedtiny over the executor. */
#define _POSIX_C_SOURCE 199309L

#include "fedtiny/library.h"
#include "library/kernels.h"
#include "library/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fedtiny_network {
    fedtiny_packed packed;
    fedtiny_kernel *kernels;
    void *file; /* of our own, as allocated; NULL where the caller holds it */
    void *own_arena;
    uint8_t *arena;
    fedtiny_layer_timer timer;
    void *context;
    uint64_t *spent; /* nanoseconds, by layer */
    uint64_t started;
};

/* malloc with an alignment; *block is what to free. */
static void *allocate(size_t bytes, size_t alignment, void **block) {
    *block = malloc(bytes + alignment);
    const uintptr_t start = (uintptr_t)*block;
    return *block == NULL ? NULL : (uint8_t *)*block + (0 - start) % alignment;
}

uint32_t fedtiny_abi_version(void) {
    return (uint32_t)FEDTINY_ABI_MAJOR << 16 | FEDTINY_ABI_MINOR;
}

const char *fedtiny_result_text(fedtiny_result result) {
    static const char *const text[] = {
        "There was no error.",
        "A pointer is null, or an index or a flag is out of range.",
        "The arena is too small or misaligned.",
        "A buffer's size is not the tensor's.",
        "The model's program stopped early.",
        "The packed model is damaged or contradicts itself.",
        "The packed model's file cannot be read.",
        "There is not enough memory.",
        "The packed model was written for another version of the library.",
        "The packed model needs a kernel that this library or this processor does not have.",
    };
    const size_t count = sizeof text / sizeof text[0];
    return result >= 0 && (size_t)result < count ? text[result] : "The error is unknown.";
}

void fedtiny_network_destroy(fedtiny_network *network) {
    if (network != NULL) {
        free(network->spent);
        free(network->own_arena);
        free(network->kernels);
        free(network->file);
        free(network);
    }
}

/* Takes `block`, which may be NULL, whatever comes of it. */
static fedtiny_result create(const uint8_t *file, size_t bytes, uint32_t flags, void *block,
                             fedtiny_network **network) {
    const int portable = (flags & FEDTINY_PORTABLE) != 0 || !fedtiny_library_has_vectors();
    const size_t kernels = fedtiny_packed_kernels(file, bytes);
    fedtiny_network *made = calloc(1, sizeof *made);
    if (made == NULL) {
        free(block);
        return FEDTINY_RESULT_MEMORY;
    }
    made->file = block;
    made->kernels = calloc(kernels + 1, sizeof *made->kernels);
    fedtiny_result result =
        made->kernels == NULL
            ? FEDTINY_RESULT_MEMORY
            : fedtiny_packed_read(file, bytes, portable, made->kernels, &made->packed);
    if (result == FEDTINY_RESULT_OK) {
        made->spent = calloc(made->packed.model.n_layers, sizeof *made->spent);
        result = made->spent == NULL ? FEDTINY_RESULT_MEMORY : FEDTINY_RESULT_OK;
    }
    if (result != FEDTINY_RESULT_OK) {
        fedtiny_network_destroy(made);
        return result;
    }
    *network = made;
    return FEDTINY_RESULT_OK;
}

fedtiny_result fedtiny_network_create(const void *data, size_t bytes, uint32_t flags,
                                      fedtiny_network **network) {
    if (network == NULL) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    *network = NULL;
    if (data == NULL || (flags & ~(uint32_t)FEDTINY_PORTABLE) != 0) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    if ((uintptr_t)data % FEDTINY_PACKED_ALIGNMENT == 0) {
        return create(data, bytes, flags, NULL, network);
    }
    void *block;
    uint8_t *copy = allocate(bytes, FEDTINY_PACKED_ALIGNMENT, &block);
    if (copy == NULL) {
        return FEDTINY_RESULT_MEMORY;
    }
    memcpy(copy, data, bytes);
    return create(copy, bytes, flags, block, network);
}

static fedtiny_result read_file(FILE *file, uint8_t **data, size_t *bytes, void **block) {
    if (fseek(file, 0, SEEK_END) != 0) {
        return FEDTINY_RESULT_FILE;
    }
    const long size = ftell(file);
    if (size < 0 || (unsigned long)size > UINT32_MAX || fseek(file, 0, SEEK_SET) != 0) {
        return FEDTINY_RESULT_FILE;
    }
    *bytes = (size_t)size;
    *data = allocate(*bytes, FEDTINY_PACKED_ALIGNMENT, block);
    if (*data == NULL) {
        return FEDTINY_RESULT_MEMORY;
    }
    return fread(*data, 1, *bytes, file) == *bytes ? FEDTINY_RESULT_OK : FEDTINY_RESULT_FILE;
}

fedtiny_result fedtiny_network_open(const char *path, uint32_t flags, fedtiny_network **network) {
    if (network == NULL) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    *network = NULL;
    if (path == NULL || (flags & ~(uint32_t)FEDTINY_PORTABLE) != 0) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return FEDTINY_RESULT_FILE;
    }
    uint8_t *data = NULL;
    size_t bytes = 0;
    void *block = NULL;
    const fedtiny_result result = read_file(file, &data, &bytes, &block);
    fclose(file);
    if (result != FEDTINY_RESULT_OK) {
        free(block);
        return result;
    }
    return create(data, bytes, flags, block, network);
}

uint32_t fedtiny_network_inputs(const fedtiny_network *network) {
    return network == NULL ? 0 : network->packed.model.n_inputs;
}

uint32_t fedtiny_network_outputs(const fedtiny_network *network) {
    return network == NULL ? 0 : network->packed.model.n_outputs;
}

uint32_t fedtiny_network_layers(const fedtiny_network *network) {
    return network == NULL ? 0 : network->packed.model.n_layers;
}

/* Describes tensor `index` of `count` whose first is infos[from]. */
static fedtiny_result describe(const fedtiny_network *network, uint32_t from, uint32_t index,
                               uint32_t count, const char *kernel, fedtiny_tensor_info *info) {
    if (info == NULL || index >= count || info->struct_bytes < sizeof *info) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    const fedtiny_packed_info *found = &network->packed.infos[from + index];
    info->name = network->packed.strings + found->name;
    info->kernel = kernel;
    info->bytes = fedtiny_packed_bytes(found);
    info->type = found->type;
    info->scale = found->scale;
    info->zero_point = found->zero_point;
    info->dimensions = found->dimensions;
    memcpy(info->shape, found->shape, sizeof info->shape);
    return FEDTINY_RESULT_OK;
}

fedtiny_result fedtiny_network_input(const fedtiny_network *network, uint32_t index,
                                     fedtiny_tensor_info *info) {
    return network == NULL
               ? FEDTINY_RESULT_ARGUMENT
               : describe(network, 0, index, network->packed.model.n_inputs, NULL, info);
}

fedtiny_result fedtiny_network_output(const fedtiny_network *network, uint32_t index,
                                      fedtiny_tensor_info *info) {
    if (network == NULL) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    const fedtiny_model *model = &network->packed.model;
    return describe(network, model->n_inputs, index, model->n_outputs, NULL, info);
}

fedtiny_result fedtiny_network_layer(const fedtiny_network *network, uint32_t index,
                                     fedtiny_tensor_info *info) {
    if (network == NULL || index >= network->packed.model.n_layers) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    const fedtiny_model *model = &network->packed.model;
    const char *kernel =
        network->packed.strings + network->packed.kernel_names[model->layers[index].kernel];
    return describe(network, (uint32_t)model->n_inputs + model->n_outputs, index, model->n_layers,
                    kernel, info);
}

size_t fedtiny_network_arena_bytes(const fedtiny_network *network) {
    return network == NULL ? 0 : network->packed.model.arena_bytes;
}

size_t fedtiny_network_arena_alignment(const fedtiny_network *network) {
    return network == NULL ? 0 : network->packed.model.arena_alignment;
}

fedtiny_result fedtiny_network_set_arena(fedtiny_network *network, void *arena, size_t bytes) {
    if (network == NULL || arena == NULL) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    const fedtiny_status status = fedtiny_reset(&network->packed.model, arena, bytes);
    if (status == FEDTINY_OK) {
        free(network->own_arena);
        network->own_arena = NULL;
        network->arena = arena;
    }
    return (fedtiny_result)status;
}

fedtiny_result fedtiny_network_set_timer(fedtiny_network *network, fedtiny_layer_timer timer,
                                         void *context) {
    if (network == NULL) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    network->timer = timer;
    network->context = context;
    return FEDTINY_RESULT_OK;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void before_step(void *context, const fedtiny_call *call) {
    (void)call;
    ((fedtiny_network *)context)->started = now();
}

static void after_step(void *context, const fedtiny_call *call) {
    fedtiny_network *network = context;
    network->spent[call->layer] += now() - network->started;
}

/* Gives the inputs and runs the program; a fed one takes its input row by row. */
static fedtiny_status run(const fedtiny_model *model, void *arena, const void *const *inputs,
                          const fedtiny_hooks *hooks) {
    fedtiny_status status = fedtiny_reset(model, arena, model->arena_bytes);
    int fed = 0;
    for (uint16_t i = 0; i < model->n_entries; i++) {
        fed |= model->program[i] == FEDTINY_FEED;
    }
    for (uint16_t i = 0; status == FEDTINY_OK && i < model->n_inputs; i++) {
        const fedtiny_tensor *tensor = &model->tensors[model->inputs[i]];
        const uint8_t *row = inputs[i];
        if (!fed) {
            status =
                fedtiny_set_input(model, arena, i, row, (size_t)tensor->rows * tensor->row_bytes);
        }
        for (uint16_t r = 0; fed && status == FEDTINY_OK && r < tensor->rows; r++) {
            status = fedtiny_push_row(model, arena, row, hooks);
            row += tensor->row_bytes;
        }
    }
    return status == FEDTINY_OK && !fed ? fedtiny_run(model, arena, hooks) : status;
}

fedtiny_result fedtiny_network_invoke(fedtiny_network *network, const void *const *inputs,
                                      void *const *outputs) {
    if (network == NULL || inputs == NULL || outputs == NULL) {
        return FEDTINY_RESULT_ARGUMENT;
    }
    const fedtiny_model *model = &network->packed.model;
    if (network->arena == NULL) {
        network->arena = allocate(model->arena_bytes, model->arena_alignment, &network->own_arena);
        if (network->arena == NULL) {
            return FEDTINY_RESULT_MEMORY;
        }
    }
    const fedtiny_hooks hooks = {before_step, after_step, network};
    memset(network->spent, 0, model->n_layers * sizeof *network->spent);
    fedtiny_status status =
        run(model, network->arena, inputs, network->timer == NULL ? NULL : &hooks);
    for (uint16_t i = 0; status == FEDTINY_OK && i < model->n_outputs; i++) {
        const fedtiny_tensor *tensor = &model->tensors[model->outputs[i]];
        status = fedtiny_get_output(model, network->arena, i, outputs[i],
                                    (size_t)tensor->rows * tensor->row_bytes);
    }
    for (uint16_t i = 0; status == FEDTINY_OK && network->timer != NULL && i < model->n_layers;
         i++) {
        network->timer(network->context, i, network->spent[i]);
    }
    return (fedtiny_result)status;
}
