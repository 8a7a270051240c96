/* Strict JSON read in place, token by token: every byte is checked, nothing is copied, nothing is allocated.
 *
 * For bytes from outside of which a few members matter, and whose exact place in the text matters too. The first
 * fault stops the scan for good; after that every call fails. The text must be valid UTF-8 (utf8_valid). Duplicate keys
 * are not noticed here: whoever reads a member refuses its second appearance, or counts the members.
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

enum { SCAN_DEPTH_MAX = 32, SCAN_NUMBER_MAX = 64, SCAN_EXPONENT_MAX = 300 };

/* Each adds to the one before. */
enum scan_rules {
    SCAN_GRAMMAR,  /* RFC 8259 and nesting up to SCAN_DEPTH_MAX; strings must not be decoded or compared */
    SCAN_READABLE, /* no half of a surrogate pair, integers within int64 or uint64, others below 1e308 */
    SCAN_STORABLE, /* no U+0000, integers within int64, others of SCAN_NUMBER_MAX bytes and +-SCAN_EXPONENT_MAX */
};

enum scan_fault {
    SCAN_OK,
    SCAN_SYNTAX,    /* not JSON, or something behind the value */
    SCAN_DEPTH,     /* nested deeper than SCAN_DEPTH_MAX */
    SCAN_NUMBER,    /* one that the rules don't allow */
    SCAN_SURROGATE, /* half of a surrogate pair in a \u escape */
    SCAN_NUL,       /* U+0000 in a string, with SCAN_STORABLE */
};

struct scan {
    const char *at, *end;
    enum scan_rules rules; /* SCAN_READABLE; for others set it after scan_init */
    enum scan_fault fault;
    const char *why, *where; /* with a fault: in words that quote nothing, and the byte */
    unsigned depth;
    uint64_t started; /* bit d: the container at depth d has had a member */
    size_t members;   /* met so far, of all objects together */
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

#endif
