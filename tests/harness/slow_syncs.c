/* Preloaded into one of our programs: each sync takes 50 ms longer, as on a slow disk, and adds one byte to the file
 * SLOW_SYNCS, whose size is thus their number.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int synced(const char *name, int fd)
{
    int (*const real)(int) = dlsym(RTLD_NEXT, name);
    const char *path = getenv("SLOW_SYNCS");
    const int counted = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (counted < 0 || write(counted, "s", 1) != 1)
        abort();
    close(counted);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return real(fd);
}

int fsync(int fd)
{
    return synced("fsync", fd);
}

int fdatasync(int fd)
{
    return synced("fdatasync", fd);
}
