#include "consumer/call.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fault.h"
#include "consumer/loop.h"

#include <curl/curl.h>
#include <stdio.h>

enum {
    REPLY_FIRST_BYTES = 2048,
    CURL_BUFFER_BYTES =
        4096, /* replies are small and thousands are open: 16 KiB each would be the larger part of memory */
    DNS_CACHE_S = 300,
};

struct caller {
    uv_loop_t *loop;
    const struct config *config;
    const struct provider *provider;
    CURLM *multi;
    struct curl_slist *headers;
    struct curl_slist **retired; /* with earlier keys: calls under way may still read them */
    size_t retired_count;
    uv_timer_t timer;
    size_t in_flight;
    CURL **idle; /* handles kept for the next calls */
    size_t idle_count, idle_size;
};

/* A socket that curl wants watched. */
struct watch {
    uv_poll_t poll;
    struct caller *caller;
    curl_socket_t socket;
};

/* A row fits when the code does; sent decides between the two verdicts. Codes that are not here mean a broken
 * connection. */
static const struct {
    CURLcode code;
    enum call_verdict unsent, sent;
} curl_verdicts[] = {
    {CURLE_OPERATION_TIMEDOUT, CALL_UNREACHABLE, CALL_TIMEOUT},
    {CURLE_COULDNT_RESOLVE_HOST, CALL_UNREACHABLE, CALL_UNREACHABLE},
    {CURLE_COULDNT_RESOLVE_PROXY, CALL_UNREACHABLE, CALL_UNREACHABLE},
    {CURLE_COULDNT_CONNECT, CALL_UNREACHABLE, CALL_UNREACHABLE},
    {CURLE_SSL_CONNECT_ERROR, CALL_UNREACHABLE, CALL_CUT},
    {CURLE_PEER_FAILED_VERIFICATION, CALL_UNREACHABLE, CALL_UNREACHABLE},
    {CURLE_SSL_CERTPROBLEM, CALL_UNREACHABLE, CALL_UNREACHABLE},
    {CURLE_SSL_CACERT_BADFILE, CALL_UNREACHABLE, CALL_UNREACHABLE},
    {CURLE_ABORTED_BY_CALLBACK, CALL_NOT_SENT, CALL_CUT}, /* by on_request */
    {CURLE_UNSUPPORTED_PROTOCOL, CALL_OPERATOR, CALL_OPERATOR},
    {CURLE_URL_MALFORMAT, CALL_OPERATOR, CALL_OPERATOR},
};

enum call_verdict call_verdict_of_curl(int curl_code, bool sent)
{
    for (size_t i = 0; i < ARRAY_LEN(curl_verdicts); i++) {
        if ((int)curl_verdicts[i].code == curl_code)
            return sent ? curl_verdicts[i].sent : curl_verdicts[i].unsent;
    }
    return sent ? CALL_CUT : CALL_UNREACHABLE;
}

static size_t on_bytes(char *ptr, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    const size_t n = size * count;
    if (call->len + n > (size_t)call->caller->config->llm_max_reply_bytes)
        return 0; /* ends the transfer with CURLE_WRITE_ERROR */
    if (call->len + n > call->size) {
        call->size = MAX(2 * call->size, MAX(call->len + n, (size_t)REPLY_FIRST_BYTES));
        call->bytes = xgrow(call->bytes, call->size, 1);
    }
    memcpy(call->bytes + call->len, ptr, n);
    call->len += n;
    return n;
}

/* Before each sending of a request. libcurl sends it again by itself when a kept connection breaks before the first
 * byte of the answer: that would be a second paid call under one line of the ledger. And a process that was stopped or
 * suspended on its way here may wake up behind its lease: curl would send first and look at its deadline afterwards. */
static int on_request(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    struct call *call = arg;
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    fault_point("call_begun");
    if (call->sent || clock_boot_ms() >= call->deadline_boot_ms)
        return CURL_PREREQFUNC_ABORT;
    call->sent = true;
    return CURL_PREREQFUNC_OK;
}

#ifdef ROOMCLAIM_FAULTS
static int on_wire(CURL *easy, curl_infotype type, char *bytes, size_t size, void *arg)
{
    (void)easy;
    (void)bytes;
    (void)size;
    (void)arg;
    if (type == CURLINFO_DATA_OUT) /* told once it has been sent */
        fault_point("call_sent");
    return 0;
}
#endif

static CURL *make_handle(struct caller *caller)
{
    CURL *easy = made(curl_easy_init());
    const struct config *config = caller->config;
    const bool plain = strncmp(config->llm_base_url, "http://", 7) == 0;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
    if (plain)
        curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* loopback only: config.c has seen to that */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->llm_connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)CURL_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    /* One HTTP/2 connection for a burst; without TLS it would hold all calls back until the first one's answer. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, plain ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "roomclaim/" ROOMCLAIM_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
#ifdef ROOMCLAIM_FAULTS
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_wire);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
#endif
    return easy;
}

void caller_start(struct caller *caller, struct call *call)
{
    CURL *easy = caller->idle_count > 0 ? caller->idle[--caller->idle_count] : make_handle(caller);
    call->easy = easy;
    call->caller = caller;
    call->started_ms = clock_mono_ms();
    const int64_t now_boot_ms = clock_boot_ms();
    call->deadline_boot_ms = MIN(now_boot_ms + caller->config->llm_timeout_ms, call->ends_by_boot_ms);
    call->elapsed_us = clock_mono_us();
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)MAX(call->deadline_boot_ms - now_boot_ms, 1)); /* 0: none */
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, caller->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.ptr);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    call->sent = false;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    caller->in_flight++;
    if (curl_multi_add_handle(caller->multi, easy) != CURLM_OK)
        out_of_memory(); /* the call would never end */
}

static void keep_handle(struct caller *caller, CURL *easy)
{
    if (caller->idle_count == caller->idle_size) {
        caller->idle_size = MAX(2 * caller->idle_size, (size_t)16);
        caller->idle = xgrow(caller->idle, caller->idle_size, sizeof(CURL *));
    }
    caller->idle[caller->idle_count++] = easy;
}

/* A transfer that ended without a whole reply. */
static void read_failure(struct call *call, CURLcode code)
{
    call->reply = (struct provider_reply){.verdict = call_verdict_of_curl((int)code, call->sent)};
    snprintf(call->reply.reason, sizeof call->reply.reason, "%s", curl_easy_strerror(code));
    if (code == CURLE_WRITE_ERROR) {
        call->reply.verdict = CALL_BAD_REPLY;
        snprintf(call->reply.reason, sizeof call->reply.reason, "longer than llm.max_reply");
    }
}

static void read_reply(struct caller *caller, struct call *call)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    caller->provider->reply(status, (struct slice){.ptr = call->bytes, .len = call->len}, retry_after_s, &call->reply);
}

static void finish_call(struct caller *caller, CURL *easy, CURLcode code)
{
    void *private = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct call *call = private;
    call->elapsed_us = clock_mono_us() - call->elapsed_us;
    if (code == CURLE_OK)
        read_reply(caller, call);
    else
        read_failure(call, code);
    free(TAKE(call->bytes));
    call->len = call->size = 0;
    curl_multi_remove_handle(caller->multi, easy);
    call->easy = NULL;
    keep_handle(caller, easy);
    caller->in_flight--;
    call->done(call);
}

static void take_messages(struct caller *caller)
{
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(caller->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE)
            finish_call(caller, message->easy_handle, message->data.result);
    }
}

static void act(struct caller *caller, curl_socket_t socket, int flags)
{
    int running = 0;
    if (curl_multi_socket_action(caller->multi, socket, flags, &running) == CURLM_OUT_OF_MEMORY)
        out_of_memory(); /* a call might never end */
    take_messages(caller);
}

static void on_timeout(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct caller *caller = arg;
    if (timeout_ms < 0)
        uv_timer_stop(&caller->timer);
    else
        uv_timer_start(&caller->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
    const struct watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    act(watch->caller, watch->socket, flags);
}

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watch *watch_new(struct caller *caller, curl_socket_t socket)
{
    struct watch *watch = xcalloc(1, sizeof *watch);
    watch->caller = caller;
    watch->socket = socket;
    watch->poll.data = watch;
    loop_must(uv_poll_init_socket(caller->loop, &watch->poll, socket), "a connection to the model");
    curl_multi_assign(caller->multi, socket, watch);
    return watch;
}

static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct caller *caller = arg;
    struct watch *watch = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            curl_multi_assign(caller->multi, socket, NULL);
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, free_watch);
        }
        return 0;
    }
    if (watch == NULL)
        watch = watch_new(caller, socket);
    const int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&watch->poll, events, on_watch);
    return 0;
}

/* The key stands in the first. */
static struct curl_slist *make_headers(const struct provider *provider, const char *api_key)
{
    char *auth = xasprintf("%s: %s%s", provider->auth_header, provider->auth_prefix, api_key);
    struct curl_slist *headers = made(curl_slist_append(NULL, auth));
    headers = made(curl_slist_append(headers, "Content-Type: application/json"));
    headers = made(curl_slist_append(headers, "Expect:"));
    explicit_bzero(auth, strlen(auth));
    free(auth);
    return headers;
}

static void free_headers(struct curl_slist *headers)
{
    explicit_bzero(headers->data, strlen(headers->data));
    curl_slist_free_all(headers);
}

static void free_retired(struct caller *caller)
{
    while (caller->retired_count > 0)
        free_headers(caller->retired[--caller->retired_count]);
}

void caller_set_key(struct caller *caller, const char *api_key)
{
    if (caller->in_flight == 0)
        free_retired(caller);
    caller->retired = xgrow(caller->retired, caller->retired_count + 1, sizeof(struct curl_slist *));
    caller->retired[caller->retired_count++] = caller->headers;
    caller->headers = make_headers(caller->provider, api_key);
}

struct caller *caller_new(uv_loop_t *loop, const struct config *config, const struct provider *provider,
                          struct error *ret_err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(ret_err, ERROR_FATAL, "libcurl cannot be initialised");
        return NULL;
    }
    struct caller *caller = xcalloc(1, sizeof *caller);
    caller->loop = loop;
    caller->config = config;
    caller->provider = provider;
    caller->headers = make_headers(provider, config->llm_api_key);
    caller->multi = made(curl_multi_init());
    uv_timer_init(loop, &caller->timer);
    caller->timer.data = caller;
    curl_multi_setopt(caller->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(caller->multi, CURLMOPT_SOCKETDATA, caller);
    curl_multi_setopt(caller->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(caller->multi, CURLMOPT_TIMERDATA, caller);
    curl_multi_setopt(caller->multi, CURLMOPT_MAXCONNECTS, (long)config->consumer_max_in_flight);
    return caller;
}

static void free_caller(uv_handle_t *handle)
{
    struct caller *caller = handle->data;
    free_retired(caller);
    free_headers(caller->headers);
    free(caller->retired);
    free(caller->idle);
    free(caller);
}

void caller_abort(struct caller *caller, struct call *call)
{
    curl_multi_remove_handle(caller->multi, call->easy);
    curl_easy_cleanup(TAKE(call->easy));
    free(TAKE(call->bytes));
    caller->in_flight--;
}

void caller_close(struct caller *caller)
{
    if (caller == NULL)
        return;
    while (caller->idle_count > 0)
        curl_easy_cleanup(caller->idle[--caller->idle_count]);
    curl_multi_cleanup(caller->multi);
    curl_global_cleanup();
    uv_close((uv_handle_t *)&caller->timer, free_caller);
}

size_t caller_in_flight(const struct caller *caller)
{
    return caller->in_flight;
}
