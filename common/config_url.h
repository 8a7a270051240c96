/* Looking into database.url without libpq: both forms, URI and key=value. Only for masking and for warnings; what the
 * address means is decided by libpq. */
#ifndef ROOMCLAIM_CONFIG_URL_H
#define ROOMCLAIM_CONFIG_URL_H

#include "base.h"
#include "text.h"

/* One part of the address; both slices point into it. The name is libpq's keyword (host, password, sslmode, ...). */
struct config_url_part {
    struct slice name, value;
};

enum { CONFIG_URL_PARTS = 64 };

/* Returns how many parts were written; more than CONFIG_URL_PARTS are left out. */
size_t config_url_split(const char *url, struct config_url_part ret_parts[CONFIG_URL_PARTS]);

/* The part's value as it stands in the url, or an empty slice. */
struct slice config_url_get(const char *url, const char *name);

bool config_url_has_password(const char *url);

/* Appends url with *** for each password. */
void config_url_mask(const char *url, struct text *out);

#endif
