/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations, counted, and failing on plan: those of everything linked statically (the linker's
 * --wrap), and SQLite's by its own hook. And no log: it would tell of thousands of faults. */
#include "base/log.h"
#include "tests/inject/fault_heap.h"
#include "tests/inject/faults.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The linker's names. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void __wrap_free(void *old);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
int __wrap_asprintf(char **ret_text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap_log_write(enum log_level level, const char *fmt, ...) MUSTER_PRINTF(2, 3);

static long live;

static bool strikes(enum fault_op op)
{
    enum fault_kind kind;
    return fault_strikes(op, &kind);
}

static void *given(void *memory)
{
    live += memory != NULL ? 1 : 0;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return strikes(FAULT_MALLOC) ? NULL : given(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return strikes(FAULT_MALLOC) ? NULL : given(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (strikes(FAULT_MALLOC))
        return NULL;
    void *memory = __real_realloc(old, size);
    return old == NULL ? given(memory) : memory;
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : __wrap_realloc(old, bytes);
}

void __wrap_free(void *old)
{
    live -= old != NULL ? 1 : 0;
    __real_free(old);
}

char *__wrap_strndup(const char *text, size_t length)
{
    size_t bytes = strnlen(text, length);
    char *copy = __wrap_malloc(bytes + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

int __wrap_asprintf(char **ret_text, const char *fmt, ...)
{
    va_list args;
    if (strikes(FAULT_MALLOC))
        return -1;
    va_start(args, fmt);
    int length = vasprintf(ret_text, fmt, args);
    va_end(args);
    if (length >= 0)
        live++;
    return length;
}

void __wrap_log_write(enum log_level level, const char *fmt, ...)
{
    (void)level, (void)fmt;
}

static void *sqlite_malloc(int size)
{
    return strikes(FAULT_DB_MALLOC) ? NULL : fault_heap_take(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return strikes(FAULT_DB_MALLOC) ? NULL : fault_heap_resize(old, size);
}

static int sqlite_roundup(int size)
{
    return (size + 7) & ~7;
}

static int sqlite_start(void *ctx)
{
    (void)ctx;
    return SQLITE_OK;
}

static void sqlite_end(void *ctx)
{
    (void)ctx;
}

void fault_memory_install(void)
{
    const sqlite3_mem_methods ours = {
        .xMalloc = sqlite_malloc,
        .xFree = fault_heap_give,
        .xRealloc = sqlite_realloc,
        .xSize = fault_heap_size,
        .xRoundup = sqlite_roundup,
        .xInit = sqlite_start,
        .xShutdown = sqlite_end,
    };
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK ||
        sqlite3_initialize() != SQLITE_OK) /* which goes on to count, for fault_memory_live */
        abort();
}

long fault_memory_live(void)
{
    return live + (long)sqlite3_memory_used();
}
