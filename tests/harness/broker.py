"""Brokers: a real Kafka (KRaft, one node) and librdkafka's mock cluster; and what the tests ask of a topic.

Topics are never made by accident: the real broker has auto-creation off, as in production.
"""

import base64
import os
import pathlib
import shutil
import subprocess
import uuid

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from .processes import Child, free_port, until

HERE = pathlib.Path(__file__).resolve().parent
QUIET = {"log_level": 0}

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions=3
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.enable=false
"""


def java(jars, *options):
    """The command line of a Java program of Kafka's, small and quick to start. The last of the options is its class."""
    if not shutil.which("java") or not jars.is_dir():
        raise RuntimeError("Kafka is not installed: ./dev setup installs it")
    *flags, main = options
    return [
        "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", *flags,
        f"-Dlog4j2.configurationFile={HERE / 'kafka' / 'log4j2.yaml'}", "-cp", f"{jars}/*", main,
    ]  # fmt: skip


def new_cluster_id():
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def answers(bootstrap):
    try:
        AdminClient({"bootstrap.servers": bootstrap, **QUIET}).list_topics(timeout=1)
        return True
    except KafkaException:
        return False


class KafkaBroker:
    def __init__(self, folder, jars, detached=False):
        self.folder = pathlib.Path(folder)
        self.jars = pathlib.Path(jars)
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._detached = detached
        self.child = None

    def start(self):
        data = self.folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        properties.write_text(PROPERTIES.format(port=self.port, controller=free_port(), data=data))
        if not data.exists():
            tool = java(self.jars, "-Xmx128m", "kafka.tools.StorageTool")
            subprocess.run(
                [*tool, "format", "--standalone", "-t", new_cluster_id(), "-c", properties],
                check=True, stdin=subprocess.DEVNULL, capture_output=True,
            )  # fmt: skip
        self.child = Child(
            "kafka",
            [*java(self.jars, "-Xmx512m", "-Xms256m", "kafka.Kafka"), properties],
            self.folder / "kafka.log",
            detached=self._detached,
        )
        until(self._answers, 60, lambda: f"Kafka is up; log: {self.child.log}")
        return self

    def stop(self):
        return self.child.stop(30) if self.child else 0

    def _answers(self):
        if not self.child.running():
            raise RuntimeError(f"Kafka did not start; log: {self.child.log}")
        return answers(self.bootstrap)


class MockBroker:
    """librdkafka's mock cluster in a process of its own (tests/tools/mock_broker.c). Topics exist from the start.
    errors: (API key, error code) of Kafka's protocol, each for one request."""

    def __init__(self, folder, program, topics, partitions=3, errors=()):
        self.folder = pathlib.Path(folder)
        self._argv = [program, str(partitions), *topics, *(f"{api}:{code}" for api, code in errors)]
        self.child = None
        self.bootstrap = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "mock_broker.log"
        log.unlink(missing_ok=True)
        self.child = Child("mock_broker", self._argv, log)
        self.bootstrap = until(self._said, 10, lambda: f"the mock broker is up; log: {self.child.log}")
        return self

    def stop(self):
        return self.child.stop(10) if self.child else 0

    def _said(self):
        for line in self.child.output().splitlines():
            if line.startswith("bootstrap "):
                return line.split()[1]
        if not self.child.running():
            raise RuntimeError(f"the mock broker did not start; log: {self.child.log}")
        return None


class Topics:
    """What a test does with a broker: make topics, produce, read everything, look at a group's position."""

    def __init__(self, bootstrap, replicas=1):
        self.bootstrap = bootstrap
        self._replicas = replicas
        self._conf = {"bootstrap.servers": bootstrap, **QUIET}
        self._admin = AdminClient(self._conf)
        self._groups = {}

    def create(self, *names, partitions=3, **config):
        topics = [
            NewTopic(n, num_partitions=partitions, replication_factor=self._replicas, config=config) for n in names
        ]
        for future in self._admin.create_topics(topics).values():
            future.result(20)
        # The controller has answered; the brokers hear of it a little later, under load a second.
        until(lambda: all(self._is_known(n, partitions) for n in names), 20, f"the brokers know {names}")

    def _is_known(self, name, partitions):
        told = self._admin.list_topics(name, 10).topics[name].partitions.values()
        return len(told) == partitions and all(p.leader >= 0 for p in told)

    def delete(self, *names):
        for future in self._admin.delete_topics(list(names)).values():
            future.result(20)

    def grow(self, topic, partitions):
        for future in self._admin.create_partitions([NewPartitions(topic, partitions)]).values():
            future.result(20)

    def delete_before(self, topic, partition, offset):
        """As retention does."""
        for future in self._admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            future.result(20)

    def produce(self, topic, records):
        """records: (key, value, headers, partition or None). Returns when all are acknowledged."""
        producer = Producer({**self._conf, "acks": "all", "linger.ms": 0, "partitioner": "murmur2_random"})
        failed = []
        for key, value, headers, partition in records:
            where = {} if partition is None else {"partition": partition}
            producer.produce(
                topic, key=key, value=value, headers=headers,
                on_delivery=lambda error, _: failed.append(error) if error else None, **where,
            )  # fmt: skip
        if producer.flush(30) or failed:
            raise RuntimeError(f"not produced: {failed}")

    def read(self, topic):
        """All records of a topic, partition by partition, as the client library's messages."""
        consumer = Consumer(
            {**self._conf, "group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True}
        )
        try:
            # An explicit offset, so that nothing is asked of the broker that the mock can't answer.
            open_partitions = {p.partition for p in self._partitions(consumer, topic)}
            consumer.assign([TopicPartition(topic, p, 0) for p in open_partitions])
            messages = []
            while open_partitions:
                message = consumer.poll(10)
                if message is None:
                    raise RuntimeError(f"{topic}: the broker does not answer")
                if not message.error():
                    messages.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise RuntimeError(f"{topic}: {message.error()}")
            return sorted(messages, key=lambda m: (m.partition(), m.offset()))
        finally:
            consumer.close()

    def records(self, topic):
        """[(key, value, headers)] of a topic; headers as a dict of bytes."""
        return [(m.key(), m.value(), dict(m.headers() or [])) for m in self.read(topic)]

    def lag(self, group, topic):
        """How many records the group has not committed yet."""
        if group not in self._groups:
            self._groups[group] = Consumer({**self._conf, "group.id": group, "enable.auto.commit": False})
        consumer, behind = self._groups[group], 0
        for found in consumer.committed(self._partitions(consumer, topic), timeout=10):
            low, high = consumer.get_watermark_offsets(found, timeout=10)
            behind += high - (low if found.offset == OFFSET_INVALID else found.offset)
        return behind

    def members(self, group):
        """[number of partitions] of each member of a group that is not rebalancing; else []."""
        found = self._admin.describe_consumer_groups([group], request_timeout=10)[group].result(15)
        if found.state != ConsumerGroupState.STABLE:
            return []
        return [len(m.assignment.topic_partitions) if m.assignment else 0 for m in found.members]

    def close(self):
        for consumer in self._groups.values():
            consumer.close()

    @staticmethod
    def _partitions(client, topic):
        return [TopicPartition(topic, p) for p in client.list_topics(topic, 10).topics[topic].partitions]


def jars_folder():
    """Where ./dev setup put the broker's jars."""
    return pathlib.Path(os.environ.get("ROOMCLAIM_KAFKA_JARS", HERE.parent.parent / ".dev" / "kafka" / "libs"))
