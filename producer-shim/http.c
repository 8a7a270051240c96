/* Connections and exchanges on libmicrohttpd.
 *
 * A visitor is one connection, an exchange one request on it, a webhook what an exchange carries once its headers
 * have been admitted. libmicrohttpd's own time-out is an idle one, which a dripping sender never meets: visitors have
 * absolute deadlines instead, and are shut down when they pass.
 */
#include "producer-shim/http.h"

#include "common/address.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "producer-shim/metrics_table.h"
#include "producer-shim/request.h"

#include <microhttpd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTION_MEMORY = 16384, /* request line and headers; more is answered 431 by the library */
    HEADERS_WITHIN_MS = 5000,  /* from a connection's start, or a request line, to the end of the headers */
    REPLY_WITHIN_MS = 5000,    /* a short answer fits the socket's buffer: whoever doesn't take it is gone */
    IDLE_MS = 75000,           /* between two requests */
    SWEEP_EVERY_MS = 100,
    SWALLOW_MAX = 2 << 20,  /* of a refused body, so that the sender sees the answer and not a reset */
    BODY_AT_ONCE = 1 << 16, /* of a body's announced length; the rest is made room for as it comes */
    TARGET_SIZE = 256,
    LOG_EVERY_MS = 1000,
};

/* How far an exchange is, as seen from the sender. */
enum phase {
    PHASE_HEADERS,
    PHASE_BODY,
    PHASE_SWALLOW, /* a body that nobody wants */
    PHASE_WAITING, /* suspended until the desk has the answer */
    PHASE_REPLIED,
};

struct visitor {
    struct http *http;
    struct MHD_Connection *connection;
    int fd;
    int64_t deadline_ms; /* INT64_MAX: the desk looks after it */
    bool cut;            /* its time was over */
    struct visitor *prev, *next;
};

struct exchange {
    struct visitor *visitor;
    enum phase phase;
    struct request request;
    struct webhook *webhook; /* owned; NULL until admitted */
    enum answer refusal;     /* of PHASE_SWALLOW */
    int64_t swallowed;
    char target[TARGET_SIZE]; /* as sent; "" when too long for any of ours */
};

struct http {
    const struct config *config;
    struct desk *desk;
    struct MHD_Daemon *daemon;
    unsigned port;
    int fd;
    bool stopping, closing;
    unsigned in_hand, visitor_count;
    struct visitor *visitors;
    int64_t swept_ms;
    struct {
        int64_t told_ms;
        uint64_t untold;
    } too_large;
    struct MHD_Response *responses[ANSWER_COUNT][2][2]; /* [answer][last of its room][closing] */
};

/* --- answers */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES)
        out_of_memory(); /* name and value are good */
}

/* Whether nothing that follows on the connection may be read as a request. */
static bool closes(enum answer answer)
{
    return answer == ANSWER_FRAMING || answer == ANSWER_LENGTH || answer == ANSWER_TOO_LARGE ||
           answer == ANSWER_EXPECTATION;
}

static struct MHD_Response *response_new(enum answer answer, bool last, bool closing)
{
    char text[96], seconds[16];
    const char *const key = answer_status(answer) == 200 ? "status" : "error";
    const int len = snprintf(text, sizeof text, "{\"%s\":\"%s\"}\n", key, answer_word(answer));
    struct MHD_Response *response = MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return NULL;
    add_header(response, "Content-Type", "application/json");
    if (answer_retry_after(answer, last)) {
        snprintf(seconds, sizeof seconds, "%u", answer_retry_after(answer, last));
        add_header(response, "Retry-After", seconds);
    }
    if (answer == ANSWER_METHOD)
        add_header(response, "Allow", "POST");
    if (closing || closes(answer))
        add_header(response, "Connection", "close");
    return response;
}

/* Calls what for each slot of the table: the answer, whether it is the room's last, whether the connection closes. */
static bool each_response(struct http *http,
                          bool (*what)(struct MHD_Response **slot, enum answer answer, bool last, bool closing))
{
    bool good = true;
    for (int i = 0; i < ANSWER_COUNT; i++)
        for (int last = 0; last < 2; last++)
            for (int closing = 0; closing < 2; closing++)
                good = what(&http->responses[i][last][closing], (enum answer)i, last, closing) && good;
    return good;
}

static bool make_response(struct MHD_Response **slot, enum answer answer, bool last, bool closing)
{
    *slot = response_new(answer, last, closing);
    return *slot != NULL;
}

static bool destroy_response(struct MHD_Response **slot, enum answer answer, bool last, bool closing)
{
    (void)answer;
    (void)last;
    (void)closing;
    if (*slot)
        MHD_destroy_response(*slot);
    return true;
}

static enum MHD_Result reply(struct exchange *x, enum answer answer, bool last)
{
    const struct http *http = x->visitor->http;
    x->phase = PHASE_REPLIED;
    x->visitor->deadline_ms = clock_mono_ms() + REPLY_WITHIN_MS;
    return MHD_queue_response(x->visitor->connection, answer_status(answer),
                              http->responses[answer][last][http->stopping]);
}

/* A body that is too large may be a genuine event, which is lost then: an error, said once a second. */
static void note_too_large(struct http *http)
{
    const int64_t now_ms = clock_mono_ms();
    http->too_large.untold++;
    if (now_ms - http->too_large.told_ms < LOG_EVERY_MS)
        return;
    log_error("a request is larger than shim.body_limit: if it was LiveKit's, its event is lost",
              LOG_INT("count", http->too_large.untold), LOG_INT("body_limit", http->config->shim_body_limit_bytes));
    http->too_large.told_ms = now_ms;
    http->too_large.untold = 0;
}

static void count(struct exchange *x, enum answer answer)
{
    metric_inc(METRIC_WEBHOOKS, answer);
    if (answer == ANSWER_TOO_LARGE)
        note_too_large(x->visitor->http);
}

/* Refuses what is no webhook: at once, or after its body, if that is short enough to be waited for. */
static enum MHD_Result refuse(struct exchange *x, enum answer answer)
{
    count(x, answer);
    x->refusal = answer;
    const bool body = x->request.chunked || x->request.length > 0;
    const bool told_to_wait = x->request.headers[REQUEST_EXPECT].count > 0;
    if (!body || told_to_wait || answer == ANSWER_FRAMING || x->request.length > SWALLOW_MAX)
        return reply(x, answer, false);
    x->phase = PHASE_SWALLOW;
    return MHD_YES;
}

/* --- a request */

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                   const char *value, size_t value_len)
{
    (void)kind;
    request_add(arg, (struct slice){.ptr = name, .len = name_len},
                (struct slice){.ptr = value ? value : "", .len = value_len});
    return MHD_YES;
}

static enum MHD_Result take_headers(struct exchange *x, const char *method)
{
    struct http *http = x->visitor->http;
    enum answer refusal;
    MHD_get_connection_values_n(x->visitor->connection, MHD_HEADER_KIND, take_header, &x->request);
    x->visitor->deadline_ms = clock_mono_ms() + http->config->shim_answer_within_ms;
    if (!request_admit(&x->request, http->config, method, x->target, &refusal))
        return refuse(x, refusal);
    struct webhook *w = x->webhook = webhook_new(http->desk, clock_mono_us());
    w->arg = x;
    w->authorization = request_value(&x->request, REQUEST_AUTHORIZATION);
    w->content_type = request_value(&x->request, REQUEST_CONTENT_TYPE);
    w->traceparent = request_value(&x->request, REQUEST_TRACEPARENT);
    w->tracestate = request_value(&x->request, REQUEST_TRACESTATE);
    if (x->request.length > 0 && !webhook_reserve(w, (size_t)MIN(x->request.length, BODY_AT_ONCE)))
        return refuse(x, ANSWER_BUSY);
    x->phase = PHASE_BODY;
    return MHD_YES;
}

/* Room for more bytes: doubled, up to the announced length or the limit. False with the refusal. */
static bool make_room(struct exchange *x, size_t more, enum answer *ret_refusal)
{
    struct webhook *w = x->webhook;
    const size_t limit = (size_t)x->visitor->http->config->shim_body_limit_bytes;
    const size_t need = w->body_len + more;
    if (need > limit) {
        *ret_refusal = ANSWER_TOO_LARGE;
        return false;
    }
    if (need <= w->body_size)
        return true;
    *ret_refusal = ANSWER_BUSY;
    return webhook_reserve(w, MIN(MAX(need, 2 * w->body_size), limit));
}

static enum MHD_Result take_body(struct exchange *x, const char *bytes, size_t len)
{
    enum answer refusal;
    if (make_room(x, len, &refusal)) {
        webhook_append(x->webhook, bytes, len);
        return MHD_YES;
    }
    webhook_drop(TAKE(x->webhook));
    count(x, refusal);
    x->refusal = refusal;
    x->phase = PHASE_SWALLOW;
    return MHD_YES;
}

/* In the middle of a body the library can't answer any more: the answer is written by hand, then all is closed. */
static enum MHD_Result break_off(const struct exchange *x)
{
    static const char text[] =
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: application/json\r\n"
        "Content-Length: 22\r\n\r\n{\"error\":\"too_large\"}\n";
    if (send(x->visitor->fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a sender hung up before its answer");
    return MHD_NO;
}

static enum MHD_Result swallow(struct exchange *x, size_t len)
{
    x->swallowed += (int64_t)len;
    if (x->swallowed <= SWALLOW_MAX)
        return MHD_YES;
    x->phase = PHASE_REPLIED;
    return break_off(x);
}

/* The webhook is whole. Suspended before anything is sent, so that the answer finds a suspended connection. */
static enum MHD_Result judge(struct exchange *x)
{
    struct webhook *w = x->webhook;
    if (x->visitor->http->closing) {
        count(x, ANSWER_BUSY);
        return reply(x, ANSWER_BUSY, false);
    }
    webhook_verify(w);
    if (w->state == WEBHOOK_ANSWERED)
        return reply(x, w->answer, w->last);
    x->phase = PHASE_WAITING;
    x->visitor->deadline_ms = INT64_MAX;
    MHD_suspend_connection(x->visitor->connection);
    webhook_publish(w);
    return MHD_YES;
}

/* libmicrohttpd calls it once for the headers, once for each part of the body, once for its end, and once after a
 * connection was resumed. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *len, void **exchange)
{
    (void)arg;
    (void)connection;
    (void)url;
    (void)version;
    struct exchange *x = *exchange;
    const size_t given = *len;
    *len = 0;
    switch (x->phase) {
    case PHASE_HEADERS:
        return take_headers(x, method);
    case PHASE_BODY:
        return given > 0 ? take_body(x, bytes, given) : judge(x);
    case PHASE_SWALLOW:
        return given > 0 ? swallow(x, given) : reply(x, x->refusal, false);
    case PHASE_WAITING:
        return reply(x, x->webhook->answer, x->webhook->last);
    case PHASE_REPLIED:
        break;
    }
    return MHD_YES;
}

static struct visitor *visitor_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

/* The request line is read: an exchange begins. The target is still as it was sent. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct http *http = arg;
    struct exchange *x = xcalloc(1, sizeof *x);
    x->visitor = visitor_of(connection);
    x->visitor->deadline_ms = clock_mono_ms() + HEADERS_WITHIN_MS;
    const size_t len = strcspn(target, "?");
    if (len < sizeof x->target)
        memcpy(x->target, target, len);
    http->in_hand++;
    return x;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **exchange,
                         enum MHD_RequestTerminationCode code)
{
    struct http *http = arg;
    struct exchange *x = *exchange;
    (void)connection;
    (void)code;
    if (!x)
        return;
    if (x->phase == PHASE_HEADERS || x->phase == PHASE_BODY)
        metric_inc(METRIC_WEBHOOKS, x->visitor->cut ? ANSWER_TOO_SLOW : ANSWER_TRUNCATED);
    x->visitor->deadline_ms = clock_mono_ms() + (http->stopping ? 0 : IDLE_MS);
    webhook_drop(x->webhook);
    free(x);
    *exchange = NULL;
    http->in_hand--;
}

/* --- connections */

static void visitor_start(struct http *http, struct MHD_Connection *connection, void **context)
{
    struct visitor *v = xmalloc(sizeof *v);
    *v = (struct visitor){
        .http = http,
        .connection = connection,
        .fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
        .deadline_ms = clock_mono_ms() + HEADERS_WITHIN_MS,
        .next = http->visitors,
    };
    if (v->next)
        v->next->prev = v;
    http->visitors = v;
    *context = v;
    metric_set(METRIC_CONNECTIONS, 0, ++http->visitor_count);
}

static void visitor_end(struct http *http, struct visitor *v)
{
    *(v->prev ? &v->prev->next : &http->visitors) = v->next;
    if (v->next)
        v->next->prev = v->prev;
    free(v);
    metric_set(METRIC_CONNECTIONS, 0, --http->visitor_count);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        visitor_start(arg, connection, context);
    else if (*context)
        visitor_end(arg, TAKE(*context));
}

/* The library waits on when a sender has closed its side in the middle of a body: that one is not slow, but gone. */
static bool hung_up(const struct visitor *v)
{
    char byte;
    return recv(v->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Shuts down whose time is over; the library sees the end of the stream and closes. */
static void sweep(struct http *http)
{
    const int64_t now_ms = clock_mono_ms();
    if (now_ms - http->swept_ms < SWEEP_EVERY_MS)
        return;
    http->swept_ms = now_ms;
    for (struct visitor *v = http->visitors; v; v = v->next) {
        if (v->deadline_ms > now_ms)
            continue;
        v->deadline_ms = INT64_MAX;
        v->cut = !hung_up(v);
        shutdown(v->fd, SHUT_RDWR);
        metric_inc(METRIC_SLOW_CONNECTIONS, 0);
    }
}

void http_answered(struct webhook *w)
{
    const struct exchange *x = w->arg;
    MHD_resume_connection(x->visitor->connection);
}

/* --- the server */

static void on_library_log(void *arg, const char *format, va_list values) PRINTF_LIKE(2, 0);
static void on_library_log(void *arg, const char *format, va_list values)
{
    (void)arg;
    char words[256];
    vsnprintf(words, sizeof words, format, values);
    log_debug("http server", LOG_STR("detail", words));
}

static bool start_daemon(struct http *http, int listener)
{
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
                                    on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,        //
                                    MHD_OPTION_LISTEN_SOCKET, listener,                                        //
                                    MHD_OPTION_CONNECTION_LIMIT, (unsigned)http->config->shim_max_connections, //
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,             //
                                    MHD_OPTION_CONNECTION_TIMEOUT, 0U,                                         //
                                    MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,                         //
                                    MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,                           //
                                    MHD_OPTION_URI_LOG_CALLBACK, on_target, http,                              //
                                    MHD_OPTION_END);
    return http->daemon != NULL;
}

struct http *http_new(const struct config *config, struct desk *desk, struct error *ret_err)
{
    const int listener = address_listen(config->shim_listen, ret_err);
    if (listener < 0)
        return NULL;
    struct http *http = xcalloc(1, sizeof *http);
    http->config = config;
    http->desk = desk;
    http->port = address_port(listener);
    metric_set(METRIC_CONNECTIONS_LIMIT, 0, config->shim_max_connections);
    if (each_response(http, make_response) && start_daemon(http, listener)) {
        http->fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        return http;
    }
    close(listener);
    error_set(ret_err, ERROR_FATAL, "the HTTP server did not start");
    http_free(http);
    return NULL;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    each_response(http, destroy_response);
    free(http);
}

int http_fd(const struct http *http)
{
    return http->fd;
}

int http_timeout_ms(struct http *http, int limit_ms)
{
    MHD_UNSIGNED_LONG_LONG library_ms;
    if (MHD_get_timeout(http->daemon, &library_ms) == MHD_YES && library_ms < (unsigned)limit_ms)
        return (int)library_ms;
    return limit_ms;
}

void http_step(struct http *http)
{
    sweep(http);
    MHD_run(http->daemon);
}

void http_stop_listening(struct http *http)
{
    const int listener = MHD_quiesce_daemon(http->daemon);
    if (listener >= 0)
        close(listener);
    http->stopping = true;
}

void http_stop_taking(struct http *http)
{
    http->closing = true;
}

unsigned http_in_hand(const struct http *http)
{
    return http->in_hand;
}

unsigned http_port(const struct http *http)
{
    return http->port;
}
