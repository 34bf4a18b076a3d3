/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_internal.h"

#include "base/clock.h"
#include "base/file_effects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_STEP_BYTES = 64 * 1024,
    TREE_DEPTH_MAX = 32, /* each level holds a descriptor */
};

bool path_join(char *out, size_t size, const char *dir, const char *name, struct err *err)
{
    size_t length = strlen(dir);
    const char *slash = length == 0 || dir[length - 1] == '/' ? "" : "/";
    int n = snprintf(out, size, "%s%s%s", dir, slash, name);
    if (n < 0 || (size_t)n >= size)
        return err_set(err, ERR_INVALID, "path %.100s%s%.100s is longer than %zu bytes", dir, slash,
                       name, size - 1);
    return true;
}

/* The directory that holds `path`, as dirname(3) means it. */
static bool parent_of(const char *path, char parent[PATH_MAX], struct err *err)
{
    size_t length = strlen(path);
    if (length >= PATH_MAX)
        return err_set(err, ERR_INVALID, "path %.100s... is too long", path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0) {
        memcpy(parent, ".", 2);
        return true;
    }
    memcpy(parent, path, length);
    parent[length] = '\0';
    return true;
}

bool file_name_beside(const char *path, char beside[PATH_MAX], struct err *err)
{
    char parent[PATH_MAX], name[NAME_MAX + 1];
    if (!parent_of(path, parent, err))
        return false;
    const char *slash = strrchr(path, '/');
    int n = snprintf(name, sizeof name, ".%s.%016" PRIx64 ".new", slash != NULL ? slash + 1 : path,
                     random_u64());
    if (n < 0 || (size_t)n >= sizeof name)
        return err_set(err, ERR_INVALID, "file name %.100s... is too long", path);
    return path_join(beside, PATH_MAX, parent, name, err);
}

bool file_sync_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot open directory %s", path);
    int failed = file_effect_sync(fd) != 0 ? errno : 0;
    (void)close(fd);
    if (failed != 0)
        return err_errno(err, failed, "cannot sync directory %s", path);
    return true;
}

static bool sync_parent(const char *path, struct err *err)
{
    char parent[PATH_MAX];
    return parent_of(path, parent, err) && file_sync_dir(parent, err);
}

static bool read_all(int fd, const char *path, size_t limit, struct buf *content, struct err *err)
{
    for (;;) {
        size_t room = limit - content->length;
        /* One byte more than allowed tells a longer file from one of exactly `limit`. */
        size_t step = room < READ_STEP_BYTES ? room + 1 : READ_STEP_BYTES;
        uint8_t *to = buf_reserve(content, step, err);
        if (to == NULL)
            return err_context(err, "cannot read %s", path);
        ssize_t n = read(fd, to, step);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "cannot read %s", path);
        if (n == 0)
            return true;
        content->length += (size_t)n;
        if (content->length > limit)
            return err_set(err, ERR_INVALID, "%s is longer than %zu bytes", path, limit);
    }
}

bool file_read(const char *path, size_t limit, struct buf *ret_content, struct err *err)
{
    /* O_NONBLOCK: opening a FIFO that somebody left there must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", path);
    struct stat st;
    struct buf content = {.limit = limit < SIZE_MAX ? limit + 1 : limit};
    bool ok = false;
    if (fstat(fd, &st) != 0)
        err_errno(err, errno, "cannot stat %s", path);
    else if (!S_ISREG(st.st_mode))
        err_set(err, ERR_INVALID, "%s is not a regular file", path);
    else
        ok = read_all(fd, path, limit, &content, err);
    (void)close(fd);
    if (!ok) {
        buf_done(&content);
        return false;
    }
    *ret_content = content;
    return true;
}

bool file_write_all(int fd, struct bytes content)
{
    while (content.length > 0) {
        ssize_t n = file_effect_write(fd, content);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        content = bytes_of(content.data + n, content.length - (size_t)n);
    }
    return true;
}

static bool create_synced(const char *path, struct bytes content, unsigned mode, struct err *err)
{
    int fd = file_effect_create(path, mode);
    if (fd < 0)
        return err_errno(err, errno, "cannot create %s", path);
    int failed = 0;
    if (file_effect_chmod(fd, mode) != 0 || !file_write_all(fd, content) ||
        file_effect_sync(fd) != 0)
        failed = errno;
    if (close(fd) != 0 && failed == 0)
        failed = errno;
    if (failed == 0)
        return true;
    (void)file_effect_unlink(AT_FDCWD, path, false);
    return err_errno(err, failed, "cannot write %s", path);
}

bool file_put_in_place(const char *beside, const char *path, struct err *err)
{
    if (file_effect_rename(beside, path) != 0) {
        err_errno(err, errno, "cannot rename %s to %s", beside, path);
        (void)file_effect_unlink(AT_FDCWD, beside, false);
        return false;
    }
    return sync_parent(path, err);
}

bool file_write(const char *path, struct bytes content, unsigned mode, struct err *err)
{
    char beside[PATH_MAX];
    return file_name_beside(path, beside, err) && create_synced(beside, content, mode, err) &&
           file_put_in_place(beside, path, err);
}

static bool write_at(int fd, uint64_t offset, struct bytes content)
{
    while (content.length > 0) {
        ssize_t n = file_effect_write_at(fd, content, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        content = bytes_of(content.data + n, content.length - (size_t)n);
        offset += (uint64_t)n;
    }
    return true;
}

bool file_patch(const char *path, uint64_t offset, struct bytes content, struct err *err)
{
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", path);
    struct stat st;
    bool ok = false;
    if (fstat(fd, &st) != 0)
        err_errno(err, errno, "cannot stat %s", path);
    else if (!S_ISREG(st.st_mode))
        err_set(err, ERR_INVALID, "%s is not a regular file", path);
    else if (offset > (uint64_t)st.st_size || content.length > (uint64_t)st.st_size - offset)
        err_set(err, ERR_INVALID, "%s has %lld bytes, too short for %zu at %" PRIu64, path,
                (long long)st.st_size, content.length, offset);
    else if (!write_at(fd, offset, content) || file_effect_sync(fd) != 0)
        err_errno(err, errno, "cannot write into %s", path);
    else
        ok = true;
    if (close(fd) != 0 && ok)
        ok = err_errno(err, errno, "cannot close %s", path);
    return ok;
}

bool file_set_mode(const char *path, unsigned mode, struct err *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", path);
    struct stat st;
    bool ok = false;
    if (fstat(fd, &st) != 0)
        err_errno(err, errno, "cannot stat %s", path);
    else if (!S_ISREG(st.st_mode))
        err_set(err, ERR_INVALID, "%s is not a regular file", path);
    else if (file_effect_chmod(fd, mode) != 0 || file_effect_sync(fd) != 0)
        err_errno(err, errno, "cannot change the mode of %s", path);
    else
        ok = true;
    (void)close(fd);
    return ok;
}

bool file_point(const char *path, const char *target, struct err *err)
{
    char beside[PATH_MAX];
    if (!file_name_beside(path, beside, err))
        return false;
    if (file_effect_symlink(target, beside) != 0)
        return err_errno(err, errno, "cannot make the link %s", beside);
    return file_put_in_place(beside, path, err);
}

/* One directory whose parent exists. */
static bool make_one_dir(const char *path, unsigned mode, struct err *err)
{
    if (file_effect_mkdir(path, mode) == 0)
        return sync_parent(path, err);
    int failed = errno;
    struct stat st;
    if (failed == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    return err_errno(err, failed, "cannot make directory %s", path);
}

bool file_make_dir(const char *path, unsigned mode, struct err *err)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return err_set(err, ERR_INVALID, "directory name of %zu bytes", length);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        bool ok = make_one_dir(part, mode, err);
        part[i] = '/';
        if (!ok)
            return false;
    }
    return make_one_dir(part, mode, err);
}

bool file_link(const char *from, const char *to, struct err *err)
{
    if (file_effect_link(from, to) != 0)
        return err_errno(err, errno, "cannot link %s to %s", from, to);
    return sync_parent(to, err);
}

bool file_rename(const char *from, const char *to, struct err *err)
{
    if (file_effect_rename(from, to) != 0)
        return err_errno(err, errno, "cannot rename %s to %s", from, to);
    char from_dir[PATH_MAX], to_dir[PATH_MAX];
    if (!parent_of(from, from_dir, err) || !parent_of(to, to_dir, err))
        return false;
    /* The new name first: after a power cut in between the file has two names, never none. */
    return file_sync_dir(to_dir, err) &&
           (strcmp(from_dir, to_dir) == 0 || file_sync_dir(from_dir, err));
}

bool file_remove(const char *path, struct err *err)
{
    if (file_effect_unlink(AT_FDCWD, path, false) == 0)
        return sync_parent(path, err);
    if (errno == ENOENT)
        return true;
    return err_errno(err, errno, "cannot remove %s", path);
}

static bool is_dot_name(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool remove_entry(int dir_fd, const char *name, unsigned depth, struct err *err);

/* Takes `fd` over. */
static bool empty_dir(int fd, const char *name, unsigned depth, struct err *err)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        err_errno(err, errno, "cannot list %s", name);
        (void)close(fd);
        return false;
    }
    bool ok = true;
    while (ok) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0)
                ok = err_errno(err, errno, "cannot list %s", name);
            break;
        }
        if (!is_dot_name(entry->d_name))
            ok = remove_entry(fd, entry->d_name, depth, err);
    }
    (void)closedir(dir);
    return ok;
}

static bool remove_entry(int dir_fd, const char *name, unsigned depth, struct err *err)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_dir = fd >= 0;
    if (!is_dir && errno == ENOENT)
        return true;
    if (!is_dir && errno != ENOTDIR && errno != ELOOP)
        return err_errno(err, errno, "cannot open %s", name);
    if (is_dir && depth == 0) {
        (void)close(fd);
        return err_set(err, ERR_INVALID, "%s is nested too deep", name);
    }
    if (is_dir && !empty_dir(fd, name, depth - 1, err))
        return false;
    if (file_effect_unlink(dir_fd, name, is_dir) != 0 && errno != ENOENT)
        return err_errno(err, errno, "cannot remove %s", name);
    return true;
}

bool file_remove_tree(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return true;
    if (!remove_entry(AT_FDCWD, path, TREE_DEPTH_MAX, err))
        return err_context(err, "removing %s", path);
    return sync_parent(path, err);
}

bool file_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool file_list(const char *dir, bool (*each)(void *ctx, const char *name), void *ctx,
               struct err *err)
{
    DIR *list = opendir(dir);
    if (list == NULL)
        return err_errno(err, errno, "cannot list %s", dir);
    bool ok = true;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(list);
        if (entry == NULL) {
            if (errno != 0)
                ok = err_errno(err, errno, "cannot list %s", dir);
            break;
        }
        if (!is_dot_name(entry->d_name) && !each(ctx, entry->d_name))
            break;
    }
    (void)closedir(list);
    return ok;
}
