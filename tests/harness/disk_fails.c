/* Preloaded into one of our programs, breaks its disk while the file DISK_FAILS exists. The word in it says how:
 *
 *     write  no byte can be written any more
 *     sync   what was written can't be synced
 *     hang   a sync does not return until the file is gone
 *
 * Only files of SQLite's are meant: those that are written with pwrite and synced.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_told(const char *how)
{
    char word[16] = "";
    const char *path = getenv("DISK_FAILS");
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    const ssize_t len = read(fd, word, sizeof word - 1);
    close(fd);
    return len > 0 && strcmp(word, how) == 0;
}

static int failing(const char *how)
{
    if (!is_told(how))
        return 0;
    errno = EIO;
    return 1;
}

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    ssize_t (*const real)(int, const void *, size_t, off64_t) = next("pwrite64");
    return failing("write") ? -1 : real(fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return pwrite64(fd, bytes, len, at);
}

static int synced(const char *name, int fd)
{
    int (*const real)(int) = next(name);
    while (is_told("hang"))
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return failing("sync") ? -1 : real(fd);
}

int fsync(int fd)
{
    return synced("fsync", fd);
}

int fdatasync(int fd)
{
    return synced("fdatasync", fd);
}
