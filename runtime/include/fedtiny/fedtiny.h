/* FedTiny runtime: one executor, no heap, no writable globals.
 *
 * A model is constant data: layers, a program that says whose next step runs, the arena address of
 * every row of every tensor, and one block of constants. All memory that is written lies in one
 * arena that the caller owns and whose size is known at compile time.
 */
#ifndef FEDTINY_FEDTINY_H
#define FEDTINY_FEDTINY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    FEDTINY_OK = 0,
    FEDTINY_ERROR_ARGUMENT = 1, /* null pointer or index out of range */
    FEDTINY_ERROR_ARENA = 2,    /* arena too small or misaligned */
    FEDTINY_ERROR_SIZE = 3,     /* a buffer's size is not the tensor's */
    FEDTINY_ERROR_STATE = 4,    /* a row was pushed into a finished or an unfed program */
    FEDTINY_ERROR_MODEL = 5     /* the model's tables contradict each other */
} fedtiny_status;

/* What a kernel is given for one step of its layer. */
typedef struct {
    const void *params;       /* the kernel's parameter struct, inside constants */
    const uint8_t *constants; /* base of every offset in params */
    const void *const *in;    /* rows of input 0, then of input 1; NULL is a row of padding */
    void *const *out;         /* rows to write; NULL is a row past the end */
    void *scratch;            /* lives for this step */
    void *state;              /* lives from the layer's first step to its last */
    uint16_t step;            /* 0 .. layer.steps - 1 */
    uint16_t layer;           /* index into the model's layers */
} fedtiny_call;

typedef fedtiny_status (*fedtiny_kernel)(const fedtiny_call *call);

/* A tensor is a list of rows; row r lies at row_address[first_row + r] << address_shift.
 * A tensor that must be contiguous may have a second view with a single row. */
typedef struct {
    uint16_t rows;
    uint16_t first_row; /* index into row_address */
    uint32_t row_bytes;
} fedtiny_tensor;

/* Step s touches rows [start + s * advance, start + s * advance + window). */
typedef struct {
    uint16_t tensor;
    uint16_t window;
    uint16_t advance;
    int16_t start;
} fedtiny_access;

#define FEDTINY_MAX_INPUTS 2

typedef struct {
    uint32_t params;  /* offset into constants */
    uint32_t scratch; /* arena offset */
    uint32_t state;   /* arena offset */
    uint16_t kernel;  /* index into the model's kernels */
    uint16_t steps;
    uint16_t inputs;
    uint16_t counter; /* of its steps; layers that are never under way together may share one */
    fedtiny_access output;
    fedtiny_access input[FEDTINY_MAX_INPUTS];
} fedtiny_layer;

/* One entry of the program: FEDTINY_RUN(layer, count) runs the layer's next `count` steps
 * (1 .. 64); FEDTINY_FEED waits for the next row of the input. */
#define FEDTINY_RUN(layer, count) ((uint16_t)(((count) - 1u) << 10 | (layer)))
#define FEDTINY_RUN_LAYER(entry)  ((uint16_t)((entry) & 0x3ffu))
#define FEDTINY_RUN_COUNT(entry)  ((uint16_t)(((entry) >> 10) + 1u))
#define FEDTINY_FEED              0x3ffu
#define FEDTINY_MAX_LAYERS        0x3ffu

typedef struct {
    const fedtiny_kernel *kernels; /* only those the model uses */
    const fedtiny_layer *layers;
    const fedtiny_tensor *tensors;
    const uint16_t *row_address;
    const uint16_t *program;
    const uint16_t *inputs;  /* tensor indices */
    const uint16_t *outputs; /* tensor indices */
    const uint8_t *constants;
    uint32_t arena_bytes;
    uint32_t arena_alignment; /* power of two, at least the size of a pointer */
    uint32_t pointers;        /* arena offset of max_window row pointers */
    uint32_t counters;        /* arena offset of n_counters uint16_t, then two for the program */
    uint32_t constants_bytes;
    uint16_t n_kernels, n_layers, n_tensors, n_rows, n_entries, n_inputs, n_outputs;
    uint16_t max_window; /* most row pointers any layer needs, inputs and output together */
    uint16_t address_shift;
    uint16_t n_counters;
} fedtiny_model;

/* Called around every step; either may be NULL. For counters, and to read rows while they exist. */
typedef struct {
    void (*before)(void *context, const fedtiny_call *call);
    void (*after)(void *context, const fedtiny_call *call);
    void *context;
} fedtiny_hooks;

/* Checks the tables against each other. Needed once, for a model from an untrusted source. */
fedtiny_status fedtiny_check(const fedtiny_model *model);

/* Checks the arena and forgets any unfinished inference. */
fedtiny_status fedtiny_reset(const fedtiny_model *model, void *arena, size_t arena_bytes);

/* Copies a whole input (contiguous rows) to its place in the arena. For programs that are not fed.
 */
fedtiny_status fedtiny_set_input(const fedtiny_model *model, void *arena, uint16_t index,
                                 const void *data, size_t bytes);

/* Runs a program that is not fed, from the first entry to the last. hooks may be NULL. */
fedtiny_status fedtiny_run(const fedtiny_model *model, void *arena, const fedtiny_hooks *hooks);

/* Gives a fed program its next input row and computes all that this row makes possible. */
fedtiny_status fedtiny_push_row(const fedtiny_model *model, void *arena, const void *row,
                                const fedtiny_hooks *hooks);

/* Copies a whole output (contiguous rows) out of the arena. */
fedtiny_status fedtiny_get_output(const fedtiny_model *model, const void *arena, uint16_t index,
                                  void *data, size_t bytes);

/* Row r of a tensor, or NULL when there is no such row. Valid only while the program keeps it. */
void *fedtiny_row(const fedtiny_model *model, void *arena, uint16_t tensor, int32_t row);

#ifdef __cplusplus
}
#endif

#endif
