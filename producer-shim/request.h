/* What an HTTP request's headers say, and whether a webhook may follow them.
 *
 * Pure: name and value pairs in, an answer out. Values borrow from whoever parsed the request.
 */
#ifndef ROOMCLAIM_REQUEST_H
#define ROOMCLAIM_REQUEST_H

#include "common/config.h"
#include "producer-shim/answers.h"

/* X(id, name): the headers that are looked at. */
#define REQUEST_HEADER_TABLE(X)               \
    X(CONTENT_LENGTH, "content-length")       \
    X(TRANSFER_ENCODING, "transfer-encoding") \
    X(CONTENT_TYPE, "content-type")           \
    X(CONTENT_ENCODING, "content-encoding")   \
    X(EXPECT, "expect")                       \
    X(AUTHORIZATION, "authorization")         \
    X(TRACEPARENT, "traceparent")             \
    X(TRACESTATE, "tracestate")

enum request_header {
#define X(id, name) REQUEST_##id,
    REQUEST_HEADER_TABLE(X)
#undef X
        REQUEST_HEADER_COUNT
};

struct request {
    struct {
        struct slice value; /* the last one */
        unsigned count;
    } headers[REQUEST_HEADER_COUNT];
    bool chunked;
    int64_t length; /* of the body; -1 when chunked */
};

/* *request starts as all zeros. */
void request_add(struct request *request, struct slice name, struct slice value);

/* True when a body may follow; else *ret_answer is the refusal. path is the raw request target, still encoded. */
bool request_admit(struct request *request, const struct config *config, const char *method, const char *path,
                   enum answer *ret_answer);

/* The value, empty when the header is missing or there is more than one. */
struct slice request_value(const struct request *request, enum request_header header);

#endif
