/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/figures.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

void figure(const char *name, double value, const char *unit)
{
    printf("%s %.*f %s\n", name, value < 100 ? 3 : 0, value, unit);
    fflush(stdout);
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

double figures_median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, ascending);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int64_t figures_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool sync_file_system(const char *path, struct stat *ret_stat, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    bool ok = syncfs(fd) == 0 && fstat(fd, ret_stat) == 0;
    int errnum = errno;
    close(fd);
    return ok || err_errno(err, errnum, "sync of %s", path);
}

bool figures_disk_written(const char *path, uint64_t *ret_bytes, struct err *err)
{
    struct stat held = {0};
    if (!sync_file_system(path, &held, err))
        return false;
    char name[64];
    snprintf(name, sizeof name, "/sys/dev/block/%u:%u/stat", major(held.st_dev),
             minor(held.st_dev));
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return err_errno(err, errno, "open %s", name);
    /* The seventh number: sectors written, of 512 bytes whatever the device's own are. */
    uint64_t sectors = 0;
    int found = fscanf(file, "%*u %*u %*u %*u %*u %*u %" SCNu64, &sectors);
    fclose(file);
    if (found != 1)
        return err_set(err, ERR_IO, "%s: not the figures of a block device", name);
    *ret_bytes = sectors * 512;
    return true;
}
