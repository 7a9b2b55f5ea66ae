"""A real Kafka broker, and the producer of the load."""

import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .daemon import free_port
from .procs import Process, require, wait_until

PASSWORD = "planted-sasl-password-5c1d"


class Broker:
    """One broker on 127.0.0.1, with the listeners that components/kafka tells of; everybody's password is `PASSWORD`."""

    def __init__(self, components, folder, environment):
        ports = [free_port() for _ in range(5)]
        self.folder = Path(folder)
        self.address, self.secure, self.sasl, self.oauth = (f"127.0.0.1:{port}" for port in ports[:4])
        self.process = Process(
            [components / "kafka", self.folder, *ports],
            f"{folder}.log", env={**environment, "KAFKA_PASSWORD": PASSWORD},
        )
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        wait_until(self._answers, 180, "the Kafka broker")

    def _answers(self):
        require(self.process.alive(), f"the Kafka broker ended:\n{self.process.tail()}")
        try:
            return self.admin.list_topics(timeout=1).brokers
        except Exception:  # not up yet: confluent_kafka raises its own class for it
            return None

    def create(self, topic, partitions):
        self.admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)

    def ends(self, topic):
        """The next offset of each partition."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "ends-of-a-topic"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
        finally:
            consumer.close()

    def stop(self):
        self.process.stop()


def produce(address, topic, records, per_second=None):
    """Sends (partition, value) in order and waits for every acknowledgement; offsets follow the order of each partition."""
    failures = []
    producer = Producer({
        "bootstrap.servers": address, "enable.idempotence": True, "log_level": 3, "linger.ms": 20, "compression.type": "lz4",
        "queue.buffering.max.messages": 200_000,
    })
    start, sent = time.monotonic(), 0

    def delivered(error, _):
        if error is not None:
            failures.append(error)

    for partition, value in records:
        while True:
            try:
                producer.produce(topic, value=value, partition=partition, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.05)
        sent += 1
        if sent % 500 == 0:
            producer.poll(0)
            if per_second is not None:
                time.sleep(max(0.0, start + sent / per_second - time.monotonic()))
    require(producer.flush(60) == 0 and not failures, f"Kafka did not take every record: {failures[:3]}")
    return sent
