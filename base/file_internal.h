/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FILE_INTERNAL_H
#define BASE_FILE_INTERNAL_H

#include "base/file.h"

#include <limits.h>

/* A name beside `path` that nobody else uses: ".<name>.<random>.new". */
bool file_name_beside(const char *path, char beside[PATH_MAX], struct err *err) MUSTER_CHECK;
/* False: errno says why. */
bool file_write_all(int fd, struct bytes content) MUSTER_CHECK;
/* Gives the finished `beside` its name; it is gone if that fails. */
bool file_put_in_place(const char *beside, const char *path, struct err *err) MUSTER_CHECK;

#endif
