/* What librdkafka's statistics tell: shortened answers of a consumer with and without a broker. */
#include "common/kafka.h"

#include "check.h"

#define BROKERS(list) "{\"name\":\"roomclaim#consumer-1\",\"ts\":1,\"brokers\":{" list "},\"cgrp\":{\"state\":\"up\"}}"
#define BROKER(name, source, state) "\"" name "\":{\"source\":\"" source "\",\"state\":\"" state "\",\"toppars\":{}}"

static void connected(void)
{
    static const struct {
        const char *label, *stats;
        bool want;
    } cases[] = {
        {"up", BROKERS(BROKER("a:9092/1", "configured", "UP")), true},
        {"the second is up", BROKERS(BROKER("a", "configured", "DOWN") "," BROKER("b", "learned", "UP")), true},
        {"only the coordinator", BROKERS(BROKER("GroupCoordinator", "logical", "UP")), true},
        {"none is up", BROKERS(BROKER("a", "configured", "INIT") "," BROKER("b", "logical", "CONNECT")), false},
        {"the client's inner one", BROKERS(BROKER(":0/internal", "internal", "UP")), false},
        {"no broker", BROKERS(""), false},
        {"the word elsewhere", "{\"state\":\"UP\",\"topics\":{\"t\":{\"state\":\"UP\"}}}", false},
        {"no object", "[]", false},
        {"cut off", "{\"brokers\":{\"a\":{\"state\":\"UP\"", false},
        {"empty", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        CHECK_INT(kafka_any_broker_up(slice_of(cases[i].stats)), cases[i].want);
    }
}

CHECK_MAIN({"connected", connected})
