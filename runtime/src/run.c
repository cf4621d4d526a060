#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
/* The executor: walks a program, gives kernels their rows, keeps its counters in the arena. */
#include "fedtiny/fedtiny.h"

#include "memory.h"

/* In the arena: one step counter a layer, then the program entry that is next, then rows fed. */
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
                    int32_t step, void **pointers) {
    const fedtiny_tensor *tensor = &model->tensors[access->tensor];
    int32_t row = access->start + step * access->advance;
    for (const int32_t end = row + access->window; row < end; row++) {
        *pointers++ = row_of(model, arena, tensor, row);
    }
    return pointers;
}

static fedtiny_status run_steps(const fedtiny_model *model, uint8_t *arena, uint16_t index,
                                uint16_t count, const fedtiny_hooks *hooks) {
    const fedtiny_layer *layer = &model->layers[index];
    const fedtiny_kernel kernel = model->kernels[layer->kernel];
    uint16_t *done = &counters_of(model, arena)[index];
    void **pointers = (void **)(void *)(arena + model->pointers);
    fedtiny_call call;
    call.params = model->constants + layer->params;
    call.constants = model->constants;
    call.scratch = arena + layer->scratch;
    call.state = arena + layer->state;
    call.layer = index;
    call.in = (const void *const *)pointers;
    for (; count > 0; count--, (*done)++) {
        void **next = pointers;
        for (uint16_t i = 0; i < layer->inputs; i++) {
            next = point(model, arena, &layer->input[i], *done, next);
        }
        call.out = next;
        point(model, arena, &layer->output, *done, next);
        call.step = *done;
        if (hooks != NULL && hooks->before != NULL) {
            hooks->before(hooks->context, &call);
        }
        const fedtiny_status status = kernel(&call);
        if (status != FEDTINY_OK) {
            return status;
        }
        if (hooks != NULL && hooks->after != NULL) {
            hooks->after(hooks->context, &call);
        }
    }
    return FEDTINY_OK;
}

/* Runs entries until the next FEED or the end of the program. */
static fedtiny_status run_entries(const fedtiny_model *model, uint8_t *arena,
                                  const fedtiny_hooks *hooks) {
    uint16_t *next = counters_of(model, arena) + model->n_layers;
    for (; *next < model->n_entries; (*next)++) {
        const uint16_t entry = model->program[*next];
        if (entry == FEDTINY_FEED) {
            return FEDTINY_OK;
        }
        const fedtiny_status status =
            run_steps(model, arena, FEDTINY_RUN_LAYER(entry), FEDTINY_RUN_COUNT(entry), hooks);
        if (status != FEDTINY_OK) {
            return status;
        }
    }
    return FEDTINY_OK;
}

static void restart(const fedtiny_model *model, void *arena) {
    fedtiny_fill(counters_of(model, arena), 0, (model->n_layers + 2u) * sizeof(uint16_t));
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
    const uint16_t next = counters_of(model, arena)[model->n_layers];
    return next == model->n_entries ? FEDTINY_OK : FEDTINY_ERROR_STATE;
}

fedtiny_status fedtiny_push_row(const fedtiny_model *model, void *arena, const void *row,
                                const fedtiny_hooks *hooks) {
    if (model == NULL || arena == NULL || row == NULL) {
        return FEDTINY_ERROR_ARGUMENT;
    }
    uint16_t *next = counters_of(model, arena) + model->n_layers;
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
