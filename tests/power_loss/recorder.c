/* Writes down, in one order, what a process asks of the file system below one directory, for
 * LD_PRELOAD. Nothing is brought to a disk: a sync is only written down, as begun and as ended.
 *
 * POWER_LOSS_ROOT   the directory, as an absolute path without links
 * POWER_LOSS_MARKS  a file elsewhere: what is written to it is put into the same order
 * POWER_LOSS_JOURNAL  where to write; `journal.rs` reads it and has the format
 *
 * A call that could change a file and is not understood ends the process. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    CREATE = 1,
    WRITE = 2,
    RESIZE = 3,
    RENAME = 4,
    UNLINK = 5,
    MKDIR = 6,
    RMDIR = 7,
    LINK = 8,
    SYNC_BEGAN = 9,
    SYNC_ENDED = 10,
    MARK = 11,
    SYNC_RANGE = 12,
};

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char root[PATH_MAX];
static size_t root_len;
static char marks[PATH_MAX];
static uint64_t syncs;

static void die(const char *why) {
    dprintf(2, "recorder: %s\n", why);
    abort();
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("POWER_LOSS_ROOT");
    const char *journal_path = getenv("POWER_LOSS_JOURNAL");
    const char *marks_path = getenv("POWER_LOSS_MARKS");
    if (!path || !journal_path || !marks_path)
        die("not told where");
    snprintf(root, sizeof root, "%s", path);
    root_len = strlen(root);
    snprintf(marks, sizeof marks, "%s", marks_path);
    journal = syscall(SYS_openat, AT_FDCWD, journal_path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    if (journal < 0)
        die("cannot open the journal");
}

static int is_below(const char *path) {
    return root_len && strncmp(path, root, root_len) == 0 &&
           (path[root_len] == '/' || path[root_len] == 0);
}

/* The absolute path that `path` names; links in it are not followed. */
static const char *absolute(int directory, const char *path, char *room) {
    if (path[0] == '/') {
        snprintf(room, PATH_MAX, "%s", path);
        return room;
    }
    char base[PATH_MAX];
    if (directory == AT_FDCWD) {
        if (!getcwd(base, sizeof base))
            return "";
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t len = readlink(link, base, sizeof base - 1);
        if (len < 0)
            return "";
        base[len] = 0;
    }
    if (snprintf(room, PATH_MAX, "%s/%s", base, path) >= PATH_MAX)
        die("a path is too long");
    return room;
}

/* Where an open file is; one that was unlinked keeps its path and gets a suffix. */
static int path_of(int fd, char *room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, room, PATH_MAX - 1);
    if (len < 0)
        return 0;
    room[len] = 0;
    return 1;
}

static int is_recorded(int fd, char *path) {
    int saved = errno;
    int found = journal >= 0 && path_of(fd, path) && is_below(path);
    errno = saved;
    return found;
}

static uint64_t inode_of(int fd) {
    struct stat found;
    if (fstat(fd, &found))
        die("cannot look at an open file");
    return found.st_ino;
}

static void put(const void *bytes, size_t len) {
    const char *rest = bytes;
    while (len) {
        ssize_t done = syscall(SYS_write, journal, rest, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            die("cannot write the journal");
        rest += done;
        len -= done;
    }
}

/* One entry: the kind, two numbers, the length of the bytes, the bytes. */
static void record(enum kind kind, uint64_t first, uint64_t second, const void *bytes, size_t len) {
    int saved = errno;
    uint64_t head[4] = {kind, first, second, len};
    put(head, sizeof head);
    put(bytes, len);
    errno = saved;
}

static void record_path(enum kind kind, uint64_t first, uint64_t second, const char *path) {
    record(kind, first, second, path, strlen(path));
}

static void record_two(enum kind kind, const char *from, const char *to) {
    char both[2 * PATH_MAX];
    size_t from_len = strlen(from), to_len = strlen(to);
    memcpy(both, from, from_len);
    memcpy(both + from_len, to, to_len);
    record(kind, from_len, to_len, both, from_len + to_len);
}

#define LOCKED(...) \
    do { \
        pthread_mutex_lock(&order); \
        __VA_ARGS__; \
        pthread_mutex_unlock(&order); \
    } while (0);

/* ------------------------------------------------------------------------------- names */

static int opened(int directory, const char *path, int flags, mode_t mode) {
    char room[PATH_MAX];
    const char *name = absolute(directory, path, room);
    if (!is_below(name) || !(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE)
        return syscall(SYS_openat, directory, path, flags, mode);
    int fd;
    LOCKED({
        struct stat before;
        int was_there = lstat(name, &before) == 0;
        fd = syscall(SYS_openat, directory, path, flags, mode);
        if (fd >= 0 && !was_there)
            record_path(CREATE, inode_of(fd), 0, name);
        else if (fd >= 0 && (flags & O_TRUNC) && before.st_size)
            record(RESIZE, inode_of(fd), 0, "", 0);
    })
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return opened(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return opened(directory, path, flags, mode);
}

int creat(const char *path, mode_t mode) {
    return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode) {
    return creat(path, mode);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    char from_room[PATH_MAX], to_room[PATH_MAX];
    const char *from_name = absolute(from_directory, from, from_room);
    const char *to_name = absolute(to_directory, to, to_room);
    int is_ours = is_below(from_name) || is_below(to_name);
    if (is_ours && flags)
        die("a rename with flags");
    int done;
    LOCKED({
        done = syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
        if (done == 0 && is_ours)
            record_two(RENAME, from_name, to_name);
    })
    return done;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    return renameat2(from_directory, from, to_directory, to, 0);
}

int rename(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int directory, const char *path, int flags) {
    char room[PATH_MAX];
    const char *name = absolute(directory, path, room);
    int done;
    LOCKED({
        done = syscall(SYS_unlinkat, directory, path, flags);
        if (done == 0 && is_below(name))
            record_path(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, name);
    })
    return done;
}

int unlink(const char *path) {
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path) {
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int directory, const char *path, mode_t mode) {
    char room[PATH_MAX];
    const char *name = absolute(directory, path, room);
    int done;
    LOCKED({
        done = syscall(SYS_mkdirat, directory, path, mode);
        if (done == 0 && is_below(name))
            record_path(MKDIR, 0, 0, name);
    })
    return done;
}

int mkdir(const char *path, mode_t mode) {
    return mkdirat(AT_FDCWD, path, mode);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
    char from_room[PATH_MAX], to_room[PATH_MAX];
    const char *from_name = absolute(from_directory, from, from_room);
    const char *to_name = absolute(to_directory, to, to_room);
    int done;
    LOCKED({
        done = syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
        if (done == 0 && is_below(to_name))
            record_two(LINK, from_name, to_name);
    })
    return done;
}

int link(const char *from, const char *to) {
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int symlink(const char *target, const char *path) {
    char room[PATH_MAX];
    if (is_below(absolute(AT_FDCWD, path, room)))
        die("a symbolic link");
    return syscall(SYS_symlinkat, target, AT_FDCWD, path);
}

/* ---------------------------------------------------------------------------- contents */

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    char path[PATH_MAX];
    if (!is_recorded(fd, path))
        return syscall(SYS_pwrite64, fd, bytes, len, at);
    ssize_t done;
    LOCKED({
        done = syscall(SYS_pwrite64, fd, bytes, len, at);
        if (done > 0)
            record(WRITE, inode_of(fd), at, bytes, done);
    })
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
    return pwrite64(fd, bytes, len, at);
}

ssize_t write(int fd, const void *bytes, size_t len) {
    char path[PATH_MAX];
    if (!is_recorded(fd, path)) {
        if (journal >= 0 && path_of(fd, path) && strcmp(path, marks) == 0) {
            LOCKED(record(MARK, 0, 0, bytes, len))
            return len;
        }
        return syscall(SYS_write, fd, bytes, len);
    }
    ssize_t done;
    LOCKED({
        if (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND)
            die("a file is appended to");
        off_t at = lseek(fd, 0, SEEK_CUR);
        done = syscall(SYS_write, fd, bytes, len);
        if (done > 0)
            record(WRITE, inode_of(fd), at, bytes, done);
    })
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!is_recorded(fd, path))
        return syscall(SYS_writev, fd, parts, count);
    /* As much as the first part: callers write the rest again. */
    while (count > 1 && !parts->iov_len) {
        parts++;
        count--;
    }
    return count ? write(fd, parts->iov_base, parts->iov_len) : 0;
}

int ftruncate64(int fd, off64_t len) {
    char path[PATH_MAX];
    if (!is_recorded(fd, path))
        return syscall(SYS_ftruncate, fd, len);
    int done;
    LOCKED({
        done = syscall(SYS_ftruncate, fd, len);
        if (done == 0)
            record(RESIZE, inode_of(fd), len, "", 0);
    })
    return done;
}

int ftruncate(int fd, off_t len) {
    return ftruncate64(fd, len);
}

/* -------------------------------------------------------------------------------- syncs */

static int synced(int fd) {
    char path[PATH_MAX];
    if (!is_recorded(fd, path))
        return 0;
    uint64_t number;
    LOCKED({
        number = ++syncs;
        struct stat found;
        if (fstat(fd, &found))
            die("cannot look at what is synced");
        record_path(SYNC_BEGAN, number, S_ISDIR(found.st_mode) ? 0 : found.st_ino, path);
    })
    /* A disk takes its time, and others go on meanwhile. */
    usleep(50);
    LOCKED(record(SYNC_ENDED, number, 0, "", 0))
    return 0;
}

int fsync(int fd) {
    return synced(fd);
}

int fdatasync(int fd) {
    return synced(fd);
}

/* "None of these operations writes out the file's metadata … no guarantee that the data will be
 * available after a crash": counted, and otherwise nothing. */
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) {
    (void)flags;
    char path[PATH_MAX];
    if (is_recorded(fd, path))
        LOCKED(record(SYNC_RANGE, inode_of(fd), at, &len, sizeof len))
    return 0;
}

/* --------------------------------------------------------------------- not understood */

#define REFUSED(signature, fd, call) \
    signature { \
        char path[PATH_MAX]; \
        if (is_recorded(fd, path)) \
            die(call); \
        errno = ENOSYS; \
        return -1; \
    }

REFUSED(ssize_t pwritev(int fd, const struct iovec *p, int n, off_t at), fd, "pwritev")
REFUSED(ssize_t pwritev64(int fd, const struct iovec *p, int n, off64_t at), fd, "pwritev64")
REFUSED(ssize_t pwritev2(int fd, const struct iovec *p, int n, off_t at, int f), fd, "pwritev2")
REFUSED(ssize_t copy_file_range(int from, off64_t *a, int fd, off64_t *b, size_t n, unsigned f), fd, "copy_file_range")
REFUSED(ssize_t sendfile(int fd, int from, off_t *at, size_t n), fd, "sendfile")
REFUSED(ssize_t sendfile64(int fd, int from, off64_t *at, size_t n), fd, "sendfile64")
REFUSED(ssize_t splice(int from, off64_t *a, int fd, off64_t *b, size_t n, unsigned f), fd, "splice")
REFUSED(int fallocate(int fd, int mode, off_t at, off_t len), fd, "fallocate")
REFUSED(int fallocate64(int fd, int mode, off64_t at, off64_t len), fd, "fallocate64")

int posix_fallocate(int fd, off_t at, off_t len) {
    (void)fd, (void)at, (void)len;
    die("posix_fallocate");
    return 0;
}

int posix_fallocate64(int fd, off64_t at, off64_t len) {
    return posix_fallocate(fd, at, len);
}

int truncate(const char *path, off_t len) {
    (void)path, (void)len;
    die("truncate");
    return 0;
}

void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset) {
    char path[PATH_MAX];
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && is_recorded(fd, path))
        die("mmap");
    return (void *)syscall(SYS_mmap, at, len, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t len, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, len, protection, flags, fd, offset);
}
