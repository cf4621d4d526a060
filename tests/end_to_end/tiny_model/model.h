/* A model of two layers, written by hand, with the interface of exported ones: layer 0 doubles
 * every row and adds 1, layer 1 sums the rows. Rows of layer 0 share one place in the arena. */
#ifndef MODEL_H
#define MODEL_H

#include "fedtiny/fedtiny.h"

#define MODEL_ARENA_BYTES     (88 + 2 * sizeof(void *))
#define MODEL_ARENA_ALIGNMENT 8
#define MODEL_ARENA(name)                                                                          \
    uint8_t name[MODEL_ARENA_BYTES] __attribute__((aligned(MODEL_ARENA_ALIGNMENT)))
#define MODEL_INPUT_BYTES  32
#define MODEL_OUTPUT_BYTES 8
#define MODEL_LAYERS       2

extern const fedtiny_model model;

fedtiny_status model_init(void *arena);
fedtiny_status model_invoke(void *arena, const void *input, void *output);
fedtiny_status model_invoke_hooked(void *arena, const void *input, void *output,
                                   const fedtiny_hooks *hooks);

#endif
