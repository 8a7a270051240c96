/* The HTTP side: takes requests apart, hands whole webhooks to the desk, sends the answers.
 *
 * libmicrohttpd in one thread, without a thread of its own: http_run is the program's loop, which waits for
 * connections, the publisher's reports, deadlines and signals at once. A webhook that waits for Kafka has its
 * connection suspended. Every request has absolute deadlines, for its headers and for its end, however the bytes
 * drip; contradictory framing is refused, since two servers could read two requests out of it.
 */
#ifndef ROOMCLAIM_HTTP_H
#define ROOMCLAIM_HTTP_H

#include "common/config.h"
#include "common/error.h"
#include "producer-shim/webhook.h"

struct http;

/* Listens at config's shim.listen. Borrows config and desk. Returns owned, or NULL with *ret_err. */
struct http *http_new(const struct config *config, struct desk *desk, struct error *ret_err) MUST_CHECK;
void http_free(struct http *http); /* no webhook may be waiting; NULL is fine */

/* For desk_init: tells the connection of w that its answer is there. */
void http_answered(struct webhook *w);

/* What the loop must wait for, beside http_timeout_ms: readable means http_step. */
int http_fd(const struct http *http);
/* Until the next deadline of a connection, or 0 when there is work; at most limit_ms. */
int http_timeout_ms(struct http *http, int limit_ms);
/* Serves what is ready, never waits. Closes the connections whose time is over. */
void http_step(struct http *http);

/* Listens no more; requests in hand go on, and their answers close their connections. */
void http_stop_listening(struct http *http);
/* Nobody is left to wait for an answer: a webhook that becomes whole from now on is answered 503 at once. */
void http_stop_taking(struct http *http);
/* Requests begun and not answered to the end. */
unsigned http_in_hand(const struct http *http);

unsigned http_port(const struct http *http);

#endif
