/* Reading a whole small file. The buffer may hold a secret: it is wiped where it is given up. */
#include "file.h"

#include "alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool refuse(const char *path, const char *why, struct error *ret_err)
{
    error_set(ret_err, ERROR_OPERATOR, "cannot read %.200s: %s", path, why);
    return false;
}

/* Reads until size bytes or the end; returns how many, or -1 with errno. */
static ssize_t read_whole(int fd, char *text, size_t size)
{
    size_t len = 0;
    while (len < size) {
        const ssize_t got = read(fd, text + len, size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* Checks the open file's kind and size before anything is read: a device or a pipe would never end. */
static bool is_small_plain_file(int fd, const char *path, size_t max, struct stat *ret_st, struct error *ret_err)
{
    if (fstat(fd, ret_st) != 0)
        return refuse(path, strerror(errno), ret_err);
    if (S_ISDIR(ret_st->st_mode))
        return refuse(path, strerror(EISDIR), ret_err);
    if (!S_ISREG(ret_st->st_mode))
        return refuse(path, "it is not a plain file", ret_err);
    if (ret_st->st_size > (off_t)max)
        return refuse(path, strerror(EFBIG), ret_err);
    return true;
}

static char *read_open_file(int fd, const char *path, size_t max, struct stat *ret_st, struct error *ret_err)
{
    if (!is_small_plain_file(fd, path, max, ret_st, ret_err))
        return NULL;
    const size_t size = (size_t)ret_st->st_size;
    char *text = xmalloc(size + 1);
    const ssize_t len = read_whole(fd, text, size);
    if (len >= 0 && !memchr(text, '\0', (size_t)len)) {
        text[len] = '\0';
        return text;
    }
    (void)refuse(path, len < 0 ? strerror(errno) : "it holds a NUL byte, so it is not text", ret_err);
    explicit_bzero(text, size);
    free(text);
    return NULL;
}

char *file_read(const char *path, size_t max, struct stat *ret_st, struct error *ret_err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        (void)refuse(path, strerror(errno), ret_err);
        return NULL;
    }
    struct stat st;
    char *text = read_open_file(fd, path, max, ret_st ? ret_st : &st, ret_err);
    close(fd);
    return text;
}

void file_strip_line_end(char *text)
{
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len > 0 && text[len - 1] == '\r')
        text[--len] = '\0';
}

char *file_read_line(const char *path, size_t max, struct error *ret_err)
{
    char *text = file_read(path, max, NULL, ret_err);
    if (text)
        file_strip_line_end(text);
    return text;
}
