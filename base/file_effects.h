/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FILE_EFFECTS_H
#define BASE_FILE_EFFECTS_H

#include "base/buf.h"

#include <sys/types.h>

/*
 * Every change that base/file.c makes to the file system is one of these system calls, with its
 * result and errno. A program that defines all of them itself gets its own in place of ours: that
 * is how tests log what reaches the disk, and let it fail.
 */
int file_effect_create(const char *path, unsigned mode); /* new and empty, for writing */
ssize_t file_effect_write(int fd, struct bytes part);
ssize_t file_effect_write_at(int fd, struct bytes part, off_t offset);
int file_effect_chmod(int fd, unsigned mode);
int file_effect_sync(int fd); /* of a file or of a directory */
int file_effect_rename(const char *from, const char *to);
int file_effect_link(const char *from, const char *to);
int file_effect_symlink(const char *target, const char *path);
int file_effect_unlink(int dir_fd, const char *name, bool is_dir);
int file_effect_mkdir(const char *path, unsigned mode);

#endif
