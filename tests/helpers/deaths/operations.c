/* Preloaded into a process: counts what it does to files below one folder, and kills it at operation N.

   The counters lie in memory that forked children share, so that a command and its trainer count together.
   Operations are counted where programs enter libc. What libc calls within itself is not seen, but it
   follows from an operation that is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 4096
#define NAME 200

static struct shared {
    long count, die_at;
    int torn, died;      /* torn: the first half of a write is done before the death */
    char folder[PATH_MAX];
    char log[MOST][NAME]; /* "kind path", by number */
} *shared;

__attribute__((constructor)) static void begin(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) abort();
}

/* Count below a folder from now on, and die at an operation; 0 is never. */
void deaths_arm(const char *folder, long die_at, int torn) {
    shared->count = 0, shared->died = 0, shared->die_at = die_at, shared->torn = torn;
    strncpy(shared->folder, folder, PATH_MAX - 1);
}

long deaths_count(void) { return shared->count; }
int deaths_died(void) { return shared->died; }
const char *deaths_log(long number) { return number < MOST ? shared->log[number] : ""; }

static void die(void) {
    shared->died = 1;
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether the operation that begins is the one at which only its first half is done. */
static int count(const char *kind, const char *path) {
    size_t length = strlen(shared->folder);
    if (!length || strncmp(path, shared->folder, length) || (path[length] && path[length] != '/')) return 0;
    long number = __sync_add_and_fetch(&shared->count, 1);
    if (number < MOST) snprintf(shared->log[number], NAME, "%s %s", kind, path + length);
    if (number != shared->die_at) return 0;
    if (shared->torn) return 1;
    die();
    return 0;
}

static int path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length >= 0;
}

/* An absolute path; one through an open folder as /proc/self/fd/N/NAME by the folder's name. */
static void full(int folder, const char *given, char *path) {
    size_t length;
    static const char open_folder[] = "/proc/self/fd/";
    char start[PATH_MAX] = "";
    if (!strncmp(given, open_folder, sizeof open_folder - 1)) {
        char *rest;
        path_of((int)strtol(given + sizeof open_folder - 1, &rest, 10), start);
        given = rest;
    } else if (given[0] != '/') {
        if (folder == AT_FDCWD ? !getcwd(start, sizeof start) : !path_of(folder, start)) start[0] = 0;
    }
    length = strlen(start);
    memcpy(path, start, length);
    if (length && given[0] != '/') path[length++] = '/';
    strncpy(path + length, given, PATH_MAX - length - 1), path[PATH_MAX - 1] = 0;
}

static void at(const char *kind, int folder, const char *given) {
    if (!shared || !shared->folder[0] || !given) return;
    int before = errno;
    char path[PATH_MAX];
    full(folder, given, path);
    if (count(kind, path)) die();
    errno = before;
}

static int on(const char *kind, int file) {
    if (!shared || !shared->folder[0]) return 0;
    int before = errno;
    char path[PATH_MAX];
    int torn = path_of(file, path) && count(kind, path);
    errno = before;
    return torn;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        REAL(name);                                                                 \
        if (writes(flags)) at("open", AT_FDCWD, path);                              \
        return real(path, flags, mode);                                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                \
    int name(int folder, const char *path, int flags, ...) {                        \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        REAL(name);                                                                 \
        if (writes(flags)) at("open", folder, path);                                \
        return real(folder, path, flags, mode);                                     \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                 \
    FILE *name(const char *path, const char *mode) {                                \
        REAL(name);                                                                 \
        if (strpbrk(mode, "wa+")) at("open", AT_FDCWD, path);                       \
        return real(path, mode);                                                    \
    }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int file, const void *data, size_t size) {
    REAL(write);
    if (on("write", file)) { real(file, data, size / 2); die(); }
    return real(file, data, size);
}

#define PWRITE(name)                                                                \
    ssize_t name(int file, const void *data, size_t size, off_t place) {            \
        REAL(name);                                                                 \
        if (on("write", file)) { real(file, data, size / 2, place); die(); }        \
        return real(file, data, size, place);                                       \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t writev(int file, const struct iovec *parts, int many) {
    REAL(writev);
    if (on("write", file)) { real(file, parts, (many + 1) / 2); die(); }
    return real(file, parts, many);
}

size_t fwrite(const void *data, size_t size, size_t many, FILE *file) {
    REAL(fwrite);
    if (on("write", fileno(file))) { real(data, 1, size * many / 2, file); fflush(file); die(); }
    return real(data, size, many, file);
}

#define ON_FILE(type, name, kind, parameters, arguments)                            \
    type name parameters { REAL(name); if (on(kind, file)) die(); return real arguments; }
ON_FILE(int, fsync, "sync", (int file), (file))
ON_FILE(int, fdatasync, "sync", (int file), (file))
ON_FILE(int, ftruncate, "truncate", (int file, off_t size), (file, size))
ON_FILE(int, ftruncate64, "truncate", (int file, off_t size), (file, size))
ON_FILE(int, posix_fallocate, "allocate", (int file, off_t from, off_t size), (file, from, size))
ON_FILE(ssize_t, copy_file_range, "write",
        (int in, off64_t *from, int file, off64_t *to, size_t size, unsigned flags), (in, from, file, to, size, flags))
ssize_t sendfile(int file, int in, off_t *from, size_t size);
ON_FILE(ssize_t, sendfile, "write", (int file, int in, off_t *from, size_t size), (file, in, from, size))
ssize_t sendfile64(int file, int in, off64_t *from, size_t size);
ON_FILE(ssize_t, sendfile64, "write", (int file, int in, off64_t *from, size_t size), (file, in, from, size))

#define AT_PATH(name, kind, folder, path, parameters, arguments)                    \
    int name parameters { REAL(name); at(kind, folder, path); return real arguments; }
AT_PATH(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), (from, to))
AT_PATH(renameat, "rename", there, to, (int here, const char *from, int there, const char *to), (here, from, there, to))
AT_PATH(link, "link", AT_FDCWD, to, (const char *from, const char *to), (from, to))
AT_PATH(linkat, "link", there, to, (int here, const char *from, int there, const char *to, int flags),
        (here, from, there, to, flags))
AT_PATH(symlink, "symlink", AT_FDCWD, path, (const char *text, const char *path), (text, path))
AT_PATH(symlinkat, "symlink", folder, path, (const char *text, int folder, const char *path), (text, folder, path))
AT_PATH(unlink, "unlink", AT_FDCWD, path, (const char *path), (path))
AT_PATH(unlinkat, "unlink", folder, path, (int folder, const char *path, int flags), (folder, path, flags))
AT_PATH(rmdir, "rmdir", AT_FDCWD, path, (const char *path), (path))
AT_PATH(mkdir, "mkdir", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
AT_PATH(mkdirat, "mkdir", folder, path, (int folder, const char *path, mode_t mode), (folder, path, mode))
AT_PATH(truncate, "truncate", AT_FDCWD, path, (const char *path, off_t size), (path, size))
AT_PATH(truncate64, "truncate", AT_FDCWD, path, (const char *path, off_t size), (path, size))
