/* Strict JSON read in place, token by token: every byte is checked, nothing is copied, nothing is allocated.
 *
 * For bytes from outside of which a few members matter, and whose exact place in the text matters too. The first
 * fault stops the scan for good; after that every call fails. The text must be valid UTF-8 (scan_utf8_valid).
 * Duplicate keys are not noticed here: whoever reads a member refuses its second appearance.
 *
 *     scan_init(&s, text);
 *     if (scan_enter_object(&s))
 *         while (scan_member(&s, &key))
 *             scan_is(key, "sid") ? scan_string(&s, &sid) : scan_skip(&s);
 *     if (!scan_finish(&s)) ... s.fault says why
 */
#ifndef ROOMCLAIM_SCAN_H
#define ROOMCLAIM_SCAN_H

#include "base.h"

enum { SCAN_DEPTH_MAX = 32 };

enum scan_fault {
    SCAN_OK,
    SCAN_SYNTAX,    /* not JSON, or something behind the value */
    SCAN_DEPTH,     /* nested deeper than SCAN_DEPTH_MAX */
    SCAN_NUMBER,    /* an integer that fits neither int64 nor uint64, or 1e308 and more */
    SCAN_SURROGATE, /* half of a surrogate pair in a \u escape */
};

struct scan {
    const char *at, *end;
    enum scan_fault fault;
    unsigned depth;
    uint64_t started; /* bit d: the container at depth d has had a member */
};

/* A string as it stands in the text, between its quotes: checked, not decoded. */
struct scan_text {
    struct slice raw;
    bool escaped;
};

enum scan_kind {
    SCAN_NOTHING, /* the end of the text, or what starts no value */
    SCAN_OBJECT,
    SCAN_ARRAY,
    SCAN_STRING,
    SCAN_NUMERAL,
    SCAN_LITERAL, /* true, false, null */
};

/* Borrows text until the scan is over. */
void scan_init(struct scan *s, struct slice text);

/* What the next value is; moves over white space only. */
enum scan_kind scan_peek(struct scan *s);

/* Each reads exactly one thing and returns false on a fault, or when something else stands there (also a fault). */
bool scan_enter_object(struct scan *s);
bool scan_string(struct scan *s, struct scan_text *ret_text);
bool scan_skip(struct scan *s); /* any one value */

/* The next member's key, ready to read its value; false at the end of the object (left) or on a fault. */
bool scan_member(struct scan *s, struct scan_text *ret_key);

/* True when the text is over, white space aside, without a fault. */
bool scan_finish(struct scan *s);

/* True when the string, decoded, is exactly the ASCII word. */
bool scan_is(struct scan_text text, const char *word);

/* Decodes into buffer (size >= 1), NUL-terminated, cut at a character when longer. Returns the decoded length before
 * the cut. *ret_nul (may be NULL) tells whether U+0000 occurs; it is kept in the buffer like any other. */
size_t scan_decode(struct scan_text text, char *buffer, size_t size, bool *ret_nul);

/* Strict: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool scan_utf8_valid(struct slice text);

#endif
