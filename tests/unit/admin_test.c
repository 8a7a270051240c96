/* The admin server over real sockets: paths, methods, headers, no echo. Also the addresses it listens on. */
#include "check.h"

#include "common/address.h"
#include "common/admin.h"
#include "common/alloc.h"
#include "common/log.h"
#include "common/metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_alive, is_ready;

static bool alive(void *arg)
{
    (void)arg;
    return is_alive;
}

static bool ready(void *arg, const char **ret_reason)
{
    (void)arg;
    *ret_reason = "kafka";
    return is_ready;
}

static char *page(void *arg)
{
    return xasprintf("<!doctype html><title>%s</title>", (const char *)arg);
}

static const struct admin_hooks hooks = {.arg = "status", .alive = alive, .ready = ready, .page = page};

/* Sends request, reads until the server closes; returns the owned answer. */
static char *talk(unsigned port, const char *request)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char *answer = xcalloc(1, 65536);
    size_t len = 0;
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0) {
        ssize_t got;
        do {
            got = recv(fd, answer + len, 65535 - len, 0);
            len += got > 0 ? (size_t)got : 0;
        } while (got > 0);
    }
    close(fd);
    return answer;
}

static char *ask(unsigned port, const char *method, const char *path)
{
    AUTO(free_ptr)
    char *request =
        xasprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Evil: echo-me\r\n\r\n", method, path);
    return talk(port, request);
}

static struct admin *open_admin(const struct admin_hooks *with)
{
    struct error err;
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    is_alive = is_ready = true;
    struct admin *admin = admin_new("127.0.0.1:0", with, &err);
    CHECK(admin != NULL && admin_port(admin) > 0);
    return admin;
}

static void answers_each_path(void)
{
    static const struct {
        const char *label, *method, *path, *status, *part;
        bool alive, ready;
    } cases[] = {
        {"alive", "GET", "/livez", "200", "\r\n\r\n{\"status\":\"ok\"}\n", true, true},
        {"stuck", "GET", "/livez", "503", "\r\n\r\n{\"error\":\"stuck\"}\n", false, true},
        {"ready", "GET", "/readyz", "200", "\r\n\r\n{\"status\":\"ok\"}\n", true, true},
        {"not ready", "GET", "/readyz", "503", "\r\n\r\n{\"error\":\"kafka\"}\n", true, false},
        {"metrics", "GET", "/metrics", "200", "roomclaim_build_info{", true, true},
        {"metrics type", "GET", "/metrics", "200", "text/plain; version=0.0.4; charset=utf-8\r\n", true, true},
        {"page", "GET", "/", "200", "<title>status</title>", true, true},
        {"page with a query", "GET", "/?echo-me=1", "200", "<title>status</title>", true, true},
        {"policy", "GET", "/", "200", "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'", true,
         true},
        {"no sniffing", "GET", "/livez", "200", "X-Content-Type-Options: nosniff", true, true},
        {"elsewhere", "GET", "/echo-me", "404", "\r\n\r\n{\"error\":\"not_found\"}\n", true, true},
        {"up", "GET", "/../livez", "404", "not_found", true, true},
        {"post", "POST", "/livez", "405", "Allow: GET, HEAD\r\n", true, true},
        {"delete", "DELETE", "/", "405", "\r\n\r\n{\"error\":\"method_not_allowed\"}\n", true, true},
        {"made up method", "ECHO-ME", "/", "405", "method_not_allowed", true, true},
        {"head", "HEAD", "/metrics", "200", "Content-Length: ", true, true},
    };
    struct admin *admin = open_admin(&hooks);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        is_alive = cases[i].alive;
        is_ready = cases[i].ready;
        AUTO(free_ptr) char *got = ask(admin_port(admin), cases[i].method, cases[i].path);
        CHECK(strncmp(got, "HTTP/1.1 ", 9) == 0 && strncmp(got + 9, cases[i].status, 3) == 0);
        if (!strstr(got, cases[i].part))
            CHECK_FAIL("no %s in %s", cases[i].part, got);
        CHECK(!strcasestr(got, "echo-me"));
    }
    CHECK_LABEL("head has no body");
    AUTO(free_ptr) char *head = ask(admin_port(admin), "HEAD", "/livez");
    CHECK_STR(strstr(head, "\r\n\r\n"), "\r\n\r\n");
    admin_free(admin);
}

static void lives_without_hooks(void)
{
    struct admin *admin = open_admin(&(struct admin_hooks){0});
    AUTO(free_ptr) char *live = ask(admin_port(admin), "GET", "/livez");
    AUTO(free_ptr) char *root = ask(admin_port(admin), "GET", "/");
    CHECK(strncmp(live, "HTTP/1.1 200", 12) == 0);
    CHECK(strncmp(root, "HTTP/1.1 404", 12) == 0);
    admin_free(admin);
    admin_free(NULL);
}

static void refuses_too_large_a_head(void)
{
    struct admin *admin = open_admin(&hooks);
    AUTO(free_ptr) char *padding = xcalloc(1, 40001);
    memset(padding, 'a', 40000);
    AUTO(free_ptr) char *request = xasprintf("GET / HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", padding);
    AUTO(free_ptr) char *got = talk(admin_port(admin), request);
    CHECK(strncmp(got, "HTTP/1.1 200", 12) != 0);
    AUTO(free_ptr) char *next = ask(admin_port(admin), "GET", "/livez");
    CHECK(strncmp(next, "HTTP/1.1 200", 12) == 0);
    admin_free(admin);
}

static void says_why_it_cannot_listen(void)
{
    struct error err;
    CHECK(admin_new("", &hooks, &err) == NULL);
    CHECK_INT(err.class, ERROR_NONE);
    struct admin *admin = open_admin(&hooks);
    char taken[64], want[100];
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", admin_port(admin));
    (void)snprintf(want, sizeof want, "address in use: %s", taken);
    CHECK(admin_new(taken, &hooks, &err) == NULL);
    CHECK_STR(err.text, want);
    CHECK_INT(err.class, ERROR_RETRY);
    CHECK(admin_new("192.0.2.1:1", &hooks, &err) == NULL);
    CHECK_INT(err.class, ERROR_OPERATOR);
    CHECK(strstr(err.text, "192.0.2.1:1") != NULL);
    admin_free(admin);
}

static void splits_addresses(void)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1", 8080},
        {"[::1]:0", "::1", 0},
        {"localhost:65535", "localhost", 65535},
        {"localhost:65536", NULL, 0},
        {"localhost:99999999999", NULL, 0},
        {"localhost:-1", NULL, 0},
        {"localhost: 80", NULL, 0},
        {"localhost:80x", NULL, 0},
        {"localhost:", NULL, 0},
        {"localhost", NULL, 0},
        {":8080", NULL, 0},
        {"::1:8080", NULL, 0},
        {"[::1:8080", NULL, 0},
        {"[]:8080", NULL, 0},
        {"a b:1", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].text);
        char host[ADDRESS_HOST_SIZE] = "";
        unsigned port = 0;
        struct error err;
        const bool ok = address_split(cases[i].text, host, &port, &err);
        CHECK_INT(ok, cases[i].host != NULL);
        if (ok && cases[i].host) {
            CHECK_STR(host, cases[i].host);
            CHECK_INT(port, cases[i].port);
        }
    }
}

static void listens_on_ipv6(void)
{
    struct error err;
    const int fd = address_listen("[::1]:0", &err);
    if (fd < 0) {
        CHECK_INT(err.class, ERROR_OPERATOR); /* a host without IPv6 */
        return;
    }
    CHECK(address_port(fd) > 0);
    close(fd);
}

CHECK_MAIN({"answers each path", answers_each_path}, {"lives without hooks", lives_without_hooks},
           {"refuses too large a head", refuses_too_large_a_head},
           {"says why it cannot listen", says_why_it_cannot_listen}, {"splits addresses", splits_addresses},
           {"listens on ipv6", listens_on_ipv6})
