/* SPDX-License-Identifier: Apache-2.0 */
#include "base/private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

bool private_process(struct err *err)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return err_errno(err, errno, "core dumps cannot be forbidden (RLIMIT_CORE)");
    /* A collector that core_pattern names is asked in spite of the limit, but not of this. */
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ||
           err_errno(err, errno, "core dumps cannot be forbidden (PR_SET_DUMPABLE)");
}

bool private_pages(size_t length, bool must_lock, void **ret_pages, struct err *err)
{
    void *pages = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return err_errno(err, errno, "no memory for what is secret");
    bool ok = madvise(pages, length, MADV_DONTDUMP) == 0 ||
              err_errno(err, errno, "memory for what is secret would be dumped");
    ok = ok && (mlock(pages, length) == 0 || !must_lock ||
                err_errno(err, errno,
                          "memory for what is secret cannot be locked: raise the limit of locked "
                          "memory (LimitMEMLOCK=)"));
    if (ok)
        *ret_pages = pages;
    else
        (void)munmap(pages, length);
    return ok;
}

void private_done(void *pages, size_t length)
{
    if (pages == NULL)
        return;
    explicit_bzero(pages, length);
    (void)munmap(pages, length);
}
