/* Makes the n-th call of one kind fail, for a process that this is preloaded into (D-03).
 *
 * FAIL_BELOW  only calls on files below this directory count
 * FAIL_CALL   pwrite64, write, fsync, fdatasync, sync_file_range, rename or open
 * FAIL_AT     which of them fails, counted from 1; 0: none
 * FAIL_HOW    the error's number, or 0 for a write that is cut short
 * FAIL_ON     "on": every later one fails as well
 * FAIL_COUNT  a file that is told how many calls of each kind there were, when the process ends
 *
 * What always holds: a call that is not to fail is the C library's own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PWRITE64, WRITE, FSYNC, FDATASYNC, SYNC_FILE_RANGE, RENAME, OPEN, KINDS };
static const char *const NAMES[KINDS] = {
    "pwrite64", "write", "fsync", "fdatasync", "sync_file_range", "rename", "open"
};
static atomic_long counts[KINDS];
static const char *below;
static int kind = -1, how;
static long at;
static int on;

__attribute__((constructor)) static void begin(void) {
    const char *call = getenv("FAIL_CALL"), *number = getenv("FAIL_AT"), *error = getenv("FAIL_HOW");
    below = getenv("FAIL_BELOW");
    on = getenv("FAIL_ON") != NULL;
    at = number ? atol(number) : 0;
    how = error ? atoi(error) : 0;
    for (int each = 0; call && each < KINDS; each++)
        if (strcmp(call, NAMES[each]) == 0) kind = each;
}

__attribute__((destructor)) static void end(void) {
    const char *name = getenv("FAIL_COUNT");
    FILE *file = name ? fopen(name, "w") : NULL;
    for (int each = 0; file && each < KINDS; each++)
        fprintf(file, "%s %ld\n", NAMES[each], atomic_load(&counts[each]));
    if (file) fclose(file);
}

static int is_below(const char *path) {
    return below && strncmp(path, below, strlen(below)) == 0;
}

static int is_below_by_number(int number) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", number);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* Counts a call, and says whether it is to fail. */
static int fails(int each) {
    long number = atomic_fetch_add(&counts[each], 1) + 1;
    return each == kind && at > 0 && (number == at || (on && number > at));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    if (is_below_by_number(file) && fails(PWRITE64)) {
        if (how == 0) return REAL(pwrite64)(file, bytes, length > 1 ? length / 2 : length, offset);
        errno = how;
        return -1;
    }
    return REAL(pwrite64)(file, bytes, length, offset);
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (is_below_by_number(file) && fails(WRITE)) {
        if (how == 0) return REAL(write)(file, bytes, length > 1 ? length / 2 : length);
        errno = how;
        return -1;
    }
    return REAL(write)(file, bytes, length);
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned flags) {
    if (is_below_by_number(file) && fails(SYNC_FILE_RANGE)) { errno = how; return -1; }
    return REAL(sync_file_range)(file, offset, length, flags);
}

int fsync(int file) {
    if (is_below_by_number(file) && fails(FSYNC)) { errno = how; return -1; }
    return REAL(fsync)(file);
}

int fdatasync(int file) {
    if (is_below_by_number(file) && fails(FDATASYNC)) { errno = how; return -1; }
    return REAL(fdatasync)(file);
}

int rename(const char *from, const char *to) {
    if (is_below(to) && fails(RENAME)) { errno = how; return -1; }
    return REAL(rename)(from, to);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if (is_below(path) && fails(OPEN)) { errno = how; return -1; }
    return REAL(open64)(path, flags, mode);
}
