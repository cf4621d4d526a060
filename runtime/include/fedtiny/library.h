/* libfedtiny: runs packed models (`fedtiny export --format packed` writes model.fedtiny).
 *
 * A network is made from a packed model and used by one thread at a time; different networks by as
 * many threads as there are. Nothing is kept outside of networks. What FEDTINY_API declares is the
 * ABI: within one major version it only grows. Structs begin with their size in bytes, which the
 * caller sets, so that members can be added at their end.
 */
#ifndef FEDTINY_LIBRARY_H
#define FEDTINY_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef FEDTINY_API
#define FEDTINY_API __attribute__((visibility("default")))
#endif

#define FEDTINY_ABI_MAJOR 1
#define FEDTINY_ABI_MINOR 0

/* What every call returns; FEDTINY_RESULT_OK is 0. */
typedef int32_t fedtiny_result;

enum {
    FEDTINY_RESULT_OK = 0,
    FEDTINY_RESULT_ARGUMENT = 1, /* null pointer or index out of range */
    FEDTINY_RESULT_ARENA = 2,    /* arena too small or misaligned */
    FEDTINY_RESULT_SIZE = 3,     /* a buffer's size is not the tensor's */
    FEDTINY_RESULT_STATE = 4,    /* the program stopped early */
    FEDTINY_RESULT_MODEL = 5,    /* the packed model is damaged or contradicts itself */
    FEDTINY_RESULT_FILE = 6,     /* the file cannot be read */
    FEDTINY_RESULT_MEMORY = 7,   /* out of memory */
    FEDTINY_RESULT_VERSION = 8,  /* packed for another version of the library */
    FEDTINY_RESULT_KERNEL = 9    /* needs a kernel that is not here, or dot products */
};

enum { FEDTINY_TYPE_INT8 = 1, FEDTINY_TYPE_FLOAT32 = 2 };

enum { FEDTINY_MOST_DIMENSIONS = 8 };

typedef struct fedtiny_network fedtiny_network;

/* A tensor as the caller sees it; real = scale * (value - zero_point), scale 0 where values are
 * real already. `kernel` is what computes a layer, NULL for inputs and outputs. */
typedef struct {
    size_t struct_bytes;
    const char *name; /* lives as long as the network */
    const char *kernel;
    size_t bytes;
    int32_t type;
    float scale;
    int32_t zero_point;
    uint32_t dimensions;
    uint32_t shape[FEDTINY_MOST_DIMENSIONS];
} fedtiny_tensor_info;

/* Called once for every layer at the end of an inference: time of all its steps. */
typedef void (*fedtiny_layer_timer)(void *context, uint32_t layer, uint64_t nanoseconds);

/* FEDTINY_PORTABLE takes plain C where vectors are chosen at run time. Results are the same. */
enum { FEDTINY_PORTABLE = 1 };

/* major << 16 | minor of the library that is loaded. */
FEDTINY_API uint32_t fedtiny_abi_version(void);

/* The vectors that kernels use on this processor: "avx2", "neon", "neon+dotprod" or "c". */
FEDTINY_API const char *fedtiny_vectors(void);

/* One sentence; never NULL. */
FEDTINY_API const char *fedtiny_result_text(fedtiny_result result);

/* Reads a file. `flags` is 0 or FEDTINY_PORTABLE. On an error *network is NULL. */
FEDTINY_API fedtiny_result fedtiny_network_open(const char *path, uint32_t flags,
                                                fedtiny_network **network);

/* The same from memory, which must live as long as the network; it is copied only where its address
 * is no multiple of 64. */
FEDTINY_API fedtiny_result fedtiny_network_create(const void *data, size_t bytes, uint32_t flags,
                                                  fedtiny_network **network);

/* NULL is allowed. */
FEDTINY_API void fedtiny_network_destroy(fedtiny_network *network);

/* Counts; 0 for NULL. */
FEDTINY_API uint32_t fedtiny_network_inputs(const fedtiny_network *network);
FEDTINY_API uint32_t fedtiny_network_outputs(const fedtiny_network *network);
FEDTINY_API uint32_t fedtiny_network_layers(const fedtiny_network *network);

/* Fill *info, whose struct_bytes the caller has set. */
FEDTINY_API fedtiny_result fedtiny_network_input(const fedtiny_network *network, uint32_t index,
                                                 fedtiny_tensor_info *info);
FEDTINY_API fedtiny_result fedtiny_network_output(const fedtiny_network *network, uint32_t index,
                                                  fedtiny_tensor_info *info);
FEDTINY_API fedtiny_result fedtiny_network_layer(const fedtiny_network *network, uint32_t index,
                                                 fedtiny_tensor_info *info);

/* Memory that an inference writes. */
FEDTINY_API size_t fedtiny_network_arena_bytes(const fedtiny_network *network);
FEDTINY_API size_t fedtiny_network_arena_alignment(const fedtiny_network *network);

/* Takes the caller's memory for the arena; without it the first inference allocates one. It holds
 * nothing of value between inferences: networks that never run at the same time may share it. */
FEDTINY_API fedtiny_result fedtiny_network_set_arena(fedtiny_network *network, void *arena,
                                                     size_t bytes);

/* NULL turns timing off. */
FEDTINY_API fedtiny_result fedtiny_network_set_timer(fedtiny_network *network,
                                                     fedtiny_layer_timer timer, void *context);

/* One inference: a pointer to the values of every input and of every output. */
FEDTINY_API fedtiny_result fedtiny_network_invoke(fedtiny_network *network,
                                                  const void *const *inputs, void *const *outputs);

#ifdef __cplusplus
}
#endif

#endif
