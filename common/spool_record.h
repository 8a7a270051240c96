/* How a record's headers lie in the spool, and its checksum. Pure. */
#ifndef ROOMCLAIM_SPOOL_RECORD_H
#define ROOMCLAIM_SPOOL_RECORD_H

#include "publisher.h"
#include "text.h"

enum {
    SPOOL_SUM_SIZE = 8, /* the first bytes of a SHA-256: enough against a disk, which is no attacker */
    SPOOL_HEADERS_MAX = RECORD_HEADERS_MAX + 16, /* a dead letter has some more */
};

/* Appends each header as length and bytes of its name and of its value. Borrows all. */
void spool_headers_pack(const struct record_header *headers, size_t count, struct text *out);
/* Fills headers (SPOOL_HEADERS_MAX of them at most), which borrow from packed. False when packed is none of ours. */
bool spool_headers_unpack(struct slice packed, struct record_header headers[SPOOL_HEADERS_MAX],
                          size_t *ret_count) MUST_CHECK;

void spool_record_sum(const char *topic, struct slice key, struct slice packed, struct slice value,
                      unsigned char ret_sum[SPOOL_SUM_SIZE]);

#endif
