/* Loaded before the C library (LD_PRELOAD): makes the n-th file operation below a folder go wrong.
 *
 * What is to fail is in a file that tests write and all processes of a run share (the layout is that of shim.py):
 * Python, its forked workers, Arrow's threads and the JVM. Operations on other files pass through. Nothing here is
 * buffered, so a process may die at any of them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

enum { OFF, ENOSPC_, EIO_, TORN, DEATH, POWER };
#define FILES 65536

static struct control {
    int32_t kind, persistent;
    int64_t at, count, fired;
    int64_t all, making, writes; /* operations of each sort, whatever is to fail */
    char root[512];
    char where[512];
    uint64_t unsynced[FILES]; /* inodes of files whose content was written and not synced since */
} *control;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("FAULT_CONTROL");
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found != MAP_FAILED) control = found;
}

static int below(const char *path) {
    size_t size = strlen(control->root);
    return size && !strncmp(path, control->root, size) && (path[size] == '/' || !path[size]);
}

/* The path of an open file; 0 where it is not below the root. */
static int of_file(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, 511);
    if (size <= 0) return 0;
    path[size] = 0;
    return below(path);
}

static int of_path(int folder, const char *given, char *path) {
    if (!given) return 0;
    if (*given == '/') {
        snprintf(path, 512, "%s", given);
    } else {
        char above[512] = "";
        if (folder == AT_FDCWD) {
            if (syscall(SYS_getcwd, above, sizeof above) < 0) return 0;
        } else {
            of_file(folder, above);
        }
        if (snprintf(path, 512, "%s/%s", above, given) >= 512) return 0;
    }
    return below(path);
}

/* What is to happen at an operation: 0, or the kind of fault. `makes`: it needs room on the disk. */
static int fault(const char *what, const char *path, int makes) {
    int kind = __atomic_load_n(&control->kind, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&control->all, 1, __ATOMIC_SEQ_CST);
    if (makes) __atomic_add_fetch(&control->making, 1, __ATOMIC_SEQ_CST);
    if (!strcmp(what, "write")) __atomic_add_fetch(&control->writes, 1, __ATOMIC_SEQ_CST);
    if (kind == OFF || (kind == ENOSPC_ && !makes) || (kind == TORN && strcmp(what, "write"))) return 0;
    int64_t number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (number != control->at && !(control->persistent && number > control->at)) return 0;
    if (!__atomic_fetch_add(&control->fired, 1, __ATOMIC_SEQ_CST))
        snprintf(control->where, sizeof control->where, "%s %s", what, path);
    if (kind == DEATH && strcmp(what, "write")) kill(getpid(), SIGKILL);
    errno = kind == ENOSPC_ ? ENOSPC : EIO;
    return kind;
}

static void note(int fd, int synced) {
    struct stat found;
    int saved = errno;
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
        uint64_t inode = found.st_ino, *place = control->unsynced + inode % FILES;
        for (int i = 0; i < FILES; i++, place = place + 1 == control->unsynced + FILES ? control->unsynced : place + 1) {
            if (*place == inode) {
                if (synced) *place = (uint64_t)-1;
                break;
            }
            if (*place == 0) {
                if (!synced) *place = inode;
                break;
            }
        }
    }
    errno = saved;
}

#define FILE_FAULT(what, fd, makes) \
    char path_[512]; \
    int kind_ = control && control->kind && of_file(fd, path_) ? fault(what, path_, makes) : 0
#define PATH_FAULT(what, folder, path, makes) \
    char path_[512]; \
    if (control && control->kind && of_path(folder, path, path_) && fault(what, path_, makes)) return -1

static int may_open(int folder, const char *path, int flags) {
    PATH_FAULT(flags & (O_WRONLY | O_RDWR | O_CREAT) ? "open to write" : "open", folder, path, !!(flags & O_CREAT));
    return 0;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return may_open(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode); \
    }
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return may_open(folder, path, flags) ? -1 : real(folder, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

FILE *fopen(const char *path, const char *mode) {
    REAL(fopen);
    return may_open(AT_FDCWD, path, *mode == 'r' ? O_RDONLY : O_WRONLY | O_CREAT) ? NULL : real(path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    REAL(fopen64);
    return may_open(AT_FDCWD, path, *mode == 'r' ? O_RDONLY : O_WRONLY | O_CREAT) ? NULL : real(path, mode);
}
DIR *opendir(const char *path) {
    REAL(opendir);
    return may_open(AT_FDCWD, path, O_RDONLY) ? NULL : real(path);
}

/* How many bytes of a write reach the disk before the fault; -1: it is not to be made. */
static ssize_t before_fault(int kind, size_t size) { return kind == TORN || kind == DEATH ? (ssize_t)(size / 2) : 0; }

#define WRITE(name, parameters, half, ...) \
    ssize_t name parameters { \
        REAL(name); \
        FILE_FAULT("write", fd, 1); \
        if (kind_) { \
            ssize_t part = before_fault(kind_, size); \
            if (part > 0) { half; note(fd, 0); } \
            if (kind_ == DEATH) kill(getpid(), SIGKILL); \
            errno = kind_ == ENOSPC_ ? ENOSPC : EIO; \
            return -1; \
        } \
        ssize_t done = real(__VA_ARGS__); \
        if (control && control->kind && of_file(fd, path_)) note(fd, 0); \
        return done; \
    }
WRITE(write, (int fd, const void *from, size_t size), real(fd, from, part), fd, from, size)
WRITE(pwrite, (int fd, const void *from, size_t size, off_t at), real(fd, from, part, at), fd, from, size, at)
WRITE(pwrite64, (int fd, const void *from, size_t size, off64_t at), real(fd, from, part, at), fd, from, size, at)
WRITE(writev, (int fd, const struct iovec *from, int size), real(fd, from, part), fd, from, size)

#define READ(name, parameters, ...) \
    ssize_t name parameters { \
        REAL(name); \
        FILE_FAULT("read", fd, 0); \
        return kind_ ? -1 : real(__VA_ARGS__); \
    }
READ(read, (int fd, void *to, size_t size), fd, to, size)
READ(pread, (int fd, void *to, size_t size, off_t at), fd, to, size, at)
READ(pread64, (int fd, void *to, size_t size, off64_t at), fd, to, size, at)

#define SYNC(name) \
    int name(int fd) { \
        REAL(name); \
        FILE_FAULT("sync", fd, 0); \
        if (kind_) return -1; \
        int done = real(fd); \
        if (!done && control && control->kind && of_file(fd, path_)) note(fd, 1); \
        return done; \
    }
SYNC(fsync)
SYNC(fdatasync)

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    FILE_FAULT("truncate", fd, 0);
    return kind_ ? -1 : real(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    FILE_FAULT("truncate", fd, 0);
    return kind_ ? -1 : real(fd, size);
}
int close(int fd) { /* What NFS says of a write that failed later. */
    REAL(close);
    int flags = control && control->kind ? fcntl(fd, F_GETFL) : -1;
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return real(fd);
    FILE_FAULT("close", fd, 0);
    int done = real(fd);
    if (kind_) errno = EIO;
    return kind_ ? -1 : done;
}

int rename(const char *from, const char *to) {
    REAL(rename);
    PATH_FAULT("rename", AT_FDCWD, to, 1);
    return real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    PATH_FAULT("rename", b, to, 1);
    return real(a, from, b, to);
}
int link(const char *from, const char *to) {
    REAL(link);
    PATH_FAULT("link", AT_FDCWD, to, 1);
    return real(from, to);
}
int unlink(const char *path) {
    REAL(unlink);
    PATH_FAULT("unlink", AT_FDCWD, path, 0);
    return real(path);
}
int remove(const char *path) {
    REAL(remove);
    PATH_FAULT("remove", AT_FDCWD, path, 0);
    return real(path);
}
int rmdir(const char *path) {
    REAL(rmdir);
    PATH_FAULT("rmdir", AT_FDCWD, path, 0);
    return real(path);
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    PATH_FAULT("unlink", folder, path, 0);
    return real(folder, path, flags);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    PATH_FAULT("mkdir", AT_FDCWD, path, 1);
    return real(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(mkdirat);
    PATH_FAULT("mkdir", folder, path, 1);
    return real(folder, path, mode);
}
