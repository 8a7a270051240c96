/* HTTP to the model's provider: thousands of calls in flight in one thread, by curl's socket interface on the loop.
 *
 * One call is one POST. There is no retry here, and curl's own on a fresh connection is suppressed. The deadline is a
 * total one, from start to last byte: llm.timeout, or less if the call must be over before; nothing is sent behind it.
 * Replies are cut at llm.max_reply. Redirects are not followed. The key travels in a header and nowhere else.
 */
#ifndef ROOMCLAIM_CALL_H
#define ROOMCLAIM_CALL_H

#include "common/base.h"
#include "common/config.h"
#include "common/error.h"
#include "consumer/models/provider.h"

#include <uv.h>

struct caller;
struct call;
typedef void call_done(struct call *call);

struct call {
    const char *url;   /* borrowed until done */
    struct slice body; /* borrowed until done */
    call_done *done;   /* called once, from the loop */
    void *arg;
    int64_t ends_by_boot_ms; /* clock_boot_ms() when it must be over, and nothing may be sent any more */

    struct provider_reply reply; /* the verdict; the call's owner calls provider_reply_fini */
    int64_t started_ms, elapsed_us;
    bool sent; /* the request, or a part of it, may have left */

    /* call.c's */
    struct caller *caller;
    int64_t deadline_boot_ms; /* curl's own clock stands still while a machine is suspended */
    void *easy;
    char *bytes;
    size_t len, size;
};

/* Borrows config and provider. Returns owned, or NULL with *ret_err. */
struct caller *caller_new(uv_loop_t *loop, const struct config *config, const struct provider *provider,
                          struct error *ret_err) MUST_CHECK;
/* Ends a call under way without done(). */
void caller_abort(struct caller *caller, struct call *call);
/* Only when nothing is in flight. The memory goes when the loop has run on. NULL is fine. */
void caller_close(struct caller *caller);

void caller_start(struct caller *caller, struct call *call);
/* The key of the calls that start from now on. Borrows it. */
void caller_set_key(struct caller *caller, const char *api_key);
size_t caller_in_flight(const struct caller *caller);

/* The verdict of a transfer that curl could not complete. sent: the request may have reached the provider. Pure. */
enum call_verdict call_verdict_of_curl(int curl_code, bool sent);

#endif
