/* Reading and wiping secrets. */
#include "secret.h"

#include "file.h"

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

bool secret_is_guarded(const struct stat *st, const char *path, struct error *ret_err)
{
    if (st->st_mode & 037) {
        error_set(ret_err, ERROR_OPERATOR,
                  "%s holds a secret but has mode %04o: others may read it; chmod 0600 or 0640", path,
                  (unsigned)st->st_mode & 07777);
        return false;
    }
    if (st->st_uid != geteuid() && st->st_uid != 0) {
        error_set(ret_err, ERROR_OPERATOR, "%s holds a secret but belongs to user id %u, neither root nor this user",
                  path, (unsigned)st->st_uid);
        return false;
    }
    return true;
}

char *secret_read_file(const char *path, struct error *ret_err)
{
    struct stat st;
    char *text = file_read(path, SECRET_FILE_MAX, &st, ret_err);
    if (!text)
        return NULL;
    if (!secret_is_guarded(&st, path, ret_err)) {
        secret_free(text);
        return NULL;
    }
    file_strip_line_end(text);
    return text;
}

bool secret_is_placeholder(const char *text)
{
    static const char *const placeholders[] = {"changeme", "change-me", "change_me", "***"};
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++) {
        if (strcasecmp(text, placeholders[i]) == 0)
            return true;
    }
    return false;
}

void secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
