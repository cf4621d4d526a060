/* fully_connected over nonzeros, int8: the registers are a table of 128 inputs.
 *
 * A step gathers any four inputs for each of four outputs by their numbers and multiplies them by
 * sixteen weights; `packing/fully_connected_table.py` says how steps are made. Outputs are computed
 * in an order that makes the steps of four of them about equally many, then put in theirs. */
#include "src/features.h"
#include "src/requantize.h"
#include "src/simd_s8.h"

enum { TABLE = 128, GROUP = 4, STEP = 16, LANES = 16 };

/* Where a kernel stands in the steps. */
typedef struct {
    const uint8_t *counts; /* steps of each group */
    const uint8_t *steps;  /* 16 numbers of inputs, 16 weights */
} place_t;

typedef struct {
    int32_t sums[TABLE];
    int8_t sorted[TABLE];
    int8_t inputs[TABLE]; /* the last ones, where they do not fill a table */
} scratch_t;

#if defined(__aarch64__) && defined(__ARM_NEON)

/* v29 and v30 are free. */
#define MULTIPLY_PLAIN                                                                             \
    "smull v29.8h, v28.8b, v27.8b\n smull2 v30.8h, v28.16b, v27.16b\n"                             \
    "addp v29.8h, v29.8h, v30.8h\n sadalp v24.4s, v29.8h\n"
/* sdot v24.4s, v28.16b, v27.16b: GNU as 2.40 refuses its name in a file for Armv8.0. */
#define MULTIPLY_DOT ".inst 0x4e9b9798\n"

/* The table must be v16 to v23: compilers move registers about around TBL of four. For every group:
 * its count of steps, its sums, the steps. */
#define RUN_GROUPS(name, multiply)                                                                 \
    static void name(const int8_t *inputs, const int32_t *from, int32_t *sums, size_t groups,      \
                     place_t *at) {                                                                \
        size_t left;                                                                               \
        __asm__ volatile("ldp q16, q17, [%[x]]\n"                                                  \
                         "ldp q18, q19, [%[x], #32]\n"                                             \
                         "ldp q20, q21, [%[x], #64]\n"                                             \
                         "ldp q22, q23, [%[x], #96]\n"                                             \
                         "movi v25.16b, #64\n"                                                     \
                         "1: ldrb %w[left], [%[counts]], #1\n"                                     \
                         "ldr q24, [%[from]], #16\n"                                               \
                         "cbz %w[left], 3f\n"                                                      \
                         "2: ldp q26, q27, [%[step]], #32\n"                                       \
                         "subs %w[left], %w[left], #1\n"                                           \
                         "tbl v28.16b, {v16.16b - v19.16b}, v26.16b\n"                             \
                         "sub v26.16b, v26.16b, v25.16b\n"                                         \
                         "tbx v28.16b, {v20.16b - v23.16b}, v26.16b\n" multiply "b.ne 2b\n"        \
                         "3: subs %[groups], %[groups], #1\n"                                      \
                         "str q24, [%[sums]], #16\n"                                               \
                         "b.ne 1b\n"                                                               \
                         : [step] "+r"(at->steps), [counts] "+r"(at->counts), [from] "+r"(from),   \
                           [sums] "+r"(sums), [groups] "+r"(groups), [left] "=&r"(left)            \
                         : [x] "r"(inputs)                                                         \
                         : "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",   \
                           "v26", "v27", "v28", "v29", "v30", "cc", "memory");                     \
    }

RUN_GROUPS(run_groups_plain, MULTIPLY_PLAIN)
RUN_GROUPS(run_groups_dot, MULTIPLY_DOT)

/* Sums plus their products with one table of inputs. */
FEDTINY_INLINE void run_groups(const int8_t *inputs, const int32_t *from, int32_t *sums,
                               size_t groups, place_t *at) {
    if (fedtiny_has_dot_products()) {
        run_groups_dot(inputs, from, sums, groups, at);
    } else {
        run_groups_plain(inputs, from, sums, groups, at);
    }
}

/* fedtiny_follow of sixteen sums. */
FEDTINY_INLINE void follow(int8_t *out, const int32_t *sums, const fedtiny_line *line, int32_t low,
                           int32_t high) {
    const int64x2_t rounding = vdupq_n_s64(line->rounding);
    const int32x4_t multiplier = vdupq_n_s32(line->multiplier), right = vdupq_n_s32(-line->shift);
    int32x4_t value[4];
    FEDTINY_UNROLL
    for (int i = 0; i < 4; i++) {
        const int32x4_t sum = vld1q_s32(sums + 4 * i);
        const int64x2_t first = vmull_s32(vget_low_s32(sum), vget_low_s32(multiplier));
        const int64x2_t second = vmull_high_s32(sum, multiplier);
        const int32x4_t upper = vaddhn_high_s64(vaddhn_s64(first, rounding), second, rounding);
        value[i] = vshlq_s32(upper, right);
    }
    const int8x16_t narrow = fedtiny_narrow(value, 0);
    vst1q_s8(out, vminq_s8(vmaxq_s8(narrow, vdupq_n_s8((int8_t)low)), vdupq_n_s8((int8_t)high)));
}

/* out[i] = sorted[where[i]], sixteen at a time. */
FEDTINY_INLINE void look_up(int8_t *out, const int8_t *sorted, const uint8_t *where) {
    const uint8_t *x = (const uint8_t *)sorted;
    const uint8x16x4_t low = {{vld1q_u8(x), vld1q_u8(x + 16), vld1q_u8(x + 32), vld1q_u8(x + 48)}};
    const uint8x16x4_t high = {
        {vld1q_u8(x + 64), vld1q_u8(x + 80), vld1q_u8(x + 96), vld1q_u8(x + 112)}};
    const uint8x16_t which = vld1q_u8(where);
    const uint8x16_t upper = vsubq_u8(which, vdupq_n_u8(TABLE / 2));
    vst1q_s8(out, vreinterpretq_s8_u8(vqtbx4q_u8(vqtbl4q_u8(low, which), high, upper)));
}

#else

static void run_groups(const int8_t *inputs, const int32_t *from, int32_t *sums, size_t groups,
                       place_t *at) {
    for (; groups > 0; groups--, from += GROUP, sums += GROUP) {
        for (size_t k = 0; k < GROUP; k++) {
            sums[k] = from[k];
        }
        for (size_t left = *at->counts++; left > 0; left--, at->steps += 2 * STEP) {
            for (size_t i = 0; i < STEP; i++) {
                sums[i / 4] += inputs[at->steps[i]] * (int8_t)at->steps[STEP + i];
            }
        }
    }
}

static void follow(int8_t *out, const int32_t *sums, const fedtiny_line *line, int32_t low,
                   int32_t high) {
    for (size_t i = 0; i < LANES; i++) {
        out[i] = (int8_t)fedtiny_clamp_s32(fedtiny_follow(line, sums[i]), low, high);
    }
}

static void look_up(int8_t *out, const int8_t *sorted, const uint8_t *where) {
    for (size_t i = 0; i < LANES; i++) {
        out[i] = sorted[where[i]];
    }
}

#endif

/* `count` outputs, at most a table of them, in the order of the graph. */
static void write_outputs(int8_t *out, const scratch_t *scratch, const uint8_t *where,
                          size_t count) {
    for (; count >= LANES; count -= LANES, out += LANES, where += LANES) {
        look_up(out, scratch->sorted, where);
    }
    for (; count > 0; count--) {
        *out++ = scratch->sorted[*where++];
    }
}

fedtiny_status fedtiny_fully_connected_table_s8(const fedtiny_call *call) {
    const fedtiny_fully_connected_table_s8_params *p = call->params;
    const fedtiny_line line =
        fedtiny_line_of(p->multiplier, p->rounding_low, p->rounding_high, p->shift);
    const int32_t low = p->output_min, high = p->output_max;
    const int32_t *bias = fedtiny_constant(call, p->bias);
    const uint8_t *where = fedtiny_constant(call, p->where);
    const int8_t *in = call->in[0];
    const size_t whole = p->inputs / TABLE * TABLE;
    place_t at = {fedtiny_constant(call, p->counts), fedtiny_constant(call, p->steps)};
    scratch_t *scratch = call->scratch;
    int8_t *out = call->out[0];
    for (size_t i = whole; i < p->inputs; i++) {
        scratch->inputs[i - whole] = in[i];
    }
    for (size_t done = 0; done < p->outputs; done += TABLE) {
        const size_t left = p->outputs - done, count = left < TABLE ? left : TABLE;
        const size_t groups = (count + GROUP - 1) / GROUP;
        const int32_t *from = bias + done;
        for (size_t first = 0; first < p->inputs; first += TABLE) {
            const int8_t *inputs = first == whole ? scratch->inputs : in + first;
            run_groups(inputs, from, scratch->sums, groups, &at);
            from = scratch->sums;
        }
        for (size_t i = 0; i < count; i += LANES) {
            follow(scratch->sorted + i, scratch->sums + i, &line, low, high);
        }
        write_outputs(out + done, scratch, where + done, count);
    }
    return FEDTINY_OK;
}
