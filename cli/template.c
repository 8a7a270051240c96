/* SQL with placeholders. */
#include "template.h"

#define PLACEHOLDER_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* The name that begins behind this @, or an empty slice: a lone @ is an operator of SQL. */
static struct slice read_placeholder(const char *sign)
{
    const size_t len = strspn(sign + 1, PLACEHOLDER_CHARACTERS);
    return sign[1 + len] == '@' ? (struct slice){.ptr = sign + 1, .len = len} : (struct slice){0};
}

static const char *find_value(struct slice name, const struct template_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(name, slice_of(values[i].name)))
            return values[i].text;
    }
    return NULL;
}

bool template_render(const char *source, const struct template_value *values, size_t count, struct text *out,
                     struct error *ret_err)
{
    for (const char *at = source;;) {
        const size_t plain = strcspn(at, "@");
        text_put(out, at, plain);
        at += plain;
        if (*at == '\0')
            return true;
        const struct slice name = read_placeholder(at);
        const char *value = name.len > 0 ? find_value(name, values, count) : "@";
        if (value == NULL) {
            error_set(ret_err, ERROR_FATAL, "no value for the placeholder @%.*s@", (int)name.len, name.ptr);
            return false;
        }
        text_puts(out, value);
        at += name.len > 0 ? name.len + 2 : 1;
    }
}
