/* Reading a whole small file from disk: a configuration, a secret, a prompt, a schema. */
#ifndef ROOMCLAIM_FILE_H
#define ROOMCLAIM_FILE_H

#include "base.h"
#include "error.h"

#include <sys/stat.h>

/* Returns the file's text, owned and NUL-terminated, and what fstat said in *ret_st (may be NULL); or NULL with class
 * OPERATOR, the path and the reason: missing, unreadable, no plain file, longer than max bytes, a NUL byte inside. */
char *file_read(const char *path, size_t max, struct stat *ret_st, struct error *ret_err) MUST_CHECK;

/* The same without the line's end that editors put behind the last line. */
char *file_read_line(const char *path, size_t max, struct error *ret_err) MUST_CHECK;
/* Strips one line's end (LF or CR LF) off text. */
void file_strip_line_end(char *text);

#endif
