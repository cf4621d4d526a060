#include "model.h"

#include <string.h>

#include "defect.h" /* the test writes it: DEFECT, and TINY_FED for a program fed row by row */

enum { ROWS = 4, COLUMNS = 8 };

/* Returns 0, by way of a store inside of an IT block, after which emulators have been seen to skip
 * instructions. */
static int conditional_store(void) {
    int sum = 0;
#if defined(__thumb2__)
    volatile int8_t place = 0;
    __asm__ volatile("cmp %1, #0\n"
                     "itte eq\n"
                     "strbeq %1, [%2]\n"
                     "addeq %0, #6\n"
                     "addne %0, #4\n"
                     "b 1f\n"
                     "1: add %0, #1\n"
                     "add %0, #1\n"
                     : "+r"(sum)
                     : "r"(0), "r"(&place)
                     : "cc", "memory");
    sum -= 8;
#endif
    return sum;
}

static fedtiny_status tiny_double(const fedtiny_call *call) {
    const int8_t *in = call->in[0];
    int8_t *out = call->out[0];
    const int8_t *offset = (const int8_t *)call->constants;
    for (int i = 0; i < COLUMNS; i++) {
        out[i] = (int8_t)(2 * in[i] + *offset + conditional_store());
    }
#if DEFECT == 1 /* writes one byte past the arena */
    ((volatile uint8_t *)call->scratch)[MODEL_ARENA_BYTES] = 1;
#elif DEFECT == 2 /* never returns */
    for (;;) {
        __asm__ volatile("");
    }
#elif DEFECT == 3 /* reads where nothing is */
    out[0] = *(volatile int8_t *)(uintptr_t)0x10;
#elif DEFECT == 4 /* refuses */
    return FEDTINY_ERROR_MODEL;
#elif DEFECT == 5 /* writes to constants */
    *(volatile uint8_t *)(uintptr_t)call->constants = 7;
#elif DEFECT == 6 /* jumps away */
    ((void (*)(void))(uintptr_t)0x50000001)();
#elif DEFECT == 7 /* an access that Cortex-M0+ cannot make */
    (void)*(volatile uint32_t *)(void *)((uintptr_t)call->scratch + 1);
#elif DEFECT == 8 /* wrong from the second layer's point of view */
    out[0] ^= 1;
#endif
    return FEDTINY_OK;
}

static fedtiny_status tiny_sum(const fedtiny_call *call) {
    const int8_t *in = call->in[0];
    int32_t *sum = call->state;
    if (call->step == 0) {
        memset(sum, 0, COLUMNS * sizeof *sum);
    }
    for (int i = 0; i < COLUMNS; i++) {
        sum[i] += in[i];
        ((int8_t *)call->out[0])[i] = (int8_t)sum[i];
    }
    return FEDTINY_OK;
}

static const fedtiny_kernel kernels[] = {tiny_double, tiny_sum};

static const fedtiny_layer layers[] = {
    {.params = 0,
     .scratch = 0,
     .state = 48,
     .kernel = 0,
     .steps = ROWS,
     .inputs = 1,
     .output = {1, 1, 1, 0},
     .input = {{0, 1, 1, 0}}},
    {.params = 0,
     .scratch = 0,
     .state = 48,
     .kernel = 1,
     .steps = ROWS,
     .inputs = 1,
     .counter = 1,
     .output = {2, 1, 0, 0},
     .input = {{1, 1, 1, 0}}},
};

static const fedtiny_tensor tensors[] = {{ROWS, 0, COLUMNS}, {ROWS, 4, COLUMNS}, {1, 8, COLUMNS}};

/* In units of 8 bytes. */
static const uint16_t row_address[] = {0, 1, 2, 3, 4, 4, 4, 4, 5};

#ifdef TINY_FED
#define NEXT FEDTINY_FEED, FEDTINY_RUN(0, 1), FEDTINY_RUN(1, 1)
#else
#define NEXT FEDTINY_RUN(0, 1), FEDTINY_RUN(1, 1)
#endif
static const uint16_t program[] = {NEXT, NEXT, NEXT, NEXT};
static const uint16_t inputs[] = {0};
static const uint16_t outputs[] = {2};
static const uint8_t constants[8] = {1};

const fedtiny_model model = {
    .kernels = kernels,
    .layers = layers,
    .tensors = tensors,
    .row_address = row_address,
    .program = program,
    .inputs = inputs,
    .outputs = outputs,
    .constants = constants,
    .arena_bytes = MODEL_ARENA_BYTES,
    .arena_alignment = MODEL_ARENA_ALIGNMENT,
    .pointers = 88,
    .counters = 80,
    .constants_bytes = sizeof constants,
    .n_kernels = 2,
    .n_layers = MODEL_LAYERS,
    .n_tensors = 3,
    .n_rows = 9,
    .n_entries = sizeof program / sizeof program[0],
    .n_inputs = 1,
    .n_outputs = 1,
    .max_window = 2,
    .address_shift = 3,
    .n_counters = 2,
};

fedtiny_status model_init(void *arena) {
    return fedtiny_reset(&model, arena, MODEL_ARENA_BYTES);
}

fedtiny_status model_invoke(void *arena, const void *input, void *output) {
    return model_invoke_hooked(arena, input, output, NULL);
}

fedtiny_status model_invoke_hooked(void *arena, const void *input, void *output,
                                   const fedtiny_hooks *hooks) {
    fedtiny_status status = fedtiny_reset(&model, arena, MODEL_ARENA_BYTES);
#ifdef TINY_FED
    for (int row = 0; status == FEDTINY_OK && row < ROWS; row++) {
        status = fedtiny_push_row(&model, arena, (const uint8_t *)input + row * COLUMNS, hooks);
    }
#else
    if (status == FEDTINY_OK) {
        status = fedtiny_set_input(&model, arena, 0, input, MODEL_INPUT_BYTES);
    }
    if (status == FEDTINY_OK) {
        status = fedtiny_run(&model, arena, hooks);
    }
#endif
    if (status == FEDTINY_OK) {
        status = fedtiny_get_output(&model, arena, 0, output, MODEL_OUTPUT_BYTES);
    }
    return status;
}
