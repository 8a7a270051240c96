/* Secrets: read from files that nobody else may read, and wiped before they are freed. */
#ifndef ROOMCLAIM_SECRET_H
#define ROOMCLAIM_SECRET_H

#include "base.h"
#include "error.h"

#include <sys/stat.h>

enum { SECRET_FILE_MAX = 64 * 1024 };

/* Returns the file's text, owned (end it with secret_free), one trailing newline stripped; or NULL with class
 * OPERATOR: missing, not a plain file, too long, a NUL inside, or not guarded. */
char *secret_read_file(const char *path, struct error *ret_err) MUST_CHECK;

/* Whether only its owner (and readers of its group) can get at a file: mode 0640 or less, owned by us or root. */
bool secret_is_guarded(const struct stat *st, const char *path, struct error *ret_err) MUST_CHECK;

/* The placeholders of samples and of masked output are no secrets. */
bool secret_is_placeholder(const char *text);

void secret_free(char *text); /* wipes up to the NUL; NULL is fine */

/* For AUTO(secret_free_ptr) locals. */
static inline void secret_free_ptr(char **text)
{
    secret_free(*text);
}

#endif
