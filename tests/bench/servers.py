# servers.py - a server under test (natively, under ocrun, or a peer) and the load on it, which always runs natively
import os, re, shutil, socket, subprocess, tempfile, time


class Missing(Exception):
    """a tool or source that this row needs is not here"""


class Failed(Exception):
    """this run gave no figure"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, server):
    for _ in range(400):
        if server.poll() is not None:
            raise Failed(f"the server ended with status {server.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.025)
    raise Failed("the server does not answer")


def run_load(command, timeout=120):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{os.path.basename(command[0])}: no end after {timeout} s")
    if done.returncode:
        raise Failed(f"{os.path.basename(command[0])}: status {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


def number_after(word, text):
    found = re.search(re.escape(word) + r"\s+([\d.]+)", text)
    if not found:
        raise Failed(f"no {word!r} in {text[-200:]!r}")
    return float(found.group(1))


class Server:
    """A server that prints `port N` and ends with its standard input, or one given a port. Use with `with`."""

    def __init__(self, command, port=None):
        self.command, self.port = command, port

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="ocrun-bench-")
        own_port = self.port is None
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE if own_port else subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd=self.directory, start_new_session=True)
        if own_port:
            line = self.process.stdout.readline().split()
            if len(line) != 2 or line[0] != b"port":
                self.__exit__()
                raise Failed(f"the server said {line}")
            self.port = int(line[1])
        else:
            try:
                wait_for(self.port, self.process)
            except Failed:
                self.__exit__()
                raise
        return self

    def __exit__(self, *what):
        self.process.stdin.close()
        if self.process.stdout:
            self.process.stdout.close()
        # The end of its standard input, then SIGTERM, then SIGKILL.
        for patience, signal in ((1, 15), (10, 9)):
            try:
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal)
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def available_kib():
    """MemAvailable and the free pages on the CPUs' own lists, which it does not count: after many were given back that is much"""
    lists = sum(int(n) for n in re.findall(r"^\s+count:\s+(\d+)", open("/proc/zoneinfo").read(), re.M)) * os.sysconf("SC_PAGE_SIZE") // 1024
    found = re.search(r"^MemAvailable:\s+(\d+)", open("/proc/meminfo").read(), re.M)
    if not found:
        raise Failed("no MemAvailable in /proc/meminfo")
    return int(found[1]) + lists
