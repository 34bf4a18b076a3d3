/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_effects.h"
#include "base/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file_writer {
    int fd;
    char beside[PATH_MAX], path[PATH_MAX];
};

bool file_writer_open(const char *path, unsigned mode, struct file_writer **ret_writer,
                      struct err *err)
{
    struct file_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to write %s", path);
    if (!file_name_beside(path, writer->beside, err)) { /* which bounds the length of `path` too */
        free(writer);
        return false;
    }
    memcpy(writer->path, path, strlen(path) + 1);
    writer->fd = file_effect_create(writer->beside, mode);
    if (writer->fd < 0) {
        err_errno(err, errno, "cannot create %s", writer->beside);
        free(writer);
        return false;
    }
    if (file_effect_chmod(writer->fd, mode) != 0) {
        err_errno(err, errno, "cannot write %s", writer->beside);
        file_writer_drop(writer);
        return false;
    }
    *ret_writer = writer;
    return true;
}

bool file_writer_add(struct file_writer *writer, struct bytes part, struct err *err)
{
    return file_write_all(writer->fd, part) ||
           err_errno(err, errno, "cannot write %s", writer->beside);
}

bool file_writer_keep(struct file_writer *writer, struct err *err)
{
    int failed = file_effect_sync(writer->fd) != 0 ? errno : 0;
    if (close(writer->fd) != 0 && failed == 0)
        failed = errno;
    writer->fd = -1;
    if (failed != 0) {
        err_errno(err, failed, "cannot write %s", writer->beside);
        file_writer_drop(writer);
        return false;
    }
    bool kept = file_put_in_place(writer->beside, writer->path, err);
    free(writer);
    return kept;
}

void file_writer_drop(struct file_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->fd >= 0)
        (void)close(writer->fd);
    (void)file_effect_unlink(AT_FDCWD, writer->beside, false);
    free(writer);
}
