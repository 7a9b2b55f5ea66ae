"""The Kafka source alone against a real broker: its unit tests that need one, which the plain `cargo test` leaves out.

They cover what librdkafka's mock cluster cannot show: transactions, recreated topics, retention, a killed and a static member,
a batch broken on disk, and logins by SCRAM, PLAIN and OAUTHBEARER (over TLS: the check `secrets`). The test binary is the one
that `cargo test` has built before, with the same profile and environment.
"""

import re

from harness.daemon import environment
from harness.kafka import PASSWORD
from harness.procs import Process, require, wait_until
from harness.world import HERE

LEAST = 10  # tests that need a broker; fewer means that they were not found


def run(world):
    broker = world.broker()
    variables = {
        "ALLUVIUM_TEST_KAFKA": broker.address,
        "ALLUVIUM_TEST_KAFKA_SASL": broker.sasl,
        "ALLUVIUM_TEST_KAFKA_OAUTH": broker.oauth,
        "ALLUVIUM_TEST_KAFKA_PASSWORD": PASSWORD,
        "ALLUVIUM_TEST_KAFKA_LOG": str(broker.folder / "log"),
    }
    tests = Process(
        ["cargo", "test", "--locked", "--lib", "source::kafka", "--", "--ignored"],
        world.folder / "tests.log", cwd=HERE.parent.parent, env=environment(variables),
    )
    try:
        wait_until(lambda: not tests.alive(), 900, "the tests of the Kafka source", 0.5)
    finally:
        if tests.alive():
            tests.kill9()
    closing = re.search(r"test result: .*", tests.log.read_text(errors="replace"))
    require(tests.popen.returncode == 0 and closing, f"the tests ended with exit code {tests.popen.returncode}:\n{tests.tail(60)}")
    passed = int(re.search(r"(\d+) passed", closing[0])[1])
    require(passed >= LEAST, f"only {passed} tests were run: {closing[0]}")
    world.note(closing[0])
