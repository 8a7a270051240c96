/* Preloaded into Postgres, moves the time of day that it sees by as many seconds as stand in the file CLOCK_JUMPS. The
 * libraries under it go on with the true time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void *program;

static void *image_of(const void *address)
{
    Dl_info info;
    return dladdr(address, &info) ? info.dli_fbase : NULL;
}

__attribute__((constructor)) static void find_program(void)
{
    program = image_of((const void *)getauxval(AT_PHDR));
}

static long moved_by(void)
{
    char text[32] = "";
    const char *path = getenv("CLOCK_JUMPS");
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    const ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    return len > 0 ? strtol(text, NULL, 10) : 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    const int failed = (int)syscall(SYS_gettimeofday, ret, zone);
    if (!failed && image_of(__builtin_return_address(0)) == program)
        ret->tv_sec += moved_by();
    return failed;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    const int failed = (int)syscall(SYS_clock_gettime, clock, ret);
    if (!failed && clock == CLOCK_REALTIME && image_of(__builtin_return_address(0)) == program)
        ret->tv_sec += moved_by();
    return failed;
}
