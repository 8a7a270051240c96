/* The values of several items, LIST and PAIRS: config_value.c calls these by its table of types. A comma or a line
 * break separates items, unless a backslash stands before it; two backslashes are one. */
#ifndef ROOMCLAIM_CONFIG_LIST_H
#define ROOMCLAIM_CONFIG_LIST_H

#include "config_key.h"
#include "text.h"

/* field is a struct config_list. Parse overwrites what is there; it is empty after a failure. */
bool config_list_parse(const struct config_key *key, const char *text, void *field, struct error *ret_why) MUST_CHECK;
void config_list_print(const struct config_key *key, const void *field, bool masked, struct text *out);
void config_list_clear(void *field);

/* The same for a struct config_pairs. */
bool config_pairs_parse(const struct config_key *key, const char *text, void *field, struct error *ret_why) MUST_CHECK;
void config_pairs_print(const struct config_key *key, const void *field, bool masked, struct text *out);
void config_pairs_clear(void *field);

/* Appends item to a text that the parsers above split again. */
void config_list_join(struct text *list, const char *item);

/* Whether a librdkafka property holds a secret, by its name. */
bool config_property_is_secret(const char *name);

#endif
