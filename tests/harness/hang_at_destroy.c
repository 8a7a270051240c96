/* Preloaded: librdkafka's destroy never comes back, as it has been seen to do. */
#include <unistd.h>

struct rd_kafka_s;

void rd_kafka_destroy(struct rd_kafka_s *rk);
void rd_kafka_destroy_flags(struct rd_kafka_s *rk, int flags);

void rd_kafka_destroy(struct rd_kafka_s *rk)
{
    (void)rk;
    for (;;)
        pause();
}

void rd_kafka_destroy_flags(struct rd_kafka_s *rk, int flags)
{
    (void)flags;
    rd_kafka_destroy(rk);
}
