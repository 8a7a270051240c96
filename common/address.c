/* Splitting addresses and opening listening sockets. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, PORT_MAX = 65535 };

static bool malformed(const char *text, const char *why, struct error *ret_err)
{
    error_set(ret_err, ERROR_OPERATOR, "\"%.100s\" is no address: %s", text, why);
    return false;
}

/* One to five digits, 0 to 65535, nothing else. */
static bool read_port(const char *digits, unsigned *ret_port)
{
    const size_t len = strlen(digits);
    if (len == 0 || len > 5 || strspn(digits, "0123456789") != len)
        return false;
    unsigned port = 0;
    for (size_t i = 0; i < len; i++)
        port = port * 10 + (unsigned)(digits[i] - '0');
    *ret_port = port;
    return port <= PORT_MAX;
}

bool address_split(const char *text, char ret_host[ADDRESS_HOST_SIZE], unsigned *ret_port, struct error *ret_err)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return malformed(text, "write host:port or [v6]:port", ret_err);
    const char *host = text;
    size_t len = (size_t)(colon - text);
    if (*host == '[') {
        if (len < 3 || host[len - 1] != ']')
            return malformed(text, "the bracket is not closed before the port", ret_err);
        host++;
        len -= 2;
    } else if (memchr(host, ':', len)) {
        return malformed(text, "write an IPv6 address in brackets, [::1]:8080", ret_err);
    }
    if (len == 0)
        return malformed(text, "the host is missing; 0.0.0.0 or [::] stands for all", ret_err);
    if (len >= ADDRESS_HOST_SIZE || memchr(host, ' ', len) || memchr(host, '/', len))
        return malformed(text, "the host is no name and no number", ret_err);
    if (!read_port(colon + 1, ret_port))
        return malformed(text, "the port must be 0 to 65535", ret_err);
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    return true;
}

static enum error_class class_of(int code)
{
    return code == EADDRINUSE || code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM ? ERROR_RETRY
                                                                                                       : ERROR_OPERATOR;
}

static int open_socket(const struct addrinfo *at)
{
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    const int code = errno;
    close(fd);
    errno = code;
    return -1;
}

int address_listen(const char *text, struct error *ret_err)
{
    char host[ADDRESS_HOST_SIZE];
    unsigned port;
    if (!address_split(text, host, &port, ret_err))
        return -1;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int lookup = getaddrinfo(host, strrchr(text, ':') + 1, &hints, &found);
    if (lookup != 0) {
        error_set(ret_err, ERROR_OPERATOR, "cannot look up %s: %s", text, gai_strerror(lookup));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next)
        fd = open_socket(at);
    const int code = errno;
    freeaddrinfo(found);
    if (fd < 0 && code == EADDRINUSE)
        error_set(ret_err, ERROR_RETRY, "address in use: %s", text);
    else if (fd < 0)
        error_set(ret_err, class_of(code), "cannot listen on %s: %s", text, strerror(code));
    return fd;
}

void address_with_port(const char *text, unsigned port, char ret_text[ADDRESS_SIZE])
{
    const char *const colon = strrchr(text, ':');
    (void)snprintf(ret_text, ADDRESS_SIZE, "%.*s:%u", (int)(colon ? colon - text : 0), text, port);
}

unsigned address_port(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return 0;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &at, sizeof v4);
    memcpy(&v6, &at, sizeof v6);
    return at.ss_family == AF_INET ? ntohs(v4.sin_port) : at.ss_family == AF_INET6 ? ntohs(v6.sin6_port) : 0;
}

bool address_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
