/* One typed value of the configuration: from text, to text, freed. For the files config*.c only. */
#ifndef ROOMCLAIM_CONFIG_VALUE_H
#define ROOMCLAIM_CONFIG_VALUE_H

#include "config_key.h"
#include "text.h"

/* Parses text for the key and stores it in config (what was there is freed), or returns false with the reason in
 * *ret_why, which never quotes a secret. Borrows text. */
bool config_value_parse(const struct config_key *key, const char *text, struct config *config,
                        struct error *ret_why) MUST_CHECK;

/* Appends the value as the config file writes it. With masked, every secret in it is ***. */
void config_value_print(const struct config_key *key, const struct config *config, bool masked, struct text *out);

/* Whether the value is or holds a secret that is set. */
bool config_value_is_secret(const struct config_key *key, const struct config *config);

/* Frees it, wiped; the value is empty afterwards. */
void config_value_clear(const struct config_key *key, struct config *config);

/* Whether text is of an allowed length (a STRING's only) and free of control characters. */
bool config_value_check_text(const struct config_key *key, const char *text, struct error *ret_why) MUST_CHECK;

/* Appends text in the quotes and escapes of libconfig. */
void config_value_quote(struct text *out, const char *text);

/* Appends what a number, duration or size may be, "1s to 24h". */
void config_value_put_range(const struct config_key *key, struct text *out);

#endif
