/* An error: what kind it is and the words for a person. Filled in at the leaf, acted on in the step, printed once.
 *
 * The words say what happened, where, and what to do. They may hold bytes from outside; log.c escapes them.
 * Never put a secret, a body or a Postgres DETAIL into them.
 */
#ifndef ROOMCLAIM_ERROR_H
#define ROOMCLAIM_ERROR_H

#include "base.h"

/* What the caller can do about it. */
#define ERROR_CLASS_TABLE(X)                                                                      \
    X(NONE, "none", "no error")                                                                   \
    X(RETRY, "retry", "temporary: wait and do it again")                                          \
    X(REJECT, "reject", "this very input is at fault: set it aside, a retry cannot help")         \
    X(OPERATOR, "operator", "nobody's input is at fault: wait, uncounted, and tell the operator") \
    X(FATAL, "fatal", "the process cannot go on")

enum error_class {
#define X(id, name, help) ERROR_##id,
    ERROR_CLASS_TABLE(X)
#undef X
};

enum { ERROR_TEXT_SIZE = 320 };

struct error {
    enum error_class class;
    char text[ERROR_TEXT_SIZE]; /* NUL-terminated UTF-8, cut if longer */
};

/* Overwrites *err; err may be NULL (then nothing happens). */
void error_set(struct error *err, enum error_class class, const char *fmt, ...) PRINTF_LIKE(3, 4);

const char *error_class_name(enum error_class class);

#endif
