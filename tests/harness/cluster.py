"""Three real Kafka brokers, each a controller too; a topic has three replicas, and a write needs two of them in sync.

    cluster = Cluster(folder, jars_folder(), network).start()
    cluster.bootstrap                     # for our programs: each broker by way of its client_link
    cluster.direct                        # for the tests' own clients: no link, so no fault
    broker = cluster.brokers[0]           # kill, start, pause, resume; client_link, peer_links
    broker.peer_links.hang()              # cut off from the two others, in both directions; its clients still reach it
    until(cluster.in_sync, 60, "healed")

Links between brokers are one for each pair, direction and purpose. A name like kafka-2 means to each broker, by a hosts
file of its own, the address where its link to that one listens; so the port is the same for all.
"""

import itertools
import os
import pathlib
import signal
import socket
from collections.abc import Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .broker import QUIET, answers, java, new_cluster_id
from .links import Group, hold_port
from .network import Link, Network
from .processes import Child, until

SIZE = 3
REPLICATION, CONTROLLER = PURPOSES = ("REPLICATION", "CONTROLLER")
HEAP = ("-Xmx320m", "-Xms128m")

PROPERTIES = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners={listeners}
advertised.listeners={advertised}
inter.broker.listener.name=REPLICATION
controller.listener.names=CONTROLLER
listener.security.protocol.map=DIRECT:PLAINTEXT,CLIENT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}

num.partitions=3
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=3

broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
controller.socket.timeout.ms=3000
replica.lag.time.max.ms=3000
replica.socket.timeout.ms=3000
replica.fetch.wait.max.ms=200
leader.imbalance.check.interval.seconds=10
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

num.network.threads=1
num.io.threads=3
background.threads=2
log.cleaner.enable=false
"""


class Cluster:
    """Owns the brokers; the network, which has their links, is borrowed and must outlive it."""

    def __init__(self, folder: str | os.PathLike, jars: pathlib.Path, network: Network):
        self.brokers = [Broker(pathlib.Path(folder), jars, number, network) for number in range(1, SIZE + 1)]
        pairs = list(itertools.permutations(self.brokers, 2))
        links = [(pair, purpose, _link(network, *pair, purpose)) for pair in pairs for purpose in PURPOSES]
        for broker in self.brokers:
            of_broker = [(purpose, link) for pair, purpose, link in links if broker in pair]
            broker.peer_links = Group(link for _, link in of_broker)
            broker.replication_link = Group(link for purpose, link in of_broker if purpose == REPLICATION)
            broker.controller_link = Group(link for purpose, link in of_broker if purpose == CONTROLLER)
        self.bootstrap = ",".join(f"127.0.0.1:{b.client_link.port}" for b in self.brokers)
        self.direct = ",".join(b.direct for b in self.brokers)

    def start(self) -> "Cluster":
        """Returns when all three answer and know each other."""
        voters = ",".join(f"{b.number}@{b.name}:{b.ports[CONTROLLER]}" for b in self.brokers)
        cluster_id = new_cluster_id()
        for child in [b.prepare(voters, cluster_id) for b in self.brokers]:
            if child.wait(60):
                raise RuntimeError(f"{child.name} failed; log: {child.log}")
        for broker in self.brokers:
            broker.start()
        for broker in self.brokers:
            until(broker.answers, 60, lambda broker=broker: f"{broker.name} is up; log: {broker.child.log}")
        until(self.in_sync, 60, "the three know each other")
        return self

    def stop(self) -> None:
        """Kills what runs: an orderly end of all three would wait for a quorum that has gone."""
        for broker in self.brokers:
            broker.kill()

    def in_sync(self, topics: Iterable[str] | None = None) -> bool:
        """True if each of the three says that all run, and that each partition (of these topics, or of all) is whole.

        All are asked: one that is cut off does not know what it has missed.
        """
        wanted = None if topics is None else set(topics)
        return all(broker.running and broker.sees_all(wanted) for broker in self.brokers)


class Broker:
    """One of the three. Its start() does not wait: `until(broker.answers, …)` or in_sync() does."""

    client_link: Link  # of our programs to it
    peer_links: Group  # between it and the two others: both of the following
    replication_link: Group  # records, and what else goes from broker to broker
    controller_link: Group  # the quorum, and the brokers' heartbeats

    def __init__(self, folder: pathlib.Path, jars: pathlib.Path, number: int, network: Network):
        self.number, self.name = number, f"kafka-{number}"
        self.folder = folder / self.name
        self.child: Child | None = None
        self._jars = jars
        # Held for life, so that no client is given one of them as its own port while the broker is away.
        self._held = {listener: hold_port() for listener in ("DIRECT", "CLIENT", *PURPOSES)}
        self.ports = {listener: held.getsockname()[1] for listener, held in self._held.items()}
        self.direct = f"127.0.0.1:{self.ports['DIRECT']}"
        self.client_link = network.link(f"clients to {self.name}", "127.0.0.1", self.ports["CLIENT"])

    @property
    def running(self) -> bool:
        """True also while it is paused."""
        return self.child is not None and self.child.running()

    def prepare(self, voters: str, cluster_id: str) -> Child:
        """Writes its files, and starts the tool that formats its storage."""
        self.folder.mkdir(parents=True)
        names = {f"kafka-{n}": _address(self.number, n) for n in range(1, SIZE + 1)}
        names |= {name: "127.0.0.1" for name in (self.name, "localhost", socket.gethostname())}
        self._hosts.write_text("".join(f"{address} {name}\n" for name, address in names.items()))
        listeners = ",".join(f"{listener}://127.0.0.1:{port}" for listener, port in self.ports.items())
        advertised = (
            f"DIRECT://{self.direct},CLIENT://127.0.0.1:{self.client_link.port},"
            f"{REPLICATION}://{self.name}:{self.ports[REPLICATION]},{CONTROLLER}://{self.name}:{self.ports[CONTROLLER]}"
        )
        self._properties.write_text(
            PROPERTIES.format(
                number=self.number, voters=voters, listeners=listeners, advertised=advertised, data=self.folder / "data"
            )
        )
        tool = java(self._jars, "-Xmx128m", "kafka.tools.StorageTool")
        return Child(
            f"{self.name}: format",
            [*tool, "format", "-t", cluster_id, "-c", self._properties],
            self.folder / "format.log",
        )

    def start(self) -> None:
        """Starts it, also again, on the same ports and data."""
        assert not self.running, self.name
        argv = java(self._jars, *HEAP, f"-Djdk.net.hosts.file={self._hosts}", "kafka.Kafka")
        self.child = Child(self.name, [*argv, self._properties], self.folder / "kafka.log")

    def answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"{self.name} has ended; log: {self.folder / 'kafka.log'}")
        return answers(self.direct)

    def sees_all(self, topics: set[str] | None = None) -> bool:
        """True if, as it knows, all brokers run, and each partition (of these topics, or of all) is whole."""
        try:  # a client that knows no other broker yet
            found = AdminClient({"bootstrap.servers": self.direct, **QUIET}).list_topics(timeout=5)
        except KafkaException:
            return False
        names = found.topics.keys() if topics is None else topics
        return (
            len(found.brokers) == SIZE
            and names <= found.topics.keys()
            and all(_is_whole(p) for name in names for p in found.topics[name].partitions.values())
        )

    def kill(self) -> None:
        """kill -9, reaped; also when it is paused, or does not run."""
        if self.child:
            self.child.kill()

    def pause(self) -> None:
        self.child.send(signal.SIGSTOP)
        until(self.child.is_stopped, 5, f"{self.name} is stopped")

    def resume(self) -> None:
        self.child.send(signal.SIGCONT)

    @property
    def _hosts(self) -> pathlib.Path:
        return self.folder / "hosts"

    @property
    def _properties(self) -> pathlib.Path:
        return self.folder / "server.properties"


def _address(one: int, other: int) -> str:
    """Where the links from one broker to another listen; all of 127/8 is this machine."""
    return f"127.1.{one}.{other}"


def _link(network: Network, one: Broker, other: Broker, purpose: str) -> Link:
    port = other.ports[purpose]
    at = (_address(one.number, other.number), port)
    return network.link(f"{one.name} to {other.name}, {purpose}", "127.0.0.1", port, at)


def _is_whole(partition) -> bool:
    return partition.leader > 0 and len(partition.isrs) == len(partition.replicas)
