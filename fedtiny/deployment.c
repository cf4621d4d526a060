/* Compiled together with an exported model so that Python can run it: what model.h lists, as data,
 * and an inference that gathers every layer's output while its rows exist. */
#include "model.h"

#include <string.h>

enum { MAX_DIMENSIONS = 8 };

typedef struct {
    const char *name;
    const char *type;
    float scale;
    int32_t zero_point;
    int32_t dimensions;
    int32_t shape[MAX_DIMENSIONS];
} deployed_tensor;

#define DIMENSIONS(...) (sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)), {__VA_ARGS__}
#define PORT(name, type, scale, zero_point, ...) \
    {name, #type, scale, zero_point, DIMENSIONS(__VA_ARGS__)},
#define LAYER(name, kernel, type, ...) {name, #type, 0.0f, 0, DIMENSIONS(__VA_ARGS__)},

/* Each list ends with a tensor without a name. */
extern const deployed_tensor deployed_inputs[], deployed_outputs[], deployed_layers[];
const deployed_tensor deployed_inputs[] = {MODEL_INPUT_LIST(PORT){0}};
const deployed_tensor deployed_outputs[] = {MODEL_OUTPUT_LIST(PORT){0}};
const deployed_tensor deployed_layers[] = {MODEL_LAYER_LIST(LAYER){0}};

extern const uint32_t deployed_arena_bytes, deployed_arena_alignment;
const uint32_t deployed_arena_bytes = MODEL_ARENA_BYTES;
const uint32_t deployed_arena_alignment = MODEL_ARENA_ALIGNMENT;

static void gather(void *context, const fedtiny_call *call) {
    uint8_t *const *tensors = context;
    const fedtiny_access *rows = &model.layers[call->layer].output;
    const size_t bytes = model.tensors[rows->tensor].row_bytes;
    const int32_t first = rows->start + call->step * rows->advance;
    for (int32_t k = 0; k < rows->window; k++) {
        if (call->out[k] != NULL) {
            memcpy(tensors[call->layer] + (size_t)(first + k) * bytes, call->out[k], bytes);
        }
    }
}

/* `tensors` has one buffer for every layer's complete output. */
fedtiny_status deployed_tap(void *arena, const void *input, void *output, uint8_t **tensors);
fedtiny_status deployed_tap(void *arena, const void *input, void *output, uint8_t **tensors) {
    const fedtiny_hooks hooks = {NULL, gather, tensors};
    return model_invoke_hooked(arena, input, output, &hooks);
}
