#!/usr/bin/python3
# redis.py - redis-server natively and under ocrun: answers compared, redis-benchmark, snapshots by fork, I/O threads, pub/sub.
import re, shutil, subprocess, tempfile, time
from pathlib import Path

from common import MOST_TASKS, Server, Suite, free_port, status_field, tasks, wait_for_port

suite = Suite("redis-server and redis-benchmark, natively and under ocrun")
COMMANDS = r"""SET a 1
INCRBY a 41
LPUSH l 1 2 3
SORT l DESC
HSET h f v g w
HGETALL h
ZADD z 1 one 2 two
ZRANGE z 0 -1 WITHSCORES
EXPIRE a 100
TTL a
EVAL "local s = 0 for i = 1, 1000 do s = s + i end return s" 0
MULTI
SET b 2
EXEC
BLPOP nothing 0.2
XADD s 1-1 k v
XRANGE s - +
SETBIT bits 100 1
BITCOUNT bits
DBSIZE
OBJECT ENCODING l
NOSUCHCOMMAND
FLUSHALL
"""


def cli(port, *arguments, stdin=None, prefix=()):
    done = subprocess.run([*prefix, "redis-cli", "-p", str(port), *arguments], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, text=True)
    return done.stdout


def one(title, mode, prefix, extra, seen):
    port = free_port()
    requests = "2000" if "I/O threads" in title else "10000"  # spinning I/O threads are slow on few processors
    directory = tempfile.mkdtemp(dir=suite.directory)
    server = Server(suite, prefix, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                                    "--dir", directory, *extra], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        if not wait_for_port(port):
            return suite.fail(title, mode, "the server does not answer\n" + server.dump())
        answers = cli(port, stdin=COMMANDS) + cli(port, stdin=COMMANDS, prefix=prefix)
        seen.setdefault("answers", answers)
        suite.check(f"{title}: answers", mode, answers == seen["answers"] and "42" in answers, answers)
        bench = subprocess.run([*prefix, "redis-benchmark", "-p", str(port), "-q", "-n", requests, "-c", "50", "-t",
                                "ping_inline,ping_mbulk,set,get,incr,lpush,lpop,sadd,hset,spop,mset"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, text=True)
        rates = re.findall(r"([A-Z_]+[A-Za-z ()0-9]*): ([\d.]+) requests per second", bench.stdout)
        suite.check(f"{title}: redis-benchmark", mode, bench.returncode == 0 and len(rates) >= 11, bench.stdout[-2000:] + server.dump())
        bench = subprocess.run([*prefix, "redis-benchmark", "-p", str(port), "-q", "-n", requests, "-c", "50", "-P", "16", "-t", "set,get",
                                "--threads", "3"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, text=True)
        suite.check(f"{title}: redis-benchmark with threads and pipelines", mode, bench.returncode == 0, bench.stdout[-2000:])
        cli(port, "EVAL", "for i = 1, 20000 do redis.call('SET', 'key' .. i, i) end return 1", "0")
        cli(port, "BGSAVE")
        for _ in range(200):
            info = cli(port, "INFO", "persistence")
            if "rdb_bgsave_in_progress:0" in info:
                break
            time.sleep(0.05)
        size = Path(directory, "dump.rdb").stat().st_size if Path(directory, "dump.rdb").exists() else 0
        suite.check(f"{title}: snapshot by fork", mode, "rdb_last_bgsave_status:ok" in info and size > 100000, info)
        if prefix:
            suite.check(f"{title}: hooked", mode, status_field(server.pid, "Seccomp") == "2", "no seccomp filter")
            suite.check(f"{title}: few kernel threads", mode, tasks(server.pid) <= MOST_TASKS, f"{tasks(server.pid)} tasks")
        cli(port, "SHUTDOWN", "NOSAVE")
        try:
            server.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        suite.check(f"{title}: ends by SHUTDOWN", mode, server.process.returncode == 0, server.dump())
    except subprocess.TimeoutExpired as e:
        suite.fail(title, mode, f"{e}\n{server.dump()}")
    finally:
        server.stop()


if shutil.which("redis-server"):
    for title, extra in (("redis", []), ("redis with 4 I/O threads", ["--io-threads", "4", "--io-threads-do-reads", "yes"]),
                         ("redis with append-only file", ["--appendonly", "yes", "--appendfsync", "everysec"])):
        if suite.wanted(title):
            seen = {}
            for mode, prefix in suite.modes():
                one(title, mode, prefix, extra, seen)
else:
    suite.skip("redis", "no redis-server")
suite.end()
