/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BIG_BLOCK_BYTES = 64 * 1024 };

void memory_frugal(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, BIG_BLOCK_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, BIG_BLOCK_BYTES);
#endif
}

/* With text relocations the loader has written into pages that are read-only now: they are not the
 * file's any more. */
static bool is_patched(const struct dl_phdr_info *object)
{
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        uintptr_t address = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
        for (const ElfW(Dyn) *entry = (const void *)address; entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_TEXTREL ||
                (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0))
                return true;
        }
    }
    return false;
}

static int let_go(struct dl_phdr_info *object, size_t size, void *ctx)
{
    const uintptr_t page = *(const uintptr_t *)ctx;
    (void)size;
    if (is_patched(object))
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        /* What the loader may write into (PF_W, also where it is protected later) stays. */
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W) != 0)
            continue;
        uintptr_t start = object->dlpi_addr + part->p_vaddr;
        uintptr_t end = start + part->p_memsz;
        start -= start % page;
        end -= end % page; /* the last page may hold the start of the next part */
        if (end > start)
            (void)madvise((void *)start, end - start,
                          MADV_DONTNEED); /* a hint; it may be refused */
    }
    return 0;
}

void memory_give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void memory_settle(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    memory_give_back();
    (void)dl_iterate_phdr(let_go, &page);
}
