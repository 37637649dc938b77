"""celery: a worker of its own, 1,000 tasks, retries, a chord, a task with an ETA."""
import datetime
import os
import sys

from celery import Celery, chord
from celery.contrib.testing.worker import start_worker

app = Celery("program", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(result_backend="cache+memory://", worker_prefetch_multiplier=8, broker_connection_retry_on_startup=True)


@app.task
def add(one, other):
    return one + other


@app.task(bind=True, max_retries=3, default_retry_delay=0.05)
def third_time(self):
    if self.request.retries < 2:
        raise self.retry()
    return self.request.retries


@app.task
def total(numbers):
    return sum(numbers)


passed = 0
with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, loglevel="ERROR", shutdown_timeout=60):
    results = [add.delay(number, 1) for number in range(1000)]
    sums = [result.get(timeout=120) for result in results]
    passed += sums == list(range(1, 1001))
    passed += third_time.delay().get(timeout=60) == 2
    passed += chord([add.s(number, number) for number in range(20)])(total.s()).get(timeout=60) == 380
    eta = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    passed += add.apply_async((1, 2), eta=eta).get(timeout=60) == 3
print(f"{passed} of 4")
sys.exit(passed != 4)
