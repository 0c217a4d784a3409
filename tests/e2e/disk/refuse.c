// This library is preloaded into an agent. It makes the disk of the agent's outbox refuse for as long as a test wants.
// Three environment variables control it:
//
// DISK           the directory whose files are on that disk
// DISK_REFUSES   a file; while it exists, it says with which error number which calls fail:
//                s sync, w write, m make (files, directories), o open for writing and rename
// DISK_REFUSED   a file that grows by one byte with each call that was refused
//
// A disk that is full takes the first half of a long write, because real disks also take a part.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Returns the error for a call of this kind on this path, or 0 for no error. This function calls the kernel directly,
// because the functions below would refuse its calls.
static int refusal(char kind, const char *path)
{
    const char *disk = getenv("DISK"), *refuses = getenv("DISK_REFUSES"), *refused = getenv("DISK_REFUSED");
    if (!disk || !refuses || !refused || !path || strncmp(path, disk, strlen(disk)) != 0)
        return 0;
    int before = errno, error = 0;
    int file = syscall(SYS_openat, AT_FDCWD, refuses, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        char text[32] = {0}, kinds[16] = {0};
        syscall(SYS_read, file, text, sizeof text - 1);
        syscall(SYS_close, file);
        if (sscanf(text, "%d %15s", &error, kinds) != 2 || !strchr(kinds, kind))
            error = 0;
    }
    if (error) {
        int count = syscall(SYS_openat, AT_FDCWD, refused, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (count >= 0) {
            syscall(SYS_write, count, ".", 1);
            syscall(SYS_close, count);
        }
    }
    errno = before;
    return error;
}

static int refusal_of(char kind, int file)
{
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return refusal(kind, path);
}

static int fail(int error)
{
    errno = error;
    return -1;
}

// Returns how many bytes of a write are written. It is 0 when the write fails.
static size_t taken(int error, size_t length)
{
    return error == ENOSPC && length >= 512 ? length / 2 : 0;
}

ssize_t write(int file, const void *bytes, size_t length)
{
    int error = refusal_of('w', file);
    if (error && !(length = taken(error, length)))
        return fail(error);
    return syscall(SYS_write, file, bytes, length);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at)
{
    int error = refusal_of('w', file);
    if (error && !(length = taken(error, length)))
        return fail(error);
    return syscall(SYS_pwrite64, file, bytes, length, at);
}

int fsync(int file)
{
    int error = refusal_of('s', file);
    return error ? fail(error) : syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    int error = refusal_of('s', file);
    return error ? fail(error) : syscall(SYS_fdatasync, file);
}

int sync_file_range(int file, off64_t at, off64_t length, unsigned flags)
{
    int error = refusal_of('s', file);
    return error ? fail(error) : syscall(SYS_sync_file_range, file, at, length, flags);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    int error = 0;
    if ((flags & O_ACCMODE) != O_RDONLY)
        error = refusal('o', path);
    if (!error && (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0)
        error = refusal('m', path);
    return error ? fail(error) : syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
    int error = refusal('m', path);
    return error ? fail(error) : syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to)
{
    int error = refusal('o', to);
    return error ? fail(error) : syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
