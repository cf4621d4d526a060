#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
/* The executor: walks a program, gives kernels their rows, keeps its counters in the arena. */
#include "fedtiny/fedtiny.h"

#include "memory.h"

/* In the arena: step counters, then the program entry that is next, then rows fed. */
static uint16_t *counters_of(const fedtiny_model *model, void *arena) {
    return (uint16_t *)(void *)((uint8_t *)arena + model->counters);
}

static uint8_t *row_of(const fedtiny_model *model, uint8_t *arena, const fedtiny_tensor *tensor,
                       int32_t row) {
    if (row < 0 || row >= tensor->rows) {
        return NULL;
    }
    const size_t address = model->row_address[tensor->first_row + row];
    return arena + (address << model->address_shift);
}

/* Writes the pointers of one access and returns the place after them. */
static void **point(const fedtiny_model *model, uint8_t *arena, const fedtiny_access *access,
                    uint32_t step, void **pointers) {
    const fedtiny_tensor *tensor = &model->tensors[access->tensor];
    const uint16_t *addresses = model->row_address + tensor->first_row;
    const uint32_t rows = tensor->rows, shift = model->address_shift;
    uint32_t row = (uint32_t)access->start + step * access->advance; /* padding on top: large */
    uint32_t left = access->window;
    do {
        *pointers++ = row < rows ? arena + ((size_t)addresses[row] << shift) : NULL;
        row++;
    } while (--left > 0);
    return pointers;
}

static fedtiny_status run_steps(const fedtiny_model *model, uint8_t *arena, uint32_t entry,
                                const fedtiny_hooks *hooks) {
    const fedtiny_layer *layer = &model->layers[FEDTINY_RUN_LAYER(entry)];
    const fedtiny_access *const inputs = layer->input + layer->inputs;
    uint16_t *counter = &counters_of(model, arena)[layer->counter];
    void **pointers = (void **)(void *)(arena + model->pointers);
    fedtiny_call call;
    call.params = model->constants + layer->params;
    call.constants = model->constants;
    call.scratch = arena + layer->scratch;
    call.state = arena + layer->state;
    call.layer = FEDTINY_RUN_LAYER(entry);
    call.in = (const void *const *)pointers;
    uint32_t step = *counter;
    for (const uint32_t end = step + FEDTINY_RUN_COUNT(entry); step < end; step++) {
        void **next = pointers;
        for (const fedtiny_access *access = layer->input; access < inputs; access++) {
            next = point(model, arena, access, step, next);
        }
        call.out = next;
        point(model, arena, &layer->output, step, next);
        call.step = (uint16_t)step;
        if (hooks != NULL && hooks->before != NULL) {
            hooks->before(hooks->context, &call);
        }
        const fedtiny_status status = model->kernels[layer->kernel](&call);
        if (status != FEDTINY_OK) {
            return status;
        }
        if (hooks != NULL && hooks->after != NULL) {
            hooks->after(hooks->context, &call);
        }
    }
    *counter = (uint16_t)(step == layer->steps ? 0 : step); /* 0 for the next that counts here */
    return FEDTINY_OK;
}

/* Runs entries until the next FEED or the end of the program. */
static fedtiny_status run_entries(const fedtiny_model *model, uint8_t *arena,
                                  const fedtiny_hooks *hooks) {
    uint16_t *next = counters_of(model, arena) + model->n_counters;
    for (; *next < model->n_entries; (*next)++) {
        const uint16_t entry = model->program[*next];
        if (entry == FEDTINY_FEED) {
            return FEDTINY_OK;
        }
        const fedtiny_status status = run_steps(model, arena, entry, hooks);
        if (status != FEDTINY_OK) {
            return status;
        }
    }
    return FEDTINY_OK;
}

static void restart(const fedtiny_model *model, void *arena) {
    fedtiny_fill(counters_of(model, arena), 0, (model->n_counters + 2u) * sizeof(uint16_t));
}

fedtiny_status fedtiny_reset(const fedtiny_model *model, void *arena, size_t arena_bytes) {
    if (model == NULL || arena == NULL) {
        return FEDTINY_ERROR_ARGUMENT;
    }
    if (arena_bytes < model->arena_bytes || (uintptr_t)arena % model->arena_alignment != 0) {
        return FEDTINY_ERROR_ARENA;
    }
    restart(model, arena);
    return FEDTINY_OK;
}

fedtiny_status fedtiny_run(const fedtiny_model *model, void *arena, const fedtiny_hooks *hooks) {
    if (model == NULL || arena == NULL) {
        return FEDTINY_ERROR_ARGUMENT;
    }
    restart(model, arena);
    const fedtiny_status status = run_entries(model, arena, hooks);
    if (status != FEDTINY_OK) {
        return status;
    }
    const uint16_t next = counters_of(model, arena)[model->n_counters];
    return next == model->n_entries ? FEDTINY_OK : FEDTINY_ERROR_STATE;
}

fedtiny_status fedtiny_push_row(const fedtiny_model *model, void *arena, const void *row,
                                const fedtiny_hooks *hooks) {
    if (model == NULL || arena == NULL || row == NULL) {
        return FEDTINY_ERROR_ARGUMENT;
    }
    uint16_t *next = counters_of(model, arena) + model->n_counters;
    uint16_t *fed = next + 1;
    const fedtiny_tensor *input = &model->tensors[model->inputs[0]];
    if (*next == 0 && model->n_entries > 0 && model->program[0] != FEDTINY_FEED) {
        const fedtiny_status status = run_entries(model, arena, hooks); /* what needs no row */
        if (status != FEDTINY_OK) {
            return status;
        }
    }
    if (*next >= model->n_entries || model->program[*next] != FEDTINY_FEED || *fed >= input->rows) {
        return FEDTINY_ERROR_STATE;
    }
    fedtiny_copy(row_of(model, arena, input, *fed), row, input->row_bytes);
    (*fed)++;
    (*next)++;
    return run_entries(model, arena, hooks);
}

fedtiny_status fedtiny_set_input(const fedtiny_model *model, void *arena, uint16_t index,
                                 const void *data, size_t bytes) {
    if (model == NULL || arena == NULL || data == NULL || index >= model->n_inputs) {
        return FEDTINY_ERROR_ARGUMENT;
    }
    const fedtiny_tensor *tensor = &model->tensors[model->inputs[index]];
    if (bytes != (size_t)tensor->rows * tensor->row_bytes) {
        return FEDTINY_ERROR_SIZE;
    }
    const uint8_t *from = data;
    for (int32_t row = 0; row < tensor->rows; row++, from += tensor->row_bytes) {
        fedtiny_copy(row_of(model, arena, tensor, row), from, tensor->row_bytes);
    }
    return FEDTINY_OK;
}

fedtiny_status fedtiny_get_output(const fedtiny_model *model, const void *arena, uint16_t index,
                                  void *data, size_t bytes) {
    if (model == NULL || arena == NULL || data == NULL || index >= model->n_outputs) {
        return FEDTINY_ERROR_ARGUMENT;
    }
    const fedtiny_tensor *tensor = &model->tensors[model->outputs[index]];
    if (bytes != (size_t)tensor->rows * tensor->row_bytes) {
        return FEDTINY_ERROR_SIZE;
    }
    uint8_t *to = data;
    for (int32_t row = 0; row < tensor->rows; row++, to += tensor->row_bytes) {
        const size_t address = model->row_address[tensor->first_row + row];
        fedtiny_copy(to, (const uint8_t *)arena + (address << model->address_shift),
                     tensor->row_bytes);
    }
    return FEDTINY_OK;
}

void *fedtiny_row(const fedtiny_model *model, void *arena, uint16_t tensor, int32_t row) {
    if (model == NULL || arena == NULL || tensor >= model->n_tensors) {
        return NULL;
    }
    return row_of(model, arena, &model->tensors[tensor], row);
}
