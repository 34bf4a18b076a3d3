/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"

/*
 * The one seam to the file system for everything that is not SQLite. All paths are plain
 * C strings, relative to the working directory or absolute. What these functions say is done is
 * on the medium: file and directory are fsynced before they return true.
 */

/* Whole file into memory; ERR_INVALID if it is longer than `limit`. The caller calls buf_done. */
bool file_read(const char *path, size_t limit, struct buf *ret_content,
               struct err *err) MUSTER_CHECK;
/* Gives a file of any length in parts, so that it need not fit in memory. */
bool file_scan(const char *path, void (*each)(void *ctx, struct bytes part), void *ctx,
               struct err *err) MUSTER_CHECK;
/* The end of a regular file, at most `max` bytes of it, appended; `*ret_size` is all that it has.
 * ERR_REFUSED: somebody else than root has led the path there, by a symbolic link or another name
 * of the same file. */
bool file_tail(const char *path, size_t max, struct buf *out, uint64_t *ret_size,
               struct err *err) MUSTER_CHECK;
/* Writes `path` whole or not at all: a temporary name beside it (".<name>.<16 hex>.new", which a
 * power cut may leave behind), fsync, rename, fsync of the directory. `mode` as in open(2), not
 * subject to the umask. */
bool file_write(const char *path, struct bytes content, unsigned mode,
                struct err *err) MUSTER_CHECK;
/* The same for what is too long for memory: opened, added to, then kept or dropped (NULL is fine);
 * both end the writer, keeping also when it fails. */
struct file_writer;
bool file_writer_open(const char *path, unsigned mode, struct file_writer **ret_writer,
                      struct err *err) MUSTER_CHECK;
bool file_writer_add(struct file_writer *writer, struct bytes part, struct err *err) MUSTER_CHECK;
bool file_writer_keep(struct file_writer *writer, struct err *err) MUSTER_CHECK;
void file_writer_drop(struct file_writer *writer);
/* Overwrites part of a file where it stands, so that no disk space is needed; a power cut may leave
 * any mix of old and new bytes. The file must exist and reach over all of it (ERR_INVALID): it
 * never grows. */
bool file_patch(const char *path, uint64_t offset, struct bytes content,
                struct err *err) MUSTER_CHECK;
/* Creates the directory and its parents (`mode` less the umask); existing ones are fine. */
bool file_make_dir(const char *path, unsigned mode, struct err *err) MUSTER_CHECK;
bool file_link(const char *from, const char *to, struct err *err) MUSTER_CHECK;
/* rename(2), then fsync of both directories. Replaces `to`. */
bool file_rename(const char *from, const char *to, struct err *err) MUSTER_CHECK;
/* Makes `path` a symbolic link to `target`, replacing what is there in one step. */
bool file_point(const char *path, const char *target, struct err *err) MUSTER_CHECK;
/* Missing is fine. */
bool file_remove(const char *path, struct err *err) MUSTER_CHECK;
/* Removes a directory with all below it; does not follow symbolic links; missing is fine. */
bool file_remove_tree(const char *path, struct err *err) MUSTER_CHECK;
bool file_sync_dir(const char *path, struct err *err) MUSTER_CHECK;
/* Removes what interrupted writes of `path`, and of names that go on from it with a '.', have left
 * beside it. No such directory is fine. */
bool file_sweep_beside(const char *path, struct err *err) MUSTER_CHECK;
/* Gives a regular file this mode (as in open(2)); ERR_INVALID: it is none, or a link to one. */
bool file_set_mode(const char *path, unsigned mode, struct err *err) MUSTER_CHECK;
/* Nobody but root and this process's own user could have changed the file, or put another one
 * there: each folder on the way to it, as it is written and as it resolves, is theirs alone, or
 * sticky; ERR_REFUSED otherwise. */
bool file_is_guarded(const char *path, struct err *err) MUSTER_CHECK;
bool file_exists(const char *path); /* a dangling symbolic link exists too */
/* Calls `each` with every entry's name but "." and ".."; a false from it ends the walk. */
bool file_list(const char *dir, bool (*each)(void *ctx, const char *name), void *ctx,
               struct err *err) MUSTER_CHECK;

/* path_join(out, sizeof out, "/var", "x") -> "/var/x"; ERR_INVALID if it does not fit. */
bool path_join(char *out, size_t size, const char *dir, const char *name,
               struct err *err) MUSTER_CHECK;

#endif
