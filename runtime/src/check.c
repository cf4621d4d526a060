/* Validation of a model's tables: after it, the executor reads no table and writes no row, pointer
 * or counter outside the memory that the model declares. What kernels read through their parameter
 * structs is the packing's promise and is not checked here. */
#include "fedtiny/fedtiny.h"

#include <stdbool.h>

/* Rows, scratch and state hold numbers of at most four bytes. */
#define LEAST_ALIGNMENT 4

/* Whether [offset, offset + bytes) lies inside [0, size). */
static bool inside(uint64_t offset, uint64_t bytes, uint64_t size) {
    return offset <= size && bytes <= size - offset;
}

static bool disjoint(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes) {
    return a + a_bytes <= b || b + b_bytes <= a;
}

static uint64_t counters_bytes(const fedtiny_model *model) {
    return (model->n_counters + 2u) * sizeof(uint16_t);
}

static uint64_t pointers_bytes(const fedtiny_model *model) {
    return (uint64_t)model->max_window * sizeof(void *);
}

static bool check_frame(const fedtiny_model *model) {
    const uint32_t alignment = model->arena_alignment;
    return model->kernels != NULL && model->layers != NULL && model->tensors != NULL &&
           model->row_address != NULL && model->program != NULL && model->inputs != NULL &&
           model->outputs != NULL && model->constants != NULL && model->n_kernels > 0 &&
           model->n_layers > 0 && model->n_layers <= FEDTINY_MAX_LAYERS && model->n_inputs > 0 &&
           model->n_outputs > 0 && model->address_shift < 32 && alignment >= 4 &&
           (alignment & (alignment - 1)) == 0 && alignment % sizeof(void *) == 0 &&
           model->pointers % sizeof(void *) == 0 && model->counters % sizeof(uint16_t) == 0 &&
           inside(model->pointers, pointers_bytes(model), model->arena_bytes) &&
           inside(model->counters, counters_bytes(model), model->arena_bytes) &&
           disjoint(model->pointers, pointers_bytes(model), model->counters, counters_bytes(model));
}

static bool check_tensor(const fedtiny_model *model, const fedtiny_tensor *tensor) {
    if (tensor->rows == 0 || tensor->row_bytes == 0 ||
        !inside(tensor->first_row, tensor->rows, model->n_rows)) {
        return false;
    }
    uint64_t next = 0; /* a contiguous tensor's rows follow each other, aligned or not */
    for (uint32_t row = 0; row < tensor->rows; row++) {
        const uint64_t address = (uint64_t)model->row_address[tensor->first_row + row]
                                 << model->address_shift;
        const bool placed = address % LEAST_ALIGNMENT == 0 || (row > 0 && address == next);
        next = address + tensor->row_bytes;
        if (!placed || !inside(address, tensor->row_bytes, model->arena_bytes) ||
            !disjoint(address, tensor->row_bytes, model->pointers, pointers_bytes(model)) ||
            !disjoint(address, tensor->row_bytes, model->counters, counters_bytes(model))) {
            return false;
        }
    }
    return true;
}

/* The executor computes row numbers as int32; NULL stands for the rows outside the tensor. */
static bool check_access(const fedtiny_model *model, const fedtiny_access *access, uint16_t steps) {
    const int64_t last =
        access->start + (int64_t)(steps - 1) * access->advance + (int64_t)access->window;
    return access->tensor < model->n_tensors && access->window > 0 && last <= INT32_MAX;
}

static bool check_layer(const fedtiny_model *model, const fedtiny_layer *layer) {
    if (layer->kernel >= model->n_kernels || layer->counter >= model->n_counters ||
        model->kernels[layer->kernel] == NULL || layer->steps == 0 ||
        layer->inputs > FEDTINY_MAX_INPUTS || layer->params % 4 != 0 ||
        layer->params >= model->constants_bytes || layer->scratch > model->arena_bytes ||
        layer->state > model->arena_bytes || layer->scratch % LEAST_ALIGNMENT != 0 ||
        layer->state % LEAST_ALIGNMENT != 0) {
        return false;
    }
    uint32_t window = layer->output.window;
    for (uint16_t i = 0; i < layer->inputs; i++) {
        if (!check_access(model, &layer->input[i], layer->steps)) {
            return false;
        }
        window += layer->input[i].window;
    }
    if (window > model->max_window || !check_access(model, &layer->output, layer->steps)) {
        return false;
    }
    /* Every step writes at least its first row. */
    const int64_t last = layer->output.start + (int64_t)(layer->steps - 1) * layer->output.advance;
    return layer->output.start >= 0 && last < model->tensors[layer->output.tensor].rows;
}

/* The program runs every step of the layer, and no other layer counts with its counter meanwhile.
 */
static bool check_steps(const fedtiny_model *model, uint32_t index) {
    const fedtiny_layer *layer = &model->layers[index];
    uint32_t steps = 0;
    for (uint32_t e = 0; e < model->n_entries; e++) {
        const uint16_t entry = model->program[e];
        if (entry == FEDTINY_FEED) {
            continue;
        }
        const uint32_t other = FEDTINY_RUN_LAYER(entry);
        if (other == index) {
            steps += FEDTINY_RUN_COUNT(entry);
        } else if (steps > 0 && steps < layer->steps &&
                   model->layers[other].counter == layer->counter) {
            return false;
        }
    }
    return steps == layer->steps;
}

static bool check_program(const fedtiny_model *model) {
    uint32_t fed = 0;
    for (uint32_t e = 0; e < model->n_entries; e++) {
        const uint16_t entry = model->program[e];
        if (entry == FEDTINY_FEED) {
            fed++;
        } else if (FEDTINY_RUN_LAYER(entry) >= model->n_layers) {
            return false;
        }
    }
    if (fed != 0 && (model->n_inputs != 1 || fed != model->tensors[model->inputs[0]].rows)) {
        return false;
    }
    for (uint32_t layer = 0; layer < model->n_layers; layer++) {
        if (!check_steps(model, layer)) {
            return false;
        }
    }
    return true;
}

fedtiny_status fedtiny_check(const fedtiny_model *model) {
    if (model == NULL) {
        return FEDTINY_ERROR_ARGUMENT;
    }
    if (!check_frame(model)) {
        return FEDTINY_ERROR_MODEL;
    }
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        if (!check_tensor(model, &model->tensors[i])) {
            return FEDTINY_ERROR_MODEL;
        }
    }
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        if (model->inputs[i] >= model->n_tensors) {
            return FEDTINY_ERROR_MODEL;
        }
    }
    for (uint32_t i = 0; i < model->n_outputs; i++) {
        if (model->outputs[i] >= model->n_tensors) {
            return FEDTINY_ERROR_MODEL;
        }
    }
    for (uint32_t i = 0; i < model->n_layers; i++) {
        if (!check_layer(model, &model->layers[i])) {
            return FEDTINY_ERROR_MODEL;
        }
    }
    return check_program(model) ? FEDTINY_OK : FEDTINY_ERROR_MODEL;
}
