/* Preloaded into one of our programs, cuts it off from the server at the local port CUT_OFF_PORT while the file CUT_OFF
 * exists: connections break, and none can be made.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

static int is_cut(const struct sockaddr *peer)
{
    const char *file = getenv("CUT_OFF"), *port = getenv("CUT_OFF_PORT");
    if (file == NULL || port == NULL || peer->sa_family != AF_INET)
        return 0;
    return ntohs(((const struct sockaddr_in *)peer)->sin_port) == strtol(port, NULL, 10) && access(file, F_OK) == 0;
}

/* Breaks the connection if it is one of those that are cut. */
static int breaks(int fd)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof peer;
    const int saved = errno;
    const int cut = getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && is_cut((struct sockaddr *)&peer);
    errno = cut ? ECONNRESET : saved;
    return cut;
}

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

int connect(int fd, const struct sockaddr *peer, socklen_t len)
{
    int (*const real)(int, const struct sockaddr *, socklen_t) = next("connect");
    if (!is_cut(peer))
        return real(fd, peer, len);
    errno = ENETUNREACH;
    return -1;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    ssize_t (*const real)(int, const void *, size_t, int) = next("send");
    return breaks(fd) ? -1 : real(fd, bytes, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t (*const real)(int, const struct msghdr *, int) = next("sendmsg");
    return breaks(fd) ? -1 : real(fd, message, flags);
}

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    ssize_t (*const real)(int, void *, size_t, int) = next("recv");
    return breaks(fd) ? -1 : real(fd, bytes, len, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t (*const real)(int, struct msghdr *, int) = next("recvmsg");
    return breaks(fd) ? -1 : real(fd, message, flags);
}
