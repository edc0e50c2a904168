// Preloaded into a process, it stands between it and the disk, for files below $DISK_WATCH:
// each change, and each sync that begins to hang, is written to $DISK_TRACE, and while the file
// $DISK_FAULT exists, its first letter says what fails: 's' syncs and 'w' writes with EIO, 'f' writes
// with ENOSPC; with 'h' syncs hang. While the file $DISK_SLOW exists, each sync takes as many
// milliseconds more as it says, or until it is gone.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_watched(const char *path) {
    const char *watched = getenv("DISK_WATCH");
    return watched && strncmp(path, watched, strlen(watched)) == 0;
}

static int is_watched_file(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0 && is_watched(path);
}

static int fails(const char *kinds) {
    const char *fault = getenv("DISK_FAULT");
    char kind = 0;
    int fd = fault ? (int)syscall(SYS_openat, AT_FDCWD, fault, O_RDONLY) : -1;
    if (fd < 0) return 0;
    ssize_t got = syscall(SYS_read, fd, &kind, 1);
    syscall(SYS_close, fd);
    if (got != 1 || !strchr(kinds, kind)) return 0;
    return kind == 'f' ? ENOSPC : EIO;
}

static void trace(char op, const char *path, int64_t offset, int64_t size, const void *data) {
    static int fd = -1;
    const char *name = getenv("DISK_TRACE");
    if (!name) return;
    if (fd < 0) fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    char head[PATH_MAX + 64];
    const char *base = strrchr(path, '/') + 1;
    int length = snprintf(head, sizeof head, "%c %s %ld %ld\n", op, base, (long)offset, (long)size);
    syscall(SYS_write, fd, head, length);
    if (data) syscall(SYS_write, fd, data, size);
}

static ssize_t written(int fd, const void *data, size_t size, int64_t offset, ssize_t done) {
    char path[PATH_MAX];
    if (done > 0 && is_watched_file(fd, path)) trace('w', path, offset, done, data);
    return done;
}

#define REFUSE(kinds, failure) do { \
    char path[PATH_MAX]; \
    int code = is_watched_file(fd, path) ? fails(kinds) : 0; \
    if (code) { errno = code; return failure; } \
} while (0)

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REFUSE("wf", -1);
    return written(fd, data, size, offset, REAL(pwrite64)(fd, data, size, offset));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REFUSE("wf", -1);
    return written(fd, data, size, offset, REAL(pwrite)(fd, data, size, offset));
}

ssize_t write(int fd, const void *data, size_t size) {
    int64_t offset = lseek(fd, 0, SEEK_CUR);
    return written(fd, data, size, offset, REAL(write)(fd, data, size));
}

static int milliseconds_more(void) {
    const char *slow = getenv("DISK_SLOW");
    char text[32] = "";
    int fd = slow ? (int)syscall(SYS_openat, AT_FDCWD, slow, O_RDONLY) : -1;
    if (fd < 0) return 0;
    syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    return atoi(text);
}

static void take_time(int fd) {
    char path[PATH_MAX];
    struct timespec moment = {0, 10 * 1000 * 1000};
    if (!is_watched_file(fd, path)) return;
    for (int waited = 0; waited < milliseconds_more(); waited += 10) nanosleep(&moment, NULL);
}

static int synced(int fd, int result) {
    char path[PATH_MAX];
    if (result == 0 && is_watched_file(fd, path)) trace('s', path, 0, 0, NULL);
    return result;
}

static void hang(int fd) {
    char path[PATH_MAX];
    if (is_watched_file(fd, path) && fails("h")) trace('h', path, 0, 0, NULL);
    while (is_watched_file(fd, path) && fails("h")) usleep(20000);
}

int fsync(int fd) {
    hang(fd);
    REFUSE("s", -1);
    take_time(fd);
    return synced(fd, REAL(fsync)(fd));
}

int fdatasync(int fd) {
    hang(fd);
    REFUSE("s", -1);
    take_time(fd);
    return synced(fd, REAL(fdatasync)(fd));
}

static int cut(int fd, int64_t size, int result) {
    char path[PATH_MAX];
    if (result == 0 && is_watched_file(fd, path)) trace('t', path, size, 0, NULL);
    return result;
}

int ftruncate(int fd, off_t size) {
    REFUSE("w", -1);
    return cut(fd, size, REAL(ftruncate)(fd, size));
}

int ftruncate64(int fd, off64_t size) {
    REFUSE("w", -1);
    return cut(fd, size, REAL(ftruncate64)(fd, size));
}

static int allocated(int fd, int64_t size, int code) {
    char path[PATH_MAX];
    if (code == 0 && is_watched_file(fd, path)) trace('a', path, size, 0, NULL);
    return code;
}

int posix_fallocate(int fd, off_t offset, off_t size) {
    char path[PATH_MAX];
    int code = is_watched_file(fd, path) ? fails("wf") : 0;
    return code ? code : allocated(fd, offset + size, REAL(posix_fallocate)(fd, offset, size));
}

int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    char path[PATH_MAX];
    int code = is_watched_file(fd, path) ? fails("wf") : 0;
    return code ? code : allocated(fd, offset + size, REAL(posix_fallocate64)(fd, offset, size));
}

int unlink(const char *path) {
    int result = REAL(unlink)(path);
    if (result == 0 && is_watched(path)) trace('u', path, 0, 0, NULL);
    return result;
}
