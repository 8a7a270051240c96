/* The second port, on a thread of libmicrohttpd. Each path is a row of a table with one function that makes its
 * answer; no answer holds anything of the request. */
#include "admin.h"

#include "address.h"
#include "alloc.h"
#include "log.h"
#include "metrics.h"
#include "text.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { CONNECTIONS = 64, IDLE_S = 10, CONNECTION_MEMORY = 16 * 1024 };

struct admin {
    struct admin_hooks hooks;
    struct MHD_Daemon *daemon;
    unsigned port;
};

struct answer {
    unsigned status;
    const char *content_type;
    char *body; /* owned */
    size_t len;
};

static const char json_type[] = "application/json";

/* {"status":"ok"} or {"error":"word"} */
static struct answer json_answer(unsigned status, const char *word)
{
    struct text body = {0};
    text_printf(&body, status == MHD_HTTP_OK ? "{\"status\":\"%s\"}\n" : "{\"error\":\"%s\"}\n", word);
    const size_t len = body.len;
    return (struct answer){status, json_type, text_take(&body), len};
}

static struct answer answer_live(const struct admin_hooks *hooks)
{
    const bool alive = !hooks->alive || hooks->alive(hooks->arg);
    return alive ? json_answer(MHD_HTTP_OK, "ok") : json_answer(MHD_HTTP_SERVICE_UNAVAILABLE, "stuck");
}

static struct answer answer_ready(const struct admin_hooks *hooks)
{
    const char *reason = "not_ready";
    const bool ready = !hooks->ready || hooks->ready(hooks->arg, &reason);
    return ready ? json_answer(MHD_HTTP_OK, "ok") : json_answer(MHD_HTTP_SERVICE_UNAVAILABLE, reason);
}

static struct answer answer_metrics(const struct admin_hooks *hooks)
{
    (void)hooks;
    size_t len = 0;
    char *body = metrics_render(&len);
    return (struct answer){MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", body, len};
}

static struct answer answer_page(const struct admin_hooks *hooks)
{
    if (!hooks->page)
        return json_answer(MHD_HTTP_NOT_FOUND, "not_found");
    char *body = hooks->page(hooks->arg);
    return (struct answer){MHD_HTTP_OK, "text/html; charset=utf-8", body, strlen(body)};
}

static const struct {
    const char *path;
    struct answer (*answer)(const struct admin_hooks *hooks);
} pages[] = {
    {"/livez", answer_live},
    {"/readyz", answer_ready},
    {"/metrics", answer_metrics},
    {"/", answer_page},
};

static const struct {
    const char *name, *value;
} headers[] = {
    {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
                                "base-uri 'none'; form-action 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"},
};

static struct answer make_answer(const struct admin *admin, const char *method, const char *path)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return json_answer(MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed");
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (strcmp(pages[i].path, path) == 0)
            return pages[i].answer(&admin->hooks);
    }
    return json_answer(MHD_HTTP_NOT_FOUND, "not_found");
}

static bool add_headers(struct MHD_Response *response, const struct answer *answer)
{
    bool ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type) == MHD_YES;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        ok = ok && MHD_add_response_header(response, headers[i].name, headers[i].value) == MHD_YES;
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        ok = ok && MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES;
    return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload_data, size_t *upload_data_size,
                                  void **con_cls)
{
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    (void)con_cls;
    struct answer answer = make_answer(arg, method, url);
    struct MHD_Response *response = MHD_create_response_from_buffer(answer.len, answer.body, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(answer.body);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_NO; /* closes the connection */
    if (add_headers(response, &answer))
        result = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return result;
}

/* What libmicrohttpd has to say: clients that went away, limits that were reached. */
static void PRINTF_LIKE(2, 0) on_log(void *arg, const char *fmt, va_list args)
{
    (void)arg;
    char words[256];
    if (!log_enabled(LOG_LEVEL_DEBUG) || vsnprintf(words, sizeof words, fmt, args) < 0)
        return;
    words[strcspn(words, "\n")] = '\0';
    log_debug("admin server", LOG_STR("why", words));
}

/* The server's thread takes no signals: they belong to the program's loop. */
static struct MHD_Daemon *start(struct admin *admin, int fd)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, admin,
                         MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

struct admin *admin_new(const char *listen, const struct admin_hooks *hooks, struct error *ret_err)
{
    error_set(ret_err, ERROR_NONE, "off");
    if (*listen == '\0')
        return NULL;
    const int fd = address_listen(listen, ret_err);
    if (fd < 0)
        return NULL;
    struct admin *admin = xcalloc(1, sizeof *admin);
    admin->hooks = *hooks;
    admin->port = address_port(fd);
    admin->daemon = start(admin, fd);
    if (!admin->daemon) {
        error_set(ret_err, ERROR_RETRY, "cannot start the admin server on %s: %s", listen, strerror(errno));
        close(fd);
        free(admin);
        return NULL;
    }
    char where[ADDRESS_SIZE];
    address_with_port(listen, admin->port, where);
    log_info("admin server listens", LOG_STR("listen", where));
    return admin;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    MHD_stop_daemon(admin->daemon); /* closes the socket too */
    free(admin);
}

unsigned admin_port(const struct admin *admin)
{
    return admin->port;
}
