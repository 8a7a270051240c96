/* A look at the configuration file's text before libconfig parses it, for what it would misread silently. */
#include "config_load.h"

#include <ctype.h>
#include <stdlib.h>

struct scanner {
    const char *at;
    unsigned line;
};

/* Moves behind the end of a comment, counting lines; an open one ends at the end of the text. */
static void skip_comment(struct scanner *s)
{
    const bool is_block = s->at[0] == '/' && s->at[1] == '*';
    s->at += is_block ? 2 : 1;
    while (*s->at != '\0' && !(is_block ? s->at[0] == '*' && s->at[1] == '/' : *s->at == '\n')) {
        s->line += *s->at == '\n';
        s->at++;
    }
    s->at += is_block && *s->at != '\0' ? 2 : 0;
}

static void skip_string(struct scanner *s)
{
    for (s->at++; *s->at != '\0' && *s->at != '"'; s->at++) {
        s->at += s->at[0] == '\\' && s->at[1] != '\0';
        s->line += *s->at == '\n';
    }
    s->at += *s->at == '"';
}

static void skip_word(struct scanner *s)
{
    while (isalnum((unsigned char)*s->at) || *s->at == '_' || *s->at == '-' || *s->at == '*')
        s->at++;
}

/* Moves behind a number; false when it is a whole one above 32 bits that has no L behind it. */
static bool skip_number(struct scanner *s)
{
    const bool is_hex = s->at[0] == '0' && (s->at[1] == 'x' || s->at[1] == 'X');
    char *end;
    const unsigned long long value = strtoull(s->at, &end, is_hex ? 16 : 10);
    s->at = end;
    if (!is_hex && (*end == '.' || *end == 'e' || *end == 'E')) {
        while (*s->at != '\0' && strchr("0123456789.eE+-", *s->at))
            s->at++;
        return true;
    }
    if (*end == 'L') {
        skip_word(s);
        return true;
    }
    return value <= INT32_MAX;
}

static bool refuse(const struct scanner *s, const char *path, const char *why, struct error *ret_err)
{
    error_set(ret_err, ERROR_OPERATOR, "%s:%u: %s", path, s->line, why);
    return false;
}

bool config_text_check(const char *text, const char *path, struct error *ret_err)
{
    struct scanner s = {.at = text, .line = 1};
    while (*s.at != '\0') {
        const char c = *s.at;
        if (c == '#' || (c == '/' && (s.at[1] == '/' || s.at[1] == '*'))) {
            skip_comment(&s);
        } else if (c == '"') {
            skip_string(&s);
        } else if (isalpha((unsigned char)c) || c == '_') {
            skip_word(&s);
        } else if (isdigit((unsigned char)c)) {
            if (!skip_number(&s))
                return refuse(&s, path, "this number does not fit into 32 bits; write an L behind it", ret_err);
        } else if (strncmp(s.at, "@include", 8) == 0) {
            return refuse(&s, path, "@include is not supported; put secrets into files of their own (X_FILE)", ret_err);
        } else {
            s.line += c == '\n';
            s.at++;
        }
    }
    return true;
}
