/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FILE_OTHERS_H
#define BASE_FILE_OTHERS_H

#include "base/buf.h"

/*
 * A file that another program keeps, and may be writing just now. It is only ever read; its last
 * name is not followed if it is a symbolic link, and what is no regular file is not opened.
 */
enum file_others_found {
    FILE_OTHERS_READ,
    FILE_OTHERS_MISSING,
    FILE_OTHERS_UNREADABLE,
    FILE_OTHERS_NO_FILE,  /* a link, a folder, a device */
    FILE_OTHERS_UNWANTED, /* `wanted` said no to its length */
    FILE_OTHERS_CHANGED,  /* while it was read: what was given is of no moment */
};

struct file_others {
    enum file_others_found found;
    uint64_t length; /* of a regular file, when it was opened */
    int why;         /* errno, where it is unreadable */
};

/* Gives it in parts to `each`, once `wanted` has agreed to its length. */
void file_others_read(const char *path, bool (*wanted)(void *ctx, uint64_t length),
                      void (*each)(void *ctx, struct bytes part), void *ctx,
                      struct file_others *ret_others);

#endif
